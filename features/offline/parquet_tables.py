"""Tables of the offline store: Parquet files by day, and Delta's log, which lists those that count.

A table lies at ``<store>/<name>/date=YYYY-MM-DD/*.parquet``. Whoever writes puts files there first and commits them afterwards, all at once
and under a number of its own, so that a commit that is tried again changes nothing; whoever reads sees whole commits only.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

import pyarrow as pa
import pyarrow.dataset as pa_dataset
import pyarrow.parquet as pq
from deltalake import DeltaTable, Schema
from deltalake.exceptions import TableNotFoundError
from deltalake.transaction import AddAction, CommitProperties, RemoveAction, Transaction
from pyarrow.fs import FileSelector

from features.errors import UserError
from features.offline.storage import Storage

DAY_FIELD = pa.field("date", pa.date32(), nullable=False)

# Longer than any writer takes from a file to its commit: what nobody has committed by then is a killed compaction's.
_ABANDONED_H = 24
_READINGS = 5
_CURRENCY = "tidemark.currency"
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class WrittenFile:
    """A file that lies in its place and doesn't count yet; ``path`` is relative to the table."""

    path: str
    day: date
    rows: int
    bytes: int


def write_file(table: Storage, day: date, stem: str, rows: pa.Table) -> WrittenFile:
    """Writes the rows of one day, without their ``date``, as ``date=<day>/<stem>.parquet``, replacing a file of that name at once."""
    path = f"date={day.isoformat()}/{stem}.parquet"
    content = pa.BufferOutputStream()
    pq.write_table(rows, content, compression="zstd")
    buffer = content.getvalue()
    filesystem, root = table.arrow()
    if table.is_remote:
        _put(filesystem, f"{root}/{path}", buffer)
    else:
        filesystem.create_dir(f"{root}/date={day.isoformat()}")
        # Under a name that readers pass over until it is whole.
        _put(filesystem, f"{root}/date={day.isoformat()}/.{stem}.unfinished", buffer)
        filesystem.move(f"{root}/date={day.isoformat()}/.{stem}.unfinished", f"{root}/{path}")
    return WrittenFile(path, day, len(rows), buffer.size)


@dataclass(frozen=True)
class TableState:
    """The files that count after ``version`` commits of the table ``identity``: equal in both, equal in rows."""

    identity: str
    version: int
    uris: tuple[str, ...]


