"""docs/features.md does as it says: its snippets run as they stand, on one history in both stores."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from features.history.log import HistoryLog
from features.history.log import vectors as of_history
from features.offline.storage import Storage
from features.online import feast_repo_writer
from features.online.feast_store import OnlineWriter
from tests.made.offline_tables import put, stats, vectors
from tests.made.online_states import V1, History, state_of, whole
from tests.run.redis_server import running_redis

DOC = Path(__file__).parents[2] / "docs" / "features.md"
# The last two are of one time, so the log's order decides.
MOMENTS = ["2018-04-01 09:00", "2018-04-02 08:00", "2018-04-02 08:30", "2018-04-02 08:30"]
AMOUNTS = [1_000, 2_500, 3_333, 9]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the snippets leave behind."""
    home = tmp_path_factory.mktemp("doc")
    times = [datetime.fromisoformat(moment).replace(tzinfo=UTC) for moment in MOMENTS]
    log = History(
        ["123"] * 4, ["m"] * 4, [None] * 4, np.array([int(time.timestamp()) * 1000 for time in times]), np.array(AMOUNTS, np.int64)
    )
    offline = Storage.of(home / ".tidemark" / "offline")
    with running_redis() as server, pytest.MonkeyPatch.context() as patch:
        feast_repo_writer.write(home / ".tidemark" / "feast", server.url)
        OnlineWriter(home / ".tidemark" / "feast", "app", "ingest").write(whole(state_of("user", log)))
        put(offline, "transaction_stats", stats([("123", times[i], *after(log, i + 1)) for i in range(4)]))
        put(offline, "scoring-log", vectors(V1, ["t1", "t2", "t3", "t4"], times, served(log)))
        patch.chdir(home)
        namespace: dict[str, Any] = {"expected": served(log)}
        for snippet in re.findall(r"```python\n(.*?)```", DOC.read_text(), re.DOTALL):
            exec(compile(snippet, str(DOC), "exec"), namespace)
        yield namespace


def after(log: History, n: int) -> tuple[float, int]:
    """Mean amount and number in the stats window after the first n transactions."""
    first = replace(log, user=log.user[:n], merchant=log.merchant[:n], device=log.device[:n], time=log.time[:n], amount=log.amount[:n])
    summary = whole(state_of("user", first)).summary
    assert summary is not None
    return int(summary.window_amount[0]) / int(summary.window_count[0]), int(summary.window_count[0])


def served(log: History) -> np.ndarray:
    """The vectors of the transactions, in their order."""
    table = pa.table(
        {
            "event_time": log.time,
            "amount": log.amount,
            "user_id": log.user,
            "merchant_id": log.merchant,
            "device_id": pa.array(log.device, pa.string()),
            "label_time": pa.array([None] * 4, pa.int64()),
            "is_fraud": pa.array([None] * 4, pa.bool_()),
        }
    )
    return of_history(HistoryLog.from_table(table), V1)


def test_history_is_as_of_the_time_asked_for(found: dict[str, Any]) -> None:
    assert found["then"]["avg_transaction_amount"].tolist()[:2] == [1_000.0, sum(AMOUNTS) / 4]
    assert found["then"]["transaction_count"].tolist()[:2] == [1.0, 4.0]
    assert found["then"].iloc[2].isna().sum() == 2


def test_after_the_last_event_history_and_online_store_agree(found: dict[str, Any]) -> None:
    assert found["now"] == {"user_id": ["123"], "avg_transaction_amount": [found["then"]["avg_transaction_amount"][1]]}


def test_the_vectors_are_those_that_were_served(found: dict[str, Any]) -> None:
    expected = found["expected"][[1, 0]]
    assert np.isnan(expected).any()
    assert found["vectors"].dtype == np.float32
    assert found["vectors"].tobytes() == expected.tobytes()
