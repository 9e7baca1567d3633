"""What a Spark task of a backfill leaves behind: files by day, and for whoever started it a report of each day done."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path

import pyarrow as pa

from features.backfill.plan import Target
from features.backfill.tables import ComputedTable
from features.offline.parquet_tables import WrittenFile, write_file

# A file of 77 columns takes some ten bytes of memory a value while it is put together.
_MOST_ROWS = 100_000


@dataclass
class DayFiles:
    """The files of one task of ``tasks``; ``reports`` is a folder that whoever started it reads, ``origin`` goes into each file."""

    targets: Sequence[Target]
    reports: Path
    task: int
    tasks: int
    origin: Mapping[str, str]
    _day: date | None = field(init=False, default=None)
    _rows: list[ComputedTable] = field(init=False, default_factory=list)
    _files: list[dict[str, object]] = field(init=False, default_factory=list)
    _pieces: int = field(init=False, default=0)

    def add(self, computed: ComputedTable) -> None:
        """Takes rows that come after all before."""
        for day, rows in computed.by_day():
            if day != self._day:
                self._finish()
                self._day = day
            self._rows.append(rows)
            if sum(len(rows.event_time) for rows in self._rows) >= _MOST_ROWS:
                self._write()

    def close(self) -> None:
        """No more rows will come."""
        self._finish()

    def _finish(self) -> None:
        if self._day is None:
            return
        self._write()
        with (self.reports / str(self.task)).open("a") as report:
            report.write(json.dumps({"day": self._day.isoformat(), "files": self._files}) + "\n")
        self._files, self._pieces = [], 0

    def _write(self) -> None:
        if self._day is None or not self._rows:
            return
        for target in self.targets:
            if self._day in target.missing:
                stem = f"{target.edition}-{self.task:03d}of{self.tasks:03d}-{self._pieces:03d}"
                rows = pa.concat_tables([target.table.rows(part) for part in self._rows])
                written = write_file(target.offline.storage, self._day, stem, rows.replace_schema_metadata(dict(self.origin)))
                self._files.append({"table": target.table.name, **asdict(written), "day": self._day.isoformat()})
        self._rows = []
        self._pieces += 1


@dataclass
class Reports:
    """What the tasks have reported so far."""

    folder: Path
    tasks: int
    _read: dict[int, int] = field(init=False, default_factory=dict)
    _reached: dict[int, date] = field(init=False, default_factory=dict)
    _files: dict[date, list[tuple[str, WrittenFile]]] = field(init=False, default_factory=dict)

    def update(self) -> None:
        """Reads what is new."""
        for task in range(self.tasks):
            for line in self._new_lines(task):
                report = json.loads(line)
                self._reached[task] = day = date.fromisoformat(report["day"])
                files = self._files.setdefault(day, [])
                files += [(file.pop("table"), WrittenFile(**{**file, "day": day})) for file in report["files"]]

    def reached(self) -> date | None:
        """The day up to which, that one included, every task is done; None if some task isn't with any."""
        return min(self._reached.values()) if len(self._reached) == self.tasks else None

    def files(self, table: str, days: Sequence[date]) -> list[WrittenFile]:
        """The files of these days that are written."""
        return [file for day in days for name, file in self._files.get(day, ()) if name == table]

    def _new_lines(self, task: int) -> Iterator[str]:
        path = self.folder / str(task)
        if not path.is_file():
            return
        with path.open() as report:
            report.seek(self._read.get(task, 0))
            new = report.read()
        whole = new[: new.rfind("\n") + 1]
        self._read[task] = self._read.get(task, 0) + len(whole)
        yield from whole.splitlines()