class OfflineTable:
    """A table of the offline store; created by its first commit. ``schema`` has the columns without ``date``.

    Columns that the schema has and the table lacks are added by the next commit; in rows from before they are null. So is ``currency``
    (ISO 4217) if one is given: the table's properties say from then on that its amounts are in it.
    """

    def __init__(self, store: Storage, name: str, schema: pa.Schema, currency: str | None = None) -> None:
        self.storage = store.at(name)
        self.schema = schema
        self._currency = currency

    def exists(self) -> bool:
        """Whether anything was ever committed."""
        return bool(DeltaTable.is_deltatable(self.storage.url, dict(self.storage.delta_options())))

    def currency(self) -> str | None:
        """In which currency its amounts are; None if it doesn't say, as tables of 0.2.0, or isn't there."""
        return self._open().metadata().configuration.get(_CURRENCY) if self.exists() else None

    def require_currency(self, currency: str) -> None:
        """Raises UserError if the table says that its amounts are in another one."""
        theirs = self.currency()
        if theirs not in (None, currency):
            raise UserError(
                f"the table {self.storage.url} is in {theirs}, but this deployment settles in {currency}; name its own offline store with "
                f"--store or TIDEMARK_OFFLINE, or the deployment of {theirs} with TIDEMARK_HOME"
            )

    def committed(self, writer: str) -> int | None:
        """The number of the writer's last commit, None before its first."""
        return self._open().transaction_version(writer) if self.exists() else None

    def positions(self, writer: str, names: Iterable[str]) -> dict[str, int]:
        """Of these names those that the writer has committed a position of, each with the last one."""
        if not self.exists():
            return {}
        table = self._open()
        found = {name: table.transaction_version(_position_of(writer, name)) for name in names}
        return {name: position for name, position in found.items() if position is not None}

    def commit(
        self,
        files: Sequence[WrittenFile],
        writer: str,
        number: int,
        replaced: Iterable[date] = (),
        positions: Mapping[str, int] | None = None,
    ) -> bool:
        """Makes the files count, at once, and those of the ``replaced`` days no longer; False if the writer has committed this number.

        Numbers of a writer must rise. ``positions`` are the writer's own notes, by name, of how far it has come; they are kept with the
        table. Raises deltalake's CommitFailedError if another process commits as the same writer meanwhile, UserError if the table is in
        another currency.
        """
        if self._currency is not None:
            self.require_currency(self._currency)
        table = self._open_or_create()
        last = table.transaction_version(writer)
        if last is not None and last >= number:
            return False
        now = int(time.time() * 1000)
        adds: list[AddAction | RemoveAction] = [
            AddAction(file.path, file.bytes, {DAY_FIELD.name: file.day.isoformat()}, now, True, f'{{"numRecords":{file.rows}}}')
            for file in files
        ]
        days = sorted({day.isoformat() for day in replaced})
        table.create_write_transaction(
            adds,
            mode="overwrite" if days else "append",
            schema=table.schema(),
            partition_by=[DAY_FIELD.name],
            partition_filters=[(DAY_FIELD.name, "in", days)] if days else None,
            commit_properties=CommitProperties(
                app_transactions=[
                    Transaction(writer, number),
                    *(Transaction(_position_of(writer, name), position) for name, position in (positions or {}).items()),
                ]
            ),
        )
        return True

    def dataset(self) -> pa_dataset.Dataset:
        """What counts now, columns in the order of the schema, then ``date`` (date32). Raises FileNotFoundError before the first commit.

        A compaction meanwhile takes files away from under it: read within ``unless_compacted``.
        """
        return self._open().to_pyarrow_dataset(schema=self._with_day())

    def read(self, columns: Sequence[str] | None = None, rows: pa_dataset.Expression | None = None) -> pa.Table:
        """What counts now, in memory: these columns of those ``rows`` for which the expression holds; None: all. Raises as ``dataset``."""
        return unless_compacted(lambda: self.dataset().to_table(columns=None if columns is None else list(columns), filter=rows))

    def uris(self, begin: date | None = None, end: date | None = None) -> list[str]:
        """The files that count now, of days from ``begin`` to before ``end``; none before the first commit."""
        if not self.exists():
            return []
        filters = [(DAY_FIELD.name, operator, day.isoformat()) for operator, day in ((">=", begin), ("<", end)) if day is not None]
        return sorted(self._open().file_uris(file_pruning_predicate=filters or None))

    def state(self, end: date | None = None) -> TableState:
        """What counts now, of days before ``end``. Raises FileNotFoundError before the first commit."""
        table = self._open()
        uris = table.file_uris(file_pruning_predicate=[(DAY_FIELD.name, "<", end.isoformat())] if end else None)
        return TableState(str(table.metadata().id), table.version(), tuple(sorted(uris)))

    def rows_by_day(self) -> Mapping[date, int]:
        """How many rows count now, of each day; none before the first commit. The same after a compaction."""
        if not self.exists():
            return {}
        found: dict[date, int] = {}
        files = pa.table(self._open().get_add_actions(flatten=True))
        for day, rows in zip(files[f"partition.{DAY_FIELD.name}"].to_pylist(), files["num_records"].to_pylist(), strict=True):
            found[day] = found.get(day, 0) + rows
        return found

    def remove_others(self, day: date, counting: Collection[WrittenFile]) -> None:
        """Removes the day's files but these, so that who just reads the folder's files sees each row once, too. Only for who knows that
        these are the ones that count, and that nobody is about to commit another."""
        kept = {file.path.rpartition("/")[2] for file in counting}
        filesystem, root = self.storage.arrow()
        folder = FileSelector(f"{root}/{DAY_FIELD.name}={day.isoformat()}", allow_not_found=True)
        for file in filesystem.get_file_info(folder):
            if file.base_name.endswith(".parquet") and file.base_name not in kept:
                filesystem.delete_file(file.path)

    def compact(self) -> int:
        """Joins small files of a day into large ones and removes those no longer needed; returns how many were joined.

        Writers may go on meanwhile; readers that began before may have to begin again, see ``unless_compacted``. Raises FileNotFoundError
        before the first commit.
        """
        table = self._open()
        joined = int(table.optimize.compact()["numFilesRemoved"])
        # What was taken out of the log can go; a file that the log never had may be one that is about to be committed.
        table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
        table.vacuum(retention_hours=_ABANDONED_H, dry_run=False, enforce_retention_duration=False, full=True)
        return joined

    def _properties(self) -> dict[str, str]:
        return {} if self._currency is None else {_CURRENCY: self._currency}

    def _with_day(self) -> pa.Schema:
        return pa.schema([*self.schema, DAY_FIELD])

    def _open(self) -> DeltaTable:
        try:
            return DeltaTable(self.storage.url, storage_options=dict(self.storage.delta_options()))
        except TableNotFoundError as error:
            raise FileNotFoundError(f"there is no table at {self.storage.url}") from error

    def _open_or_create(self) -> DeltaTable:
        wanted = Schema.from_arrow(self._with_day())
        if not self.exists():
            return DeltaTable.create(
                self.storage.url,
                schema=wanted,
                partition_by=[DAY_FIELD.name],
                mode="ignore",
                storage_options=dict(self.storage.delta_options()),
                configuration=self._properties(),
                raise_if_key_not_exists=False,
            )
        table = self._open()
        if (properties := self._properties()) and _CURRENCY not in table.metadata().configuration:
            table.alter.set_table_properties(properties, raise_if_not_exists=False)
            table = self._open()
        present = {column.name for column in table.schema().fields}
        if added := [column for column in wanted.fields if column.name not in present]:
            table.alter.add_columns(added)
            return self._open()
        return table


def unless_compacted(read: Callable[[], _Result]) -> _Result:
    """What ``read`` returns; called again if a file that it was about to read has been joined with others and removed meanwhile.

    It must find out anew which files count each time it is called. Raises FileNotFoundError if that happens again and again.
    """
    for _ in range(_READINGS - 1):
        try:
            return read()
        except FileNotFoundError:
            continue
    return read()


def _position_of(writer: str, name: str) -> str:
    return f"{writer}/{name}"


def day_of(uri: str) -> date:
    """The day of a file of a table."""
    return date.fromisoformat(uri.rsplit("/", 2)[-2].removeprefix(f"{DAY_FIELD.name}="))


def _put(filesystem: object, path: str, content: pa.Buffer) -> None:
    with filesystem.open_output_stream(path) as file:  # type: ignore[attr-defined]
        file.write(content)
