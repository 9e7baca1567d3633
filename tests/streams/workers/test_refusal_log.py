"""Refusals in a worker's log: by reason, once a while, and only if there are any."""

import logging
from collections import Counter

import pytest

from streams.workers.refusal_log import RefusalLog, line_of, line_of_ignored
from tests.run.deployment import eventually


def test_a_line_says_how_many_by_reason_the_commonest_first() -> None:
    refused = Counter(wrong_partition=204, not_json=1_000)
    assert line_of(refused, 60.02) == (
        "refused 1,204 records in the last minute: not_json 1,000, wrong_partition 204; see `tidemark dead-letters`"
    )
    assert line_of(Counter(not_json=1), 12.3) == "refused 1 record in the last 12 s: not_json 1; see `tidemark dead-letters`"


def test_nothing_refused_is_nothing_said(caplog: pytest.LogCaptureFixture) -> None:
    assert line_of(Counter(), 60) is None
    assert line_of(Counter(not_json=0), 60) is None
    with caplog.at_level(logging.INFO):
        RefusalLog(Counter(late=3, labels=7, duplicates=2), every_s=0.01).close()
    assert not caplog.messages


def test_each_refusal_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    counts = Counter({"refused.not_json": 2, "late": 9})
    with caplog.at_level(logging.WARNING):
        log = RefusalLog(counts, every_s=0.05)
        eventually(lambda: len(caplog.messages) == 1, 30)
        counts["refused.wrong_key"] += 3
        eventually(lambda: len(caplog.messages) == 2, 30)
        counts["refused.not_json"] += 1
        log.close()
    said = [line.partition(" in the last ")[0] + ": " + line.partition(": ")[2].partition(";")[0] for line in caplog.messages]
    assert said == ["refused 2 records: not_json 2", "refused 3 records: wrong_key 3", "refused 1 record: not_json 1"]


def test_what_a_stage_refused_before_its_end_is_said_at_its_end(caplog: pytest.LogCaptureFixture) -> None:
    counts = Counter[str]()
    log = RefusalLog(counts)
    counts["refused.null_value"] += 5
    with caplog.at_level(logging.WARNING):
        log.close()
    assert [line.partition(" in ")[0] for line in caplog.messages] == ["refused 5 records"]


def test_what_others_wrote_is_said_apart(caplog: pytest.LogCaptureFixture) -> None:
    counts = Counter({"refused.not_json": 2, "ignored.headers": 3, "ignored.batches": 4_000})
    with caplog.at_level(logging.WARNING):
        RefusalLog(counts).close()
    assert [line.partition(" in the last ")[0] for line in caplog.messages] == ["refused 2 records", "ignored"]
    assert line_of_ignored(Counter(headers=3, batches=4_000), 60) == (
        "ignored in the last minute, for this deployment did not write them: batches 4,000, headers 3; see who else may write to its "
        "topics, and that all its processes have one key"
    )
    assert line_of_ignored(Counter(), 60) is None
