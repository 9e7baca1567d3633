"""Both stages as pure functions: whatever the batches, the vectors are the history's; what is said twice counts once."""

from collections import Counter
from dataclasses import fields, replace

import msgspec
import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from features.arrays import Float32
from features.definitions import DAY, HOUR
from features.history.log import HistoryLog, vectors
from models.experiments.variant import Variant
from models.scoring import Scorer, Scores
from streams.ingest import ingest
from streams.messages import answer, scoring_log
from streams.messages.batches import Batch
from streams.messages.events import DeadLetter, Decision, Source
from streams.messages.partitioner import partition_of
from streams.messages.record import LogRecord
from streams.score import admit, decide, decide_each
from tests.made.decisions import decision
from tests.made.records import FRAUD_V1, advanced, ingest_state, label, received, routed, score_state, scorer, transaction
from tests.made.records_of_tables import START, as_table, history
from tests.made.seal import answered

CUTS = st.lists(st.integers(1, 80), max_size=8)


@given(CUTS, st.integers(1, 6))
@settings(max_examples=25, deadline=None)
def test_vectors_are_the_historys_whatever_the_batches(cuts: list[int], together: int) -> None:
    records = history()
    batches = received(routed(ingest_state(), records, cuts))
    state = score_state()
    seen = [advanced(state, batches[i : i + together]).vectors for i in range(0, len(batches), together)]
    expected = vectors(HistoryLog.from_table(as_table(records)), FRAUD_V1)
    assert np.concatenate(seen).tobytes() == expected.tobytes()


@given(CUTS, CUTS, st.integers(0, 60))
@settings(max_examples=25, deadline=None)
def test_what_a_restarted_ingest_says_again_counts_once(cuts: list[int], other_cuts: list[int], committed: int) -> None:
    records = history()
    first = routed(ingest_state(2), records, cuts)
    again = ingest_state(2)
    routed(again, records[:committed])
    repeated = routed(again, records[committed:], other_cuts)
    for partition in (0, 1):
        once, twice = score_state(), score_state()
        advanced(once, received(first, partition))
        counts: Counter[str] = Counter()
        seen = advanced(twice, received(first + repeated, partition), counts)
        assert counts["gaps"] == 0
        ids = seen.rows["transaction_id"].to_pylist()
        assert len(ids) == len(set(ids))
        assert everything(twice) == everything(once)


def everything(state: object) -> tuple[object, ...]:
    merchants = state.merchants  # type: ignore[attr-defined]
    return state.high_water, list(merchants.keys), merchants.encode(np.arange(len(merchants)))  # type: ignore[attr-defined]


def test_a_batch_that_leaves_a_gap_is_left_out_until_it_is_said_again() -> None:
    records = history()
    batches = received(routed(ingest_state(), records, [20, 40]))
    state = score_state()
    counts: Counter[str] = Counter()
    advanced(state, [batches[0], batches[2]], counts)
    assert counts["gaps"] == 1
    assert state.high_water == {0: 19}
    advanced(state, [batches[1], batches[2]], counts)
    assert state.high_water == {0: len(records) - 1}


def test_partitions_taken_in_one_turn_say_what_each_would_alone() -> None:
    users = [f"u{i}" for i in range(40)]
    logs = [
        [
            transaction(i, user, f"m{i % 7}", START + i * HOUR)
            for i, user in enumerate(user for user in users if partition_of(user.encode(), 2) == p)
        ]
        for p in (0, 1)
    ]
    logs[1][3] = structs.replace(logs[1][3], value=b"{")
    together = [ingest_state(3, source, 2) for source in (0, 1)]
    alone = [ingest_state(3, source, 2) for source in (0, 1)]
    sent = [one for cut in (slice(5), slice(5, None)) for one in ingest([(together[p], logs[p][cut]) for p in (0, 1)], Counter())]
    singly = [one for p in (0, 1) for one in ingest([(alone[p], logs[p])], Counter())]
    for target in range(3):
        assert by_source(received(sent, target)) == by_source(received(singly, target))
    assert [state.previous for state in together] == [state.previous for state in alone]


def by_source(read: list[Batch]) -> list[tuple[object, ...]]:
    rows = [row for batch in read for row in batch.rows.to_pylist()]
    # Missing features are NaN, which isn't equal to itself.
    return sorted((row.pop("source"), row.pop("offset"), repr(row)) for row in rows)


