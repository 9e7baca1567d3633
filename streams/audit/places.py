"""A number for each place on ``transactions``, from where the audit of a partition isn't settled yet."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.arrays import Bool, Int64
from streams.messages.record import SourcePosition

TABLE = pa.schema({"source": pa.int64(), "offset": pa.int64(), "number": pa.uint64()})


class Places:
    """A number for each place, 0 where there is none. Those that are settled are forgotten: they have 0 and keep it."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._dtype = dtype
        self._of: dict[int, np.ndarray] = {}
        # The offset of the first number of each source.
        self._begin: dict[int, int] = {}

    def get(self, sources: Int64, offsets: Int64) -> np.ndarray:
        """Those of some places."""
        found = np.zeros(len(sources), self._dtype)
        for source in np.unique(sources).tolist():
            known, begin = self._of.get(source), self._begin.get(source, 0)
            here = np.flatnonzero((sources == source) & (offsets >= begin) & (offsets - begin < (0 if known is None else len(known))))
            if known is not None:
                found[here] = known[offsets[here] - begin]
        return found

    def set(self, sources: Int64, offsets: Int64, values: np.ndarray | int) -> None:
        """Notes some; the last counts."""
        of_each = np.broadcast_to(np.asarray(values, self._dtype), len(sources))
        for source in np.unique(sources).tolist():
            begin = self._begin.get(source, 0)
            here = (sources == source) & (offsets >= begin)
            if here.any():
                at = offsets[here] - begin
                self._reaching(source, int(at.max()) + 1)[at] = of_each[here]

    def where(self, has: Callable[[np.ndarray, Int64, Int64], np.ndarray]) -> Iterator[SourcePosition]:
        """The places of which ``has(numbers, sources, offsets)`` is true."""
        for source in self._of:
            sources, offsets, numbers = self._of_source(source)
            yield from ((source, offset) for offset in offsets[has(numbers, sources, offsets)].tolist())

    def are_settled(self, sources: Int64, offsets: Int64) -> Bool:
        """Which of some places are forgotten."""
        begin = np.array([self._begin.get(source, 0) for source in sources.tolist()], np.int64)
        return np.asarray((offsets >= 0) & (offsets < begin))

    def forget_before(self, offsets: Mapping[int, int]) -> None:
        """All places before these offsets, by source, are settled."""
        for source, offset in offsets.items():
            begin = self._begin.get(source, 0)
            if offset > begin:
                self._begin[source] = offset
                if source in self._of:
                    self._of[source] = self._of[source][offset - begin :].copy()

    def table(self) -> pa.Table:
        """All that is known, as ``TABLE``."""
        tables = [
            pa.table({"source": sources, "offset": offsets, "number": numbers.astype(np.uint64)}, schema=TABLE)
            for sources, offsets, numbers in map(self._of_source, self._of)
        ]
        return pa.concat_tables(tables) if tables else TABLE.empty_table()

    def take(self, known: pa.Table) -> None:
        """Notes what another's ``table`` says."""
        sources, offsets = (known[name].to_numpy().astype(np.int64) for name in ("source", "offset"))
        self.set(sources, offsets, known["number"].to_numpy())

    def _of_source(self, source: int) -> tuple[Int64, Int64, np.ndarray]:
        known = self._of[source]
        at = np.flatnonzero(known)
        return np.full(len(at), source, np.int64), at + self._begin.get(source, 0), known[at]

    def _reaching(self, source: int, needed: int) -> np.ndarray:
        known = self._of.get(source, np.zeros(0, self._dtype))
        if needed > len(known):
            known = self._of[source] = np.concatenate([known, np.zeros(2 * needed - len(known), self._dtype)])
        return known
