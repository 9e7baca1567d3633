"""`tidemark outcomes`, as a user runs it; that the monitor counts the same; and what it refuses."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from features.errors import UserError
from features.offline.parquet_tables import OfflineTable
from features.offline.storage import Storage
from streams.archive.served.outcomes import SCHEMA
from streams.archive.served.parquet_outcomes import OutcomesTable
from tests.made.outcomes_world import world
from tests.made.served_decisions import archive_more
from tests.run.command_line import home_at, ran

DAYS = 7
AS_OF = "2025-01-08"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder, of = tmp_path_factory.mktemp("outcomes"), world(DAYS, 60)
    archive_more(Storage.of(folder / "offline"), 1, scoring_log=of.rows, labels=of.labels, decisions=of.rows, transactions=of.copies)
    with home_at(folder):
        yield folder


def said(home: Path, *arguments: str) -> dict[str, Any]:
    ran("outcomes", "--json", home / "outcomes.json", *arguments)
    return dict(json.loads((home / "outcomes.json").read_text()))


def test_it_says_what_it_wrote_and_the_monitor_counts_the_same(home: Path) -> None:
    first = said(home, "--labels-after", "3d", "--as-of", AS_OF)
    assert len(first["written"]) == first["days"] >= DAYS
    assert (first["as_of"], first["labels_after_ms"], first["removed"]) == (AS_OF, 3 * 86_400_000, [])
    assert {"chargeback", "analyst"} <= set(first["labels_take"])
    assert said(home, "--labels-after", "3d", "--as-of", AS_OF)["written"] == []
    assert "0 of" in ran("outcomes", "--labels-after", "3d", "--as-of", AS_OF)
    rows = OutcomesTable(Storage.of(home / "offline")).read().to_pylist()
    assert sum(first["outcomes"].values()) == len(rows)

    ran("monitor", "--labels-after", "3d", "--as-of", AS_OF, "--json", home / "monitor.json")
    (version,) = json.loads((home / "monitor.json").read_text())["versions"]
    found = version["performance"]
    counted = [row for row in rows if row["mature"] and row["outcome"] != "unseen"]
    assert found["decisions"] == len(rows)
    assert found["immature"] == sum(not row["mature"] for row in rows)
    assert found["unseen"] == sum(row["mature"] and row["outcome"] == "unseen" for row in rows)
    assert (found["all"]["rows"], found["all"]["frauds"]) == (len(counted), sum(row["outcome"] == "fraud" for row in counted))
    young = [row["known"] for row in rows if not row["mature"]]
    assert found["known"] == pytest.approx(sum(young) / len(young))


def test_its_amounts_are_in_the_deployments_currency(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = tmp_path / "store"
    of = world(2)
    archive_more(Storage.of(store), 1, scoring_log=of.rows, labels=of.labels, decisions=of.rows, transactions=of.copies)
    monkeypatch.setenv("TIDEMARK_CURRENCY", "SEK")
    said(home, "--store", str(store))
    assert OfflineTable(Storage.of(store), "outcomes", SCHEMA).currency() == "SEK"
    monkeypatch.setenv("TIDEMARK_CURRENCY", "EUR")
    with pytest.raises(UserError, match="outcomes is in SEK, but this deployment settles in EUR"):
        said(home, "--store", str(store), "--labels-after", "1d")


def test_it_refuses_what_makes_no_table(home: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no decision is archived at .*; run `tidemark archive --once`"):
        said(home, "--store", str(tmp_path / "nothing"))
    with pytest.raises(UserError, match="--labels-after none leaves every decision immature"):
        said(home, "--labels-after", "none")
    with pytest.raises(UserError, match="--to 2025-01-01 must lie after --from 2025-01-02"):
        said(home, "--from", "2025-01-02", "--to", "2025-01-01")