def test_one_sources_gap_holds_back_its_rows_alone() -> None:
    logs = [[transaction(i, user, time=START + i) for i in range(4)] for user in ("u0", "u11")]
    assert [partition_of(user, 2) for user in (b"u0", b"u11")] == [0, 1]
    first, second = ingest_state(1, 0, 2), ingest_state(1, 1, 2)
    early = ingest([(first, logs[0][:2])], Counter())
    lost = ingest([(second, logs[1][:2])], Counter())
    late = ingest([(first, logs[0][2:]), (second, logs[1][2:])], Counter())
    state = score_state()
    counts: Counter[str] = Counter()
    seen = advanced(state, received([*early, *late]), counts)
    assert seen.rows["user_id"].to_pylist() == ["u0"] * 4
    assert (counts["gaps"], state.high_water) == (1, {0: 3})
    again = advanced(state, received([*lost, *late]), counts)
    assert again.rows["user_id"].to_pylist() == ["u11"] * 4
    assert state.high_water == {0: 3, 1: 3}


def test_every_transaction_gets_a_decision_and_every_bad_record_a_dead_letter() -> None:
    good = [transaction(offset, amount=offset * 10) for offset in range(300)]
    bad = {5: b"{", 6: None, 200: b"[]", 299: b'{"amount":-1}'}
    records = [structs.replace(record, value=bad.get(record.offset, record.value)) for record in good]
    counts: Counter[str] = Counter()
    sent = routed(ingest_state(3), records, [7, 150], counts)
    letters, decisions = [], []
    for partition in range(3):
        batches = received(sent, partition)
        if batches:
            outcome = decide(advanced(score_state(), batches), Variant(scorer()), "EUR", 1)
            letters += [msgspec.json.decode(letter, type=DeadLetter) for letter in outcome.dead_letters]
            decisions += [(key, msgspec.json.decode(message, type=Decision)) for key, message in outcome.decisions]
    assert sorted(letter.offset for letter in letters) == sorted(bad)
    assert {letter.reason for letter in letters} == {"not_json", "null_value", "invalid_field"}
    assert sorted(decision.source.offset for _, decision in decisions) == sorted(set(range(300)) - set(bad))
    assert {key for key, _ in decisions} == {b"u1"}
    assert counts["refused.not_json"] == 1


def test_a_decision_says_what_it_rests_on() -> None:
    model = scorer(review=0.5)
    records = [transaction(0, amount=100), transaction(1, amount=1_900, time=START + HOUR)]
    outcome = decide(advanced(score_state(), received(routed(ingest_state(), records))), Variant(model), "EUR", 42)
    approved, flagged = (msgspec.json.decode(message, type=Decision) for _, message in outcome.decisions)
    assert (approved.decision, approved.reasons, approved.risk_level) == ("approve", [], "normal")
    assert flagged.decision in ("review", "block")
    assert flagged.reasons[0].feature == "amount"
    assert flagged.reasons[0].value == 1_900
    assert flagged.risk_score == min(99, int(100 * flagged.probability))
    assert (flagged.source.topic, flagged.source.partition, flagged.source.offset) == ("transactions", 0, 1)
    assert (flagged.model_digest, flagged.policy_digest, flagged.features_digest) == (
        model.model_digest,
        model.policy.digest,
        FRAUD_V1.digest,
    )
    assert (flagged.origin, flagged.variant, flagged.decided_at) == ("stream", "champion", 42)
    (log,) = outcome.log
    table = scoring_log.decode(log)
    assert table["transaction_id"].to_pylist() == ["t0", "t1"]
    assert table["probability"].to_pylist() == [approved.probability, flagged.probability]
    vector = np.array(table["vector"].to_pylist(), np.float32)
    assert model.score(vector).probability.tolist() == table["probability"].to_pylist()
    assert table["source_offset"].to_pylist() == [0, 1]


def test_what_the_api_told_is_what_the_stream_says() -> None:
    given = decision("t1", START + HOUR)
    vector = np.arange(len(FRAUD_V1.names), dtype=np.float32)
    header = answer.encode(answer.Answer(given, vector.tobytes(), answer.StatePosition(0, 0), answer.StatePosition(-1, -1)))
    records = [
        transaction(0),
        answered(transaction(1, amount=500, time=START + HOUR), header),
        transaction(2),
    ]
    outcome = decide(advanced(score_state(), received(routed(ingest_state(), records))), Variant(scorer()), "EUR", 42)
    decisions = [msgspec.json.decode(message, type=Decision) for _, message in outcome.decisions]
    assert [decision.origin for decision in decisions] == ["stream", "api", "stream"]
    given.source = Source("transactions", 0, 1)
    assert decisions[1] == given
    table = scoring_log.decode(outcome.log[0])
    assert table["vector"].to_pylist()[1] == vector.tolist()
    assert table["user_state_offset"].to_pylist() == [None, 0, None]
    assert table["model_version"].to_pylist() == ["1", "9", "1"]


