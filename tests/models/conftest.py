"""A small simulated history as a table, for tests that train."""

from pathlib import Path

import pyarrow as pa
import pytest

from features.history.columns import parse_mapping
from features.history.datafile import read_transactions


@pytest.fixture(scope="session")
def small(small_file: Path) -> pa.Table:
    """The same as the canonical table, frauds known after 7 days."""
    return read_transactions(small_file, parse_mapping("tidemark"), "7d")
