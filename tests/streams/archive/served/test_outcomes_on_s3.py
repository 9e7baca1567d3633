"""The table ``outcomes`` on a real S3 server."""

from pathlib import Path

import pytest

from features.definitions import DAY
from features.offline.storage import Storage
from streams.archive.served.parquet_outcomes import OutcomesTable, update
from tests.made.outcomes_world import world
from tests.made.served_decisions import T0, archive_more
from tests.run.s3_server import BUCKET, s3_server

DAYS, DELAY = 6, 2 * DAY


@pytest.mark.slow
def test_it_is_the_same_as_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = world(DAYS)
    with s3_server(tmp_path / "s3") as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        stores = Storage.of(tmp_path / "folder"), Storage.of(f"s3://{BUCKET}/offline")
        for store in stores:
            archive_more(store, 1, scoring_log=of.rows, labels=of.labels, decisions=of.rows, transactions=of.copies)
        for as_of in (T0 + 5 * DAY, T0 + DAYS * DAY):
            done = [update(store, None, None, as_of, DELAY) for store in stores]
            assert done[0].written == done[1].written != ()
            found = [
                OutcomesTable(store).read().sort_by([("event_time", "ascending"), ("transaction_id", "ascending")]) for store in stores
            ]
            assert found[0].equals(found[1])
        assert update(stores[1], None, None, T0 + DAYS * DAY, DELAY).written == ()
