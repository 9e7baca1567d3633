"""Whoever reads an archive of another currency is refused before anything is made of it."""

from pathlib import Path

import pyarrow as pa
import pytest

from features.errors import UserError
from features.offline.parquet_tables import OfflineTable
from features.offline.storage import Storage
from infra.local import deployment_file
from tests.run.command_line import home_at, ran

DAYS = ("--from", "2025-01-01", "--to", "2025-01-03")
COMMANDS = (
    ("backfill", *DAYS),
    ("features", "export", *DAYS, "--out", "OUT"),
    ("features", "export", *DAYS, "--out", "OUT", "--backfill"),
    ("training-set", "OUT"),
    ("train",),
    ("retrain", "--reason", "test"),
    ("score-users", "--engine", "local"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("table", ["transactions", "scoring-log"])
def test_it_is_refused_in_one_sentence(command: tuple[str, ...], table: str, tmp_path: Path) -> None:
    store = tmp_path / "store"
    OfflineTable(Storage.of(store), table, pa.schema([("offset", pa.int64())]), "USD").commit([], "archive", 1)
    arguments = [str(tmp_path / "out") if part == "OUT" else part for part in command]
    with home_at(tmp_path / "home") as home:
        home.mkdir()
        deployment_file.write(home, features="fraud_v1", currency="EUR")
        with pytest.raises(UserError, match=rf"store/{table} is in USD, but this deployment settles in EUR"):
            ran(*arguments, "--store", store)
    assert not (tmp_path / "out").exists()