@given(st.lists(st.tuples(st.integers(0, 80), st.integers(0, 80)), max_size=15), CUTS)
@settings(max_examples=25, deadline=None)
def test_a_log_with_duplicates_says_what_it_would_without(pairs: list[tuple[int, int]], cuts: list[int]) -> None:
    records = history()
    log = list(records)
    for of, distance in pairs:
        original = records[of % len(records)]
        at = min(len(log), log.index(original) + 1 + distance)
        log.insert(at, structs.replace(original, headers=list(original.headers)))
    log = [structs.replace(record, offset=offset) for offset, record in enumerate(log)]
    counts: Counter[str] = Counter()
    seen = advanced(score_state(), received(routed(ingest_state(), log, cuts, counts)))
    expected = advanced(score_state(), received(routed(ingest_state(), records)))
    assert seen.vectors.tobytes() == expected.vectors.tobytes()
    assert seen.rows["transaction_id"].to_pylist() == expected.rows["transaction_id"].to_pylist()
    labels = sum(1 for record in log if record.headers)
    assert counts["duplicates"] == len(log) - labels - len(expected.rows)


def test_an_id_with_other_content_is_refused_and_counts_nowhere() -> None:
    records = [transaction(0, amount=100), transaction(1, amount=200, transaction_id="t0"), transaction(2, time=START + HOUR)]
    counts: Counter[str] = Counter()
    outcome = decide(advanced(score_state(), received(routed(ingest_state(), records, counts=counts))), Variant(scorer()), "EUR", 1)
    (letter,) = (msgspec.json.decode(letter, type=DeadLetter) for letter in outcome.dead_letters)
    assert (letter.reason, letter.offset) == ("conflict", 1)
    assert "taken before with other content" in letter.sentence
    ids = [msgspec.json.decode(message, type=Decision).transaction_id for _, message in outcome.decisions]
    assert ids == ["t0", "t2"]
    vector = np.array(scoring_log.decode(outcome.log[0])["vector"].to_pylist()[-1])
    assert vector[FRAUD_V1.names.index("user_mean_amount_24h")] == 100
    assert counts["refused.conflict"] == 1


def test_of_topic_and_api_the_first_in_the_log_wins() -> None:
    given = decision("t0", START, amount=1_000)
    vector = np.zeros(len(FRAUD_V1.names), np.float32)
    header = answer.encode(answer.Answer(given, vector.tobytes(), answer.StatePosition(0, 0), answer.StatePosition(-1, -1)))
    by_api = answered(transaction(0), header)
    for first, second, origin, overruled in ((transaction(0), by_api, "stream", 1), (by_api, transaction(0), "api", 0)):
        records = [first, structs.replace(second, offset=1)]
        counts: Counter[str] = Counter()
        outcome = decide(advanced(score_state(), received(routed(ingest_state(), records, counts=counts))), Variant(scorer()), "EUR", 1)
        (made,) = (msgspec.json.decode(message, type=Decision) for _, message in outcome.decisions)
        assert (made.origin, counts["duplicates"], counts["answers_overruled"]) == (origin, 1, overruled)


def test_a_label_counts_for_user_and_merchant_once() -> None:
    first = transaction(0, time=START)
    known = START + 7 * DAY
    records = [first, label(1, first, known), label(2, first, known), transaction(3, time=START + 9 * DAY)]
    seen = advanced(score_state(), received(routed(ingest_state(), records)))
    values = dict(zip(FRAUD_V1.names, seen.vectors[-1].tolist(), strict=True))
    assert (values["user_matured_count_7d"], values["user_fraud_count_7d"], values["user_fraud_rate_7d"]) == (1, 1, 1)
    assert (values["merchant_matured_count_7d"], values["merchant_fraud_count_7d"]) == (1, 1)
    assert len(seen.rows) == 2


def test_a_reversed_label_takes_back_and_an_older_one_changes_nothing() -> None:
    first = transaction(0, time=START)
    known = START + 7 * DAY
    records = [
        first,
        label(1, first, known + 1),
        label(2, first, known + 2, is_fraud=False),
        label(3, first, known),
        transaction(4, time=START + 9 * DAY),
    ]
    seen = advanced(score_state(), received(routed(ingest_state(), records)))
    values = dict(zip(FRAUD_V1.names, seen.vectors[-1].tolist(), strict=True))
    assert (values["user_fraud_count_7d"], values["merchant_fraud_count_7d"]) == (0, 0)


def test_records_given_up_are_refused_and_the_rest_decided() -> None:
    records = history(40)
    culprits = [record.offset for record in records if record.offset % 17 == 3]
    state, other = ingest_state(), score_state()
    state.failed = {(0, culprits[0])}
    other.failed = {(0, offset) for offset in culprits[1:]}
    outcome = decide(advanced(other, received(routed(state, records, [10]))), Variant(scorer()), "EUR", 1)
    letters = [msgspec.json.decode(letter, type=DeadLetter) for letter in outcome.dead_letters]
    assert {(letter.offset, letter.reason) for letter in letters} == {(offset, "processing_failed") for offset in culprits}
    decided = {msgspec.json.decode(message, type=Decision).source.offset for _, message in outcome.decisions}
    assert decided == {record.offset for record in records if not record.headers} - set(culprits)


