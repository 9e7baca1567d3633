"""Saved audits in a folder: the last, and the one before, from which what the API read shortly before the last can be made again.

Each is a folder of Arrow files and ``saved.json``, which has their digests and is sealed by the deployment's key, so that nobody else's
states are taken for ours. It appears under its name only when it is whole.
"""

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions import FeatureSet
from features.errors import UserError
from features.scratch import scratch
from streams.audit.comparison import SavedComparison
from streams.audit.completeness import PLACES, SavedCompleteness
from streams.audit.recomputation import SavedRecomputation
from streams.audit.saved_audit import AuditedSoFar, SavedAudit
from streams.messages.batches import batch_schema
from streams.messages.seal import Seal
from streams.messages.topics import BY_MERCHANT, TRANSACTIONS
from streams.score import Observed

_PURPOSE, _MANIFEST, _UNFINISHED, _SETTLED = b"saved audit", "saved.json", ".unfinished", "settled"
_KEPT = 2
_STATES = pa.schema({"side": pa.string(), "partition": pa.int32(), "key": pa.binary(), "value": pa.large_binary()})
_DEVICES = pa.schema({"source": pa.int32(), "offset": pa.int64(), "device": pa.string()})
_EARLY = pa.schema({"decision": pa.binary()})
_SIDES = ("users", "merchants")
_OF_OBSERVED = ["log_partition", "log_offset", "vector"]


class _Manifest(msgspec.Struct, frozen=True):
    so_far: AuditedSoFar
    digests: dict[str, str]
    seal: str


def audits_folder(home: Path) -> Path:
    """Where a deployment's are."""
    return home / "audits"


