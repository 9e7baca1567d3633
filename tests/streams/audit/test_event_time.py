"""How far a disordered log's vectors are from those of the same events in the order of their times."""

from collections import Counter

import numpy as np
import pyarrow as pa
from msgspec import structs

from features.history.log import HistoryLog, vectors
from streams.audit.auditor import Auditor
from streams.audit.event_time import EventTime, text
from streams.messages.headers import SEQ
from streams.messages.record import LogRecord
from tests.made.records import FRAUD_V1, scorer, transaction
from tests.made.records_of_tables import as_table
from tests.made.records_of_tables import history as in_order
from tests.streams.audit.run_of_stages import Run, history, run


def reported(left: Run) -> tuple[dict[str, object], EventTime]:
    watcher = EventTime(FRAUD_V1)
    auditor = Auditor(FRAUD_V1, left.shape, left.read, lambda _: scorer(), oracle_share=0, watchers=[watcher], observers=[watcher.observe])
    auditor.take(left.scored())
    auditor.finish()
    return watcher.report(), watcher


def test_an_ordered_log_is_ideal() -> None:
    report, _ = reported(run(in_order()))
    assert (report["rows"], report["rows_that_differ"], report["values_that_differ"], report["features"]) == (60, 0, 0, {})


def test_a_replays_turn_settles_what_happened_at_once() -> None:
    """Two transactions of one moment arrive in another order than the replay's file has them: only its ``seq`` can tell."""
    first, second = (transaction(i, "u1", "m1", 1_700_000_000_000, 100 + i) for i in range(2))

    def differing(*turns: int | None) -> object:
        headers = [[] if turn is None else [(SEQ, b"%d" % turn)] for turn in turns]
        twins = [structs.replace(one, headers=turn) for one, turn in zip((first, second), headers, strict=True)]
        return reported(run(twins))[0]["rows_that_differ"]

    assert differing(None, None) == 0
    assert differing(7, 8) == 0
    assert differing(8, 7) == 2


def test_disorder_is_measured_against_a_backtest_of_the_same_events() -> None:
    records = in_order()
    rng = np.random.default_rng(0)
    order = np.argsort(np.arange(len(records)) + rng.integers(0, 12, len(records)), kind="stable")
    left = run([structs.replace(records[i], offset=offset) for offset, i in enumerate(order.tolist())])
    report, _ = reported(left)

    ideal = dict(zip(ids_in_time(records), vectors(HistoryLog.from_table(as_table(records)), FRAUD_V1), strict=True))
    logged = pa.concat_tables(left.scored())
    served = dict(zip(logged["transaction_id"].to_pylist(), np.array(logged["vector"].to_pylist(), np.float32), strict=True))
    differing: Counter[str] = Counter()
    rows = 0
    for name, vector in served.items():
        columns = np.flatnonzero(vector.view(np.uint32) != ideal[name].view(np.uint32)).tolist()
        differing.update(FRAUD_V1.names[column] for column in columns)
        rows += bool(columns)
    assert rows > 5
    assert report["rows_that_differ"] == rows
    assert {name: figures["differing"] for name, figures in report["features"].items()} == dict(differing)  # type: ignore[attr-defined]
    assert report["values_that_differ"] == differing.total()
    assert f"{rows} of 60 vectors" in text(report)[0]


def ids_in_time(records: list[LogRecord]) -> list[str]:
    table = as_table(records)
    return table["transaction_id"].take(pa.array(HistoryLog.from_table(table).order)).to_pylist()


def test_a_log_with_late_events_differs_in_some_rows_only() -> None:
    report, _ = reported(run(history()))
    assert 0 < report["rows_that_differ"] < report["rows"] == 160  # type: ignore[operator]