def test_a_transaction_on_which_the_model_fails_costs_no_other_its_decision() -> None:
    class Broken(Scorer):
        def score(self, vectors: Float32) -> Scores:
            if (vectors[:, 0] == 666).any():
                raise RuntimeError("can't")
            return super().score(vectors)

    model = scorer()
    broken = Broken(**{field.name: getattr(model, field.name) for field in fields(model)})
    records = [transaction(offset, amount=666 if offset in (4, 11, 12) else 100 + offset) for offset in range(20)]
    records[7] = structs.replace(records[7], value=b"{")
    observed = advanced(score_state(), received(routed(ingest_state(), records)))
    failed: list[int] = []
    outcome = decide_each(observed, Variant(broken), "EUR", 1, lambda rows, _error: failed.append(len(rows)))
    assert (failed[0], failed.count(1)) == (19, 3)
    letters = [msgspec.json.decode(letter, type=DeadLetter) for letter in outcome.dead_letters]
    assert sorted((letter.offset, letter.reason) for letter in letters) == [
        (4, "processing_failed"), (7, "not_json"), (11, "processing_failed"), (12, "processing_failed"),
    ]  # fmt: skip
    decided = [msgspec.json.decode(message, type=Decision).source.offset for _, message in outcome.decisions]
    assert decided == [offset for offset in range(20) if offset not in (4, 7, 11, 12)]
    logged = [offset for log in outcome.log for offset in scoring_log.decode(log)["source_offset"].to_pylist()]
    assert logged == decided


@pytest.mark.parametrize("error", [MemoryError(), xgb.core.XGBoostError("std::bad_alloc")])
def test_where_memory_runs_out_no_transaction_is_given_up(error: Exception) -> None:
    class Short(Scorer):
        def score(self, vectors: Float32) -> Scores:
            if len(vectors) > 3:
                raise error
            return super().score(vectors)

    model = scorer()
    short = Short(**{field.name: getattr(model, field.name) for field in fields(model)})
    observed = advanced(score_state(), received(routed(ingest_state(), [transaction(offset) for offset in range(20)])))
    with pytest.raises(type(error)):
        decide_each(observed, Variant(short), "EUR", 1, lambda _rows, _error: None)


def merchant_frauds(records: list[LogRecord]) -> float:
    """How many frauds the last transaction's merchant is known for."""
    seen = advanced(score_state(), received(routed(ingest_state(), records)))
    return float(seen.vectors[-1, FRAUD_V1.names.index("merchant_fraud_count_30d")])


def test_labels_before_their_transaction_of_an_unknown_one_repeated_and_reversed() -> None:
    first = transaction(0, "u1", "m1", START)
    later = transaction(9, "u9", "m1", START + 10 * DAY)
    found = label(1, first, START + DAY)
    reversed_ = label(2, first, START + 2 * DAY, is_fraud=False)

    def in_order(*log: LogRecord) -> list[LogRecord]:
        return [structs.replace(record, offset=offset) for offset, record in enumerate(log)]

    assert merchant_frauds(in_order(first, found, later)) == 1
    assert merchant_frauds(in_order(found, first, later)) == 1
    assert merchant_frauds(in_order(found, later)) == 1
    assert merchant_frauds(in_order(first, found, found, found, later)) == 1
    assert merchant_frauds(in_order(first, found, reversed_, later)) == 0
    assert merchant_frauds(in_order(first, reversed_, found, later)) == 0


def test_a_label_beyond_its_users_horizon_counts_nowhere() -> None:
    records = [
        transaction(0, "u1", "m1", START),
        transaction(1, "u1", "m2", START + 40 * DAY),
        # No window of u1 reaches its first transaction any more, though m1's do.
        label(2, transaction(0, "u1", "m1", START), START + 41 * DAY),
        transaction(3, "u2", "m1", START + 10 * DAY),
    ]
    counts: Counter[str] = Counter()
    routed(ingest_state(), records, counts=counts)
    assert counts["too_late"] == 1
    assert merchant_frauds(records) == 0
    assert merchant_frauds([records[0], structs.replace(records[2], offset=1), records[3]]) == 1


def test_of_a_batch_that_names_no_source_all_is_admitted() -> None:
    # The auditor has admitted its rows before.
    (batch,) = received(routed(ingest_state(), [transaction(0, "u", "m", START, 100)]))
    state, counts = score_state(), Counter[str]()
    assert len(admit(state, replace(batch, previous={}), counts).rows) == 1
    nothing = Batch(batch.rows.slice(0, 0), {}, (0, 0))
    assert (len(admit(state, nothing, counts).rows), state.high_water, counts) == (0, {}, {})