class SavedAudits:
    """Those of a feature set of one deployment."""

    def __init__(self, folder: Path, feature_set: FeatureSet, seal: Seal) -> None:
        self.folder = folder
        self._feature_set, self._seal = feature_set, seal
        rows = batch_schema(feature_set)
        self._waiting = rows.append(pa.field("target", pa.int32()))
        self._observed = rows.append(pa.field("log_partition", pa.int64())).append(pa.field("log_offset", pa.int64()))
        self._observed = self._observed.append(pa.field("vector", pa.list_(pa.float32(), len(feature_set.names))))

    def require_writable(self) -> None:
        """Raises UserError if nothing could be saved."""
        try:
            with scratch(self.folder, _UNFINISHED):
                pass
        except OSError as error:
            raise self._not_writable(error) from None

    def found(self) -> tuple[list["Found"], list[str]]:
        """What is saved, the last first, and sentences about what can't be used, for it was changed or is another version's; the last that
        can comes before all that can't and are older. Raises UserError if there is no folder where it must be."""
        if self.folder.exists() and not self.folder.is_dir():
            raise UserError(f"{self.folder} is no folder; remove it, for saved audits belong there")
        usable, aside = list[Found](), list[str]()
        for folder in reversed(self._folders()):
            try:
                usable.append(self._found(folder))
            except UserError as error:
                aside += [] if usable else [str(error)]
        return usable, aside

    def save(self, audit: SavedAudit) -> Path:
        """Saves one as the last and forgets all but the one before; returns its folder. Raises UserError if that can't be written."""
        try:
            with scratch(self.folder, _UNFINISHED) as unfinished:
                digests = {}
                for name, table in self._tables(audit).items():
                    _write(unfinished / name, table)
                    digests[name] = _digest(unfinished / name)
                manifest = _Manifest(audit.so_far, digests, self._seal.of(*_sealed(audit.so_far, digests)).hex())
                (unfinished / _MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
                folder = self._named(unfinished)
        except OSError as error:
            raise self._not_writable(error) from None
        for old in self._folders()[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        return folder

    def _not_writable(self, error: OSError) -> UserError:
        return UserError(f"audits can't be saved in {self.folder} ({error.strerror}); make room, or let it be written to")

    def _named(self, unfinished: Path) -> Path:
        while True:
            before = self._folders()
            folder = self.folder / f"{int(before[-1].name) + 1 if before else 1:06d}"
            try:
                return unfinished.rename(folder)
            except OSError:
                # Another audit may have been saved meanwhile.
                if not folder.exists():
                    raise

    def _folders(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("[0-9]*") if path.name.isdigit())

    def _found(self, folder: Path) -> "Found":
        with _refusing(folder):
            _digest(folder / _MANIFEST)
            manifest = msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=_Manifest)
            if not self._seal.holds(bytes.fromhex(manifest.seal), *_sealed(manifest.so_far, manifest.digests)):
                raise ValueError(f"{_MANIFEST} is not sealed by this deployment")
            for name, digest in manifest.digests.items():
                if _digest(folder / name) != digest:
                    raise ValueError(f"{name} has another digest than when it was written")
        return Found(manifest.so_far, self, folder, manifest.digests)

    def load(self, found: "Found") -> SavedAudit:
        """Reads one. Raises UserError if somebody has changed it meanwhile."""
        with _refusing(found.folder):
            return self._audit(found.so_far, {name: _read(found.folder / name) for name in found.digests})

    def _tables(self, audit: SavedAudit) -> dict[str, pa.Table]:
        recomputation, places = audit.recomputation, {**audit.completeness.places, _SETTLED: audit.comparison.settled}
        states = (
            (side, partition, key, value)
            for side, partitions in zip(_SIDES, (recomputation.users, recomputation.merchants), strict=True)
            for partition, records in enumerate(partitions)
            for key, value in records.items()
        )
        waiting = [_extended(rows, {"target": [target] * len(rows)}) for (target, _), of in recomputation.waiting.items() for rows in of]
        return {
            "states.arrow": _table(states, _STATES),
            "waiting.arrow": _together(waiting, self._waiting),
            "devices.arrow": _table(((*place, device) for place, device in recomputation.devices.items()), _DEVICES),
            "observed.arrow": _together(
                [
                    _extended(one.rows, dict(zip(_OF_OBSERVED, (*one.position.T.tolist(), one.vectors.tolist()), strict=True)))
                    for one in audit.comparison.observed
                ],
                self._observed,
            ),
            "places.arrow": pa.concat_tables(
                table.append_column("of", pa.array([name] * len(table), pa.string())) for name, table in places.items()
            ),
            "early.arrow": _table(((decision,) for decision in audit.completeness.early), _EARLY),
        }

    def _audit(self, so_far: AuditedSoFar, tables: Mapping[str, pa.Table]) -> SavedAudit:
        learned, ordered = so_far.positions[TRANSACTIONS.name], so_far.positions[BY_MERCHANT.name]
        states: dict[str, list[dict[bytes, bytes]]] = {"users": [{} for _ in learned], "merchants": [{} for _ in ordered]}
        for side, partition, key, value in _rows(tables["states.arrow"]):
            states[side][partition][key] = value
        places = {name: _part(tables["places.arrow"], "of", name).drop_columns(["of"]) for name in (*PLACES, _SETTLED)}
        waiting = {
            (target, source): _part(of_target, "source", source).drop_columns(["target"]).combine_chunks().to_batches()
            for target in range(len(ordered))
            for of_target in [_part(tables["waiting.arrow"], "target", target)]
            for source in of_target["source"].unique().to_pylist()
        }
        devices = {(source, offset): device for source, offset, device in _rows(tables["devices.arrow"])}
        return SavedAudit(
            so_far,
            SavedRecomputation(list(learned), list(ordered), states["users"], states["merchants"], waiting, devices),
            SavedComparison(_observed(tables["observed.arrow"]), places.pop(_SETTLED)),
            SavedCompleteness(places, tables["early.arrow"]["decision"].to_pylist()),
        )


class Found(NamedTuple):
    """A saved audit as its manifest, which nobody has changed, describes it."""

    so_far: AuditedSoFar
    of: SavedAudits
    folder: Path
    digests: Mapping[str, str]

    def load(self) -> SavedAudit:
        """See ``SavedAudits.load``."""
        return self.of.load(self)


@contextmanager
def _refusing(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, IndexError, pa.ArrowException, msgspec.MsgspecError) as error:
        raise UserError(
            f"the saved audit in {folder} is left aside, for it was changed or is another version's ({str(error).partition(chr(10))[0]})"
        ) from None


def _sealed(so_far: AuditedSoFar, digests: Mapping[str, str]) -> tuple[bytes, bytes, bytes]:
    return _PURPOSE, msgspec.json.encode(so_far), msgspec.json.encode(sorted(digests.items()))


def _write(path: Path, table: pa.Table) -> None:
    # Not Parquet, whose reader knows no missing lists of a fixed size.
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as to:
        to.write_table(table)


def _read(path: Path) -> pa.Table:
    with pa.OSFile(str(path), "rb") as file:
        return pa.ipc.open_file(file).read_all()


def _digest(path: Path) -> str:
    if not path.is_file():
        raise ValueError(f"{path.name} is missing")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _table(rows: Iterable[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema)


def _rows(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in table.columns), strict=True)


def _extended(rows: pa.RecordBatch, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    return {**dict(zip(rows.schema.names, rows.columns, strict=True)), **columns}


def _together(pieces: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.concat_tables([pa.table(dict(piece), schema=schema) for piece in pieces]) if pieces else schema.empty_table()


def _part(table: pa.Table, column: str, value: Any) -> pa.Table:
    return table.filter(pc.equal(table[column], value))


def _observed(table: pa.Table) -> list[Observed]:
    if not len(table):
        return []
    position = np.column_stack([table[name].to_numpy() for name in _OF_OBSERVED[:2]])
    vectors = np.array(table["vector"].to_pylist(), np.float32)
    (rows,) = table.drop_columns(_OF_OBSERVED).combine_chunks().to_batches()
    return [Observed(rows, position, vectors, [])]
