"""Whether all is decided, and published once as it was logged: over logs that no broker has seen."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from streams.audit.auditor import Auditor
from streams.audit.completeness import Completeness, Incomplete
from streams.audit.places import Places
from streams.messages import batches
from streams.messages.events import Source, decode_decision
from tests.made.records import FRAUD_V1, scorer
from tests.streams.audit.run_of_stages import Run, history, run

WHOLE = run(history())
DECISIONS = [decode_decision(message) for message in WHOLE.decisions]


def completeness() -> Completeness:
    return Completeness("EUR", FRAUD_V1.digest, lambda _, probability: scorer().judged(probability))


def published(decisions: list[bytes]) -> list[Incomplete]:
    """What is found of these decisions, beside the whole scoring log."""
    complete = completeness()
    for rows in WHOLE.scored():
        complete.log(rows)
    found = complete.publish(decisions, logged=True) + complete.missing()
    assert Counter(one.cause for one in found) == complete.causes
    assert complete.missing() == [], "each is reported once"
    return found


def changed(**fields: object) -> list[bytes]:
    """The decisions, the fifth of them with other content."""
    return [*WHOLE.decisions[:4], msgspec.json.encode(structs.replace(DECISIONS[4], **fields)), *WHOLE.decisions[5:]]


def test_decisions_as_they_were_logged_are_complete() -> None:
    assert published(WHOLE.decisions) == []
    assert published(WHOLE.decisions[::-1]) == []


def test_a_decision_that_was_lost_is_missing_by_its_place() -> None:
    (found,) = published(WHOLE.decisions[:4] + WHOLE.decisions[5:])
    source = DECISIONS[4].source
    assert (found.cause, found.place) == ("missing decision", (source.partition, source.offset))
    assert len(published([])) == len(DECISIONS)


def test_a_decision_published_twice_is_found() -> None:
    for again in ([*WHOLE.decisions, WHOLE.decisions[4]], [*WHOLE.decisions[:5], *WHOLE.decisions[4:]]):
        (found,) = published(again)
        assert (found.cause, found.where) == ("repeated decision", f"transactions[0] at {DECISIONS[4].source.offset}")


OTHERWISE = "block" if DECISIONS[4].decision == "approve" else "approve"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"amount": 1}, "other content than scoring-log"),
        ({"probability": 0.25}, "other content than scoring-log"),
        ({"user_id": "mallory"}, "other content than scoring-log"),
        ({"model_version": "666", "model_digest": "no such model"}, "other content than scoring-log"),
        ({"currency": "USD"}, "currency USD, the deployment's is EUR"),
        ({"decision": OTHERWISE}, "by the policy it is"),
        ({"risk_score": 98}, "by the policy it is"),
    ],
)
def test_a_decision_that_differs_is_found_with_what_differs(change: dict[str, object], sentence: str) -> None:
    (found,) = published(changed(**change))
    assert found.cause == "differing decision"
    assert sentence in found.sentence


@pytest.mark.parametrize(
    "foreign",
    [
        b"",
        b"\xff",
        b'{"transaction_id": "t"}',
        b"[" * 100_000,
        *(
            msgspec.json.encode(structs.replace(DECISIONS[0], source=source))
            for source in (
                Source("transactions", 0, 10_000),
                Source("transactions", 7, 0),
                Source("transactions", 0, -1),
                Source("transactions", 2**62, 2**62),
                Source("transactions", 0, 2**62),
                Source("elsewhere", 0, DECISIONS[0].source.offset),
            )
        ),
    ],
)
def test_what_nothing_was_logged_for_is_foreign(foreign: bytes) -> None:
    (found,) = published([*WHOLE.decisions, foreign])
    assert found.cause == "foreign decision"


def test_what_is_logged_a_moment_later_is_not_foreign() -> None:
    complete, logs = completeness(), WHOLE.scored()
    assert complete.publish(WHOLE.decisions, logged=False) == []
    for rows in logs:
        complete.log(rows)
    assert complete.publish([], logged=True) + complete.missing() == []
    assert complete.decisions == len(DECISIONS)


def test_what_is_published_meanwhile_is_looked_at_only_once_scoring_log_is_read_further() -> None:
    """However many pieces of decisions come before that."""
    complete, logs = completeness(), WHOLE.scored()
    for decision in WHOLE.decisions:
        assert complete.publish([decision], logged=False) == []
    assert complete.publish([], logged=False) == []
    for rows in logs:
        complete.log(rows)
    assert complete.publish([], logged=True) + complete.missing() == []
    assert complete.publish([WHOLE.decisions[0].replace(b'"offset":', b'"offset":9999')], logged=False) == []
    assert len(complete.publish([], logged=True)) == 1


def undecided(left: Run, scored_to: int, ingested: int, in_log: Callable[[Places], None] = lambda _: None) -> list[int]:
    """The offsets of transactions without a decision, by a run's logs and the stages' positions."""
    complete = completeness()
    auditor = Auditor(FRAUD_V1, left.shape, left.read, lambda _: scorer(), oracle_share=0, observers=[complete.compute])
    for rows in left.scored():
        complete.log(rows)
    auditor.take(left.scored())
    auditor.finish()
    auditor.bring_to({0: ingested}, {0: scored_to})
    waiting = Places(np.bool_)
    in_log(waiting)
    return [offset for _, offset in complete.undecided(list(auditor.recomputation.unnamed()), {0: ingested}, waiting)]


END, BATCHES = len(WHOLE.transactions), len(WHOLE.by_merchant)


def offsets(numbers: slice) -> list[int]:
    """The offsets of the transactions that are decided by these batches."""
    rows = [batches.decode_order(record.value or b"", record.headers, (0, 0)).rows for record in WHOLE.by_merchant[numbers]]
    decided = {decision.source.offset for decision in DECISIONS}
    return [offset for batch in rows for offset in batch["offset"].to_pylist() if offset in decided]


def test_of_a_whole_log_nothing_is_undecided() -> None:
    assert undecided(WHOLE, BATCHES, END) == []


# The last two batches of which there are decisions.
CUT, LAST = (rows["log_offset"][0].as_py() for rows in WHOLE.scored()[-2:])


def test_what_score_has_passed_without_a_decision_is_undecided() -> None:
    lost = replace(WHOLE, scoring_log=WHOLE.scoring_log[:-2])
    assert undecided(lost, BATCHES, END) == offsets(slice(CUT, None))
    # As far as it has come.
    assert undecided(lost, LAST, END, lambda waiting: waits(waiting, slice(LAST, None))) == offsets(slice(CUT, LAST))


def waits(waiting: Places, numbers: slice) -> None:
    here = np.array(offsets(numbers), np.int64)
    waiting.set(np.zeros(len(here), np.int64), here, True)


def test_what_ingest_has_passed_and_never_sent_is_undecided() -> None:
    lost = replace(WHOLE, by_merchant=WHOLE.by_merchant[:CUT], scoring_log=WHOLE.scoring_log[:-2])
    expected = offsets(slice(CUT, None))
    assert undecided(lost, CUT, END) == expected
    assert undecided(lost, CUT, expected[0]) == []
    assert undecided(lost, CUT, expected[3]) == expected[:3]


def test_what_is_dropped_behind_a_gap_is_undecided() -> None:
    """INGEST has passed one batch over, so SCORE leaves out all that follow."""
    lost = replace(WHOLE, by_merchant=WHOLE.by_merchant[:5] + WHOLE.by_merchant[6:], scoring_log=WHOLE.scoring_log[:5])
    assert undecided(lost, BATCHES - 1, END) == offsets(slice(5, None))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60), st.integers(1, 9)), max_size=40))
def test_places_hold_what_was_set_last(entries: list[tuple[int, int, int]]) -> None:
    places, expected = Places(np.uint64), dict[tuple[int, int], int]()
    for source, offset, number in entries:
        places.set(np.array([source]), np.array([offset]), number)
        expected[source, offset] = number
    asked = [(source, offset) for source in range(-1, 5) for offset in range(-2, 70)]
    found = places.get(np.array([source for source, _ in asked]), np.array([offset for _, offset in asked]))
    assert found.tolist() == [expected.get(place, 0) for place in asked]
    assert sorted(places.where(lambda numbers, _sources, _offsets: numbers > 4)) == sorted(
        place for place, number in expected.items() if number > 4
    )
