"""The auditor over logs that no broker has seen: what the API answered, what was decided twice or never asked for, and the online store."""

from collections import Counter
from dataclasses import replace

import msgspec
import pytest

from features.definitions import FEATURE_SETS, FeatureSet
from features.online.feast_store import KeyState
from streams.audit import explanation
from streams.audit import store as store_audit
from streams.audit.auditor import Auditor
from streams.audit.recomputation import StateAt
from streams.audit.scored import Scored
from streams.messages import answer
from streams.messages.headers import opened
from tests.made.records import FRAUD_V1, scorer
from tests.made.seal import SEAL
from tests.made.seal import answered as with_answer
from tests.streams.audit.run_of_stages import Run, answered, history, run

LAST = len(history()) - 1


def audited(left: Run, together: int = 4, feature_set: FeatureSet = FRAUD_V1) -> Auditor:
    auditor = Auditor(feature_set, left.shape, left.read, lambda _: scorer(feature_set), oracle_share=0.5)
    rows = left.scored()
    for begin in range(0, len(rows), together):
        auditor.take(rows[begin : begin + together])
    auditor.finish()
    return auditor


@pytest.mark.parametrize("together", [1, 1000])
@pytest.mark.parametrize(("user_offset", "merchant_offset"), [(LAST, 27), (40, 27), (40, 3)])
def test_what_the_api_answered_is_made_again_from_the_states_that_it_names(user_offset: int, merchant_offset: int, together: int) -> None:
    """Whether these lie just before or far behind, where only another look at the log finds them."""
    before = run(history())
    asked = answered(before, user_offset, merchant_offset)
    auditor = audited(run([*before.transactions, asked]), together)
    assert (auditor.findings.mismatches, auditor.audit.tally.api) == (0, 1)


def test_a_degraded_answer_rests_on_the_request_alone() -> None:
    before = run(history())
    auditor = audited(run([*before.transactions, answered(before, 0, 0, degraded=True)]))
    assert (auditor.findings.mismatches, auditor.audit.tally.degraded) == (0, 1)


def test_an_answer_that_names_other_states_than_it_rests_on_is_found() -> None:
    before = run(history())
    asked = answered(before, 40, 27)
    given = answer.decode(opened(asked, 0, SEAL).answer or b"")
    lied = answer.encode(msgspec.structs.replace(given, user_state=answer.StatePosition(0, LAST)))
    auditor = audited(run([*before.transactions, with_answer(asked, lied)]))
    (mismatch,) = auditor.findings.examples
    assert mismatch.scored.transaction_id == f"t{asked.offset}"
    assert all(difference.feature.startswith("user_") for difference in mismatch.differences)


def test_a_decision_said_twice_is_counted_apart() -> None:
    left = run(history())
    again = replace(left, scoring_log=[*left.scoring_log, left.scoring_log[3]])
    auditor = audited(again)
    assert (auditor.findings.mismatches, auditor.audit.tally.repeated) == (0, len(left.scored()[3]))


def test_a_decision_that_nothing_asked_for_is_a_duplicate() -> None:
    left = run(history())
    values = [record.value for record in left.transactions]
    sent_again = next(offset for offset, value in enumerate(values) if value in values[:offset])
    rows = left.scored()[0].slice(0, 1)
    forged = rows.set_column(rows.schema.get_field_index("source_offset"), "source_offset", [[sent_again]])
    auditor = Auditor(FRAUD_V1, left.shape, left.read, lambda _: scorer(), oracle_share=0)
    auditor.take([*left.scored(), forged])
    auditor.finish()
    assert auditor.findings.causes == Counter({"duplicate": 1})


def test_a_wrong_probability_is_found() -> None:
    left = run(history())
    other = Auditor(FRAUD_V1, left.shape, left.read, lambda _: scorer(review=0.5), oracle_share=0)
    rows = left.scored()
    column = rows[0].schema.get_field_index("probability")
    shifted = [rows[0]["probability"].to_numpy() + 0.25]
    other.take([rows[0].set_column(column, "probability", shifted), *rows[1:]])
    other.finish()
    assert other.findings.causes == Counter({"unknown": len(rows[0])})
    assert {mismatch.what for mismatch in other.findings.examples} == {"probability"}


def test_decisions_on_another_known_feature_set_are_left_to_its_own_audit() -> None:
    left = run(history())
    auditor = audited(left, feature_set=FEATURE_SETS["fraud_v2"])
    assert auditor.audit.tally.audited == auditor.findings.mismatches == 0
    assert auditor.audit.tally.other_features == Counter({"fraud_v1": 160})


def test_the_store_is_right_behind_or_wrong() -> None:
    left = run(history())
    auditor = audited(left)
    end, middle = StateAt("user", 0, LAST, "u1"), StateAt("user", 0, 100, "u1")
    states = auditor.states([end, middle])
    right, early = states[end] or b"", states[middle] or b""
    digest = FRAUD_V1.digest

    def served(state: KeyState | None) -> store_audit.StoreFindings:
        return store_audit.compare(FRAUD_V1, auditor, {("user", "u1"): state})

    assert served(KeyState(right, 0, LAST, digest)) == ([], [])
    assert served(KeyState(early, 0, 100, digest)) == ([], [("user", "u1")])
    (stale,) = store_audit.lagging([("user", "u1")], 10)
    assert stale.cause == "lag"
    ((tampered,), _) = served(KeyState(early, 0, LAST, digest))
    assert tampered.cause == "unknown"
    assert any(difference.feature == "user_tx_count_30d" for difference in tampered.differences)
    ((garbage,), _) = served(KeyState(b"?", 0, LAST, digest))
    assert (garbage.cause, garbage.differences) == ("unknown", [])
    assert served(None).wrong[0].cause == "lag"
    assert served(KeyState(right, 0, LAST, "0" * 64)).wrong[0].cause == "definition version"


def test_a_decision_is_taken_apart() -> None:
    left = run(history())
    auditor = audited(left)
    rows = left.scored()[20]
    scored = Scored.of(rows, 2)
    explained = explanation.explanation(FRAUD_V1, scored, auditor.history(scored), [], scorer(), None)
    assert explained["reproduced"]
    windows = {(window["entity"], window["window"]): window for window in explained["windows"]}
    vector_ = dict(zip(FRAUD_V1.names, scored.vector.tolist(), strict=True))
    for entity in ("user", "merchant"):
        for window in FRAUD_V1.activity:
            assert windows[entity, window.name]["transactions"] == vector_[f"{entity}_tx_count_{window.name}"]
        for window in FRAUD_V1.outcome:
            labelled = windows[entity, f"{window.name} (labels)"]
            assert labelled["transactions"] == vector_[f"{entity}_matured_count_{window.name}"]
            assert labelled["frauds"] == vector_[f"{entity}_fraud_count_{window.name}"]
    lines = explanation.text(explained)
    assert lines[-1] == "reproduced bit for bit"
    assert any("and" in line and "more" in line for line in lines)
