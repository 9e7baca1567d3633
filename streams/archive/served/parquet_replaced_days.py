"""A table of the offline store that one writer keeps up to date, a file a day, each day replaced whole."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path

import pyarrow as pa
from deltalake.exceptions import CommitFailedError
from pyarrow.fs import FileSelector

from features.errors import UserError
from features.offline.parquet_tables import DAY_FIELD, OfflineTable, WrittenFile, day_of, write_file


class ReplacedDays:
    """The writer's view of the table. Of two runs that write at once one is refused at its next commit, and a file that is replaced goes
    only after the commit that replaces it."""

    def __init__(self, table: OfflineTable, writer: str) -> None:
        self.table = table
        self._writer = writer
        last = table.committed(writer)
        self._number = 0 if last is None else last + 1
        self._names = {day_of(uri): uri.rpartition("/")[2].removesuffix(".parquet") for uri in table.uris()}

    @property
    def names(self) -> Mapping[date, str]:
        """Of each day that is there the name of its file, without ``.parquet``."""
        return self._names

    def tidy(self) -> None:
        """Removes what a run left there that was killed after a file or a commit, so that who just reads the folder's files sees each row
        once. Raises as ``replace``."""
        filesystem, root = self.table.storage.arrow()
        counting = {f"{DAY_FIELD.name}={day.isoformat()}/{stem}.parquet" for day, stem in self._names.items()}
        found = filesystem.get_file_info(FileSelector(root, recursive=True, allow_not_found=True))
        left = [file.path for file in found if file.extension == "parquet" and "/_delta_log/" not in file.path]
        left = [path for path in left if path.removeprefix(f"{root}/") not in counting]
        if left:
            # From here on a run that is about to commit one of them is refused.
            self._commit([], [])
            for path in left:
                filesystem.delete_file(path)

    def replace(self, day: date, stem: str, rows: pa.Table) -> None:
        """Has these rows be the day's, at once. Raises UserError if another run has committed meanwhile."""
        self._commit([write_file(self.table.storage, day, stem, rows)], [day])

    def remove(self, days: Iterable[date]) -> None:
        """Has there be nothing of these days, at once; raises as ``replace``."""
        self._commit([], list(days))

    def note(self, name: str, position: int) -> None:
        """Keeps a position with the table; raises as ``replace``."""
        self._commit([], [], {name: position})

    def noted(self, name: str) -> int | None:
        """The position of that name that was kept last."""
        return self.table.positions(self._writer, [name]).get(name)

    def _commit(self, files: Sequence[WrittenFile], days: Sequence[date], positions: Mapping[str, int] | None = None) -> None:
        try:
            counts = self.table.commit(files, self._writer, self._number, days, positions)
        except CommitFailedError:
            counts = False
        if not counts:
            raise UserError(f"another run writes to {self.table.storage.url} at the same time; let it end, then run the command again")
        self._number += 1
        for day in days:
            self._names.pop(day, None)
            self.table.remove_others(day, files)
        self._names |= {file.day: Path(file.path).stem for file in files}
