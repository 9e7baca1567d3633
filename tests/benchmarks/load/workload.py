"""What a benchmark sends: the transactions of a file, or simulated ones of the handbook's shape."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from features.errors import UserError
from features.history.columns import parse_mapping
from features.history.datafile import read_transactions, write_transactions
from streams.simulate import SIMULATED, SimulationSpec, simulate

# The handbook's: about two transactions a user and day.
_USERS, _MERCHANTS = 5_000, 10_000
_A_DAY = 9_500
_START_MS = 17_622 * 86_400_000  # 2018-04-01


@dataclass(frozen=True)
class Source:
    """A file with its ``--columns`` and ``--amount-unit``."""

    file: Path
    columns: str
    amount_unit: str | None = None


@dataclass(frozen=True)
class Workload:
    """Transactions as the canonical table, labels 7 d after frauds if it knows any, and as a file that ``tidemark replay`` takes."""

    table: pa.Table
    source: Source
    about: str

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def labels(self) -> int:
        """How many labels a replay sends besides."""
        return len(self) - int(self.table["label_time"].null_count)


def workload(source: Source | None, transactions: int | None, folder: Path) -> Workload:
    """The first ``transactions`` (None: all) of a file, in its order, or as many simulated ones, kept in ``folder`` if they aren't a
    file already. Raises UserError if the file can't be read or has fewer."""
    if source is not None:
        table = read_transactions(source.file, parse_mapping(source.columns, source.amount_unit))
        about = source.file.name
        if transactions is None or transactions == table.num_rows:
            return Workload(table, source, about)
    else:
        if transactions is None:
            raise UserError("without --data a benchmark must know how many transactions to simulate; say --transactions")
        days = -(-transactions // _A_DAY) + 1
        table = simulate(SimulationSpec(seed=0, users=_USERS, merchants=_MERCHANTS, start_ms=_START_MS, days=days))
        about = f"simulated, {_USERS:,} users and {_MERCHANTS:,} merchants"
    if table.num_rows < transactions:
        raise UserError(f"{about} has {table.num_rows:,} transactions, fewer than {transactions:,}; say a smaller --transactions")
    return written(table.slice(0, transactions), folder / "workload.parquet", about)


def written(table: pa.Table, file: Path, about: str) -> Workload:
    """A table with the columns of a simulated one as a workload, kept in ``file``."""
    write_transactions(file, [table.select(SIMULATED.names)], SIMULATED)
    source = Source(file, "tidemark")
    return Workload(read_transactions(file, parse_mapping(source.columns)), source, about)
