"""A small simulated history, as a table and as a file, for commands that train."""

from pathlib import Path

import pyarrow as pa
import pytest

from features.history.columns import parse_mapping
from features.history.datafile import read_transactions
from tests.made.history import simulated


@pytest.fixture(scope="session")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty days of 400 users from 2025-01-01, for ``--columns tidemark``."""
    return simulated(tmp_path_factory.mktemp("small") / "small.parquet", 40)


@pytest.fixture(scope="session")
def small(small_file: Path) -> pa.Table:
    """The same as the canonical table, frauds known after 7 days."""
    return read_transactions(small_file, parse_mapping("tidemark"), "7d")
