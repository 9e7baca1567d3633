"""A small simulated history, as a table and as a file, for tests that train."""

from pathlib import Path

import pyarrow as pa
import pytest

from features.definitions import DAY
from streams.columns import parse_mapping
from streams.datafile import read_transactions, write_transactions
from streams.simulate import SIMULATED, SimulationSpec, simulate_chunks

BEGIN = 20_089 * DAY  # 2025-01-01


@pytest.fixture(scope="session")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty days of 400 users from 2025-01-01, for ``--columns tidemark``."""
    file = tmp_path_factory.mktemp("small") / "small.parquet"
    spec = SimulationSpec(seed=1, users=400, merchants=300, start_ms=BEGIN, days=40, takeovers=20)
    write_transactions(file, simulate_chunks(spec), SIMULATED)
    return file


@pytest.fixture(scope="session")
def small(small_file: Path) -> pa.Table:
    """The same as the canonical table, frauds known after 7 days."""
    return read_transactions(small_file, parse_mapping("tidemark"), "7d")
