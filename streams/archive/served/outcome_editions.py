"""What a day of the table ``outcomes`` was made of, as its file's name says, so that a day is made again only where that has changed."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from features.source_closure import closure, digest
from models.training_set.label_maturity import DelaysBySource
from streams.archive.served.rows import KEY

_STEPS = ("streams.archive.served.outcomes", "streams.archive.served.decided")
_OPEN = "open"
_HEX = 20


@dataclass(frozen=True)
class Edition:
    """``made_of`` is a digest of what the day was made of; ``strays`` one of the labels that lie under other days. From ``settled`` (ms) on
    the rows are the same whatever --as-of is; of a day that isn't settled yet (None) ``made_of`` has moment and delays in it."""

    made_of: str
    strays: str
    settled: int | None

    @property
    def stem(self) -> str:
        """The name of the day's file, without ``.parquet``."""
        return f"{self.made_of}-{self.strays}-{_OPEN if self.settled is None else self.settled}"

    @classmethod
    def parse(cls, stem: str) -> Self | None:
        """The edition of that name; None if it is no such name."""
        made_of, *others = stem.split("-")
        if len(others) != 2 or not (others[1] == _OPEN or others[1].isdigit()):
            return None
        return cls(made_of, others[0], None if others[1] == _OPEN else int(others[1]))


@dataclass(frozen=True)
class Ingredients:
    """All that a day is made of but strays: ``archived`` says how many rows each of the archive's tables, by its identity, has of the day
    (each only ever grows, and a compaction changes nothing), ``delay`` (ms) how long labels take."""

    archived: Mapping[str, int]
    delay: int
    as_of: int
    delays: DelaysBySource | None

    def edition(self, strays: str, settled: int | None) -> Edition:
        """That of the day made of these."""
        return Edition(self._digest(settled is None), strays, settled)

    def gave(self, found: Edition) -> bool:
        """Whether the day of that edition is what these give, with the same strays."""
        if found.settled is None:
            return found.made_of == self._digest(opened=True)
        return found.settled <= self.as_of and found.made_of == self._digest(opened=False)

    def _digest(self, opened: bool) -> str:
        parts = [_code(), str(self.delay)]
        parts += [f"{identity} {rows}" for identity, rows in sorted(self.archived.items())]
        if opened:
            parts.append(str(self.as_of))
        whole = hashlib.sha256("\n".join(parts).encode())
        if opened and self.delays is not None:
            for source, delays in sorted(self.delays.by_source.items()):
                whole.update(f"\n{source} {len(delays)}\n".encode() + delays.astype("<i8").tobytes())
        return whole.hexdigest()[:_HEX]


@cache
def _code() -> str:
    return digest(closure(_STEPS, ("features", "models", "streams")))


def settled_from(event_time: pa.ChunkedArray, label_time: pa.ChunkedArray, delay: int) -> int:
    """The moment from which on the rows of these decisions no longer depend on --as-of: all mature, and all their labels known. ms."""
    mature = pc.max(event_time).as_py()
    return max(0 if mature is None else mature + delay, pc.max(label_time).as_py() or 0)


def digest_of_labels(labels: pa.Table) -> str:
    """Of these labels, in whatever order; 0 if there are none."""
    if not len(labels):
        return "0"
    names = sorted({*labels.column_names} - {*KEY})
    ordered = labels.sort_by([(name, "ascending") for name in (*KEY, *names)]).select([*KEY, *names])
    return hashlib.sha256(repr(ordered.to_pylist()).encode()).hexdigest()[:_HEX]
