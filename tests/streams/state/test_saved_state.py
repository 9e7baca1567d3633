"""Saved states: whenever a worker dies, what it saved and the log together give the state it would have had."""

from collections import Counter

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from features.definitions import DAY, FEATURE_SETS, HOUR
from features.errors import UserError
from streams.ingest import ingest
from streams.messages.batches import Batch
from streams.messages.record import LogRecord
from streams.messages.validation import Validator
from streams.score import advance
from streams.state import saved_state
from streams.state.merchants import ScoreState
from streams.state.saved_state import Savable, Saver
from streams.state.users import IngestState
from tests.made.records import FRAUD_V1, ingest_state, label, received, routed, score_state, transaction
from tests.made.saved_states import Topic, contents

START = 1_700_000_000_000
V2 = FEATURE_SETS["fraud_v2"]


def history(n: int = 120, seed: int = 1) -> list[LogRecord]:
    """Transactions, some sent twice and some late, labels of all kinds, and poison, over 60 days, with Kafka times days apart too."""
    rng = np.random.default_rng(seed)
    log: list[LogRecord] = []
    for offset in range(n):
        now = START + offset * DAY // 2
        past = [record for record in log if record.value and b"amount" in record.value]
        kind = rng.random()
        if kind < 0.6 or not past:
            time = now - int(rng.integers(0, 2)) * int(rng.integers(0, 50 * DAY))
            record = transaction(offset, f"u{rng.integers(5)}", f"m{rng.integers(4)}", time, int(rng.integers(0, 3_000)))
        elif kind < 0.7:
            record = past[rng.integers(max(0, len(past) - 4), len(past))]
        elif kind < 0.95:
            record = label(offset, past[rng.integers(len(past))], now + int(rng.integers(-3, 3)) * DAY, bool(rng.random() < 0.6))
        else:
            record = structs.replace(transaction(offset), value=b"{")
        log.append(structs.replace(record, offset=offset, timestamp=START + 10**9 + offset * 10 * 60_000))
    return log


# After how many records the worker dies, how many it takes at once, how many keys a chunk has, and after which turns it saves one.
LIVES = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20), st.integers(1, 4), st.integers(1, 5)), min_size=1, max_size=6)


@given(LIVES, st.integers(0, 3), st.booleans())
# Died twice before anything was saved to the end; what the first life had begun to save was forgotten by the second.
@example([(10, 4, 1, 1), (1, 1, 4, 1)], 1, False)
@example([(12, 6, 1, 1), (27, 2, 1, 4), (54, 1, 1, 1)], 3, False)
@settings(max_examples=60, deadline=None)
def test_ingest_goes_on_as_if_it_had_never_died(lives: list[tuple[int, int, int, int]], seed: int, clean: bool) -> None:
    log = history(seed=seed)
    unhurt = ingest_state(2)
    expected = [row for sent in routed(unhurt, log) for row in rows(received([sent], sent.partition))]
    topic, position, sent_rows = Topic(), 0, []
    for lasts, at_once, most, every in [*lives, (len(log), 7, 100, 1)]:
        state = ingest_state(2)
        saver, begin = recovered(state, topic)
        ingest([(state, log[begin:position])], Counter()) if position > begin else None
        state.ahead = {}
        until = min(len(log), position + lasts)
        for turn, at in enumerate(range(position, until, at_once)):
            batch = log[at : min(at + at_once, until)]
            sent_rows += [row for sent in ingest([(state, batch)], Counter()) for row in rows(received([sent], sent.partition))]
            position = batch[-1].offset + 1
            if turn % every == 0:
                topic.write(saver.chunk(position, most))
        if clean:
            save_all(saver, topic, position)
    assert contents(state) == contents(unhurt)
    assert sorted(sent_rows) == sorted(expected)


@given(LIVES, st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_score_goes_on_as_if_it_had_never_died(lives: list[tuple[int, int, int, int]], seed: int) -> None:
    log = received(routed(ingest_state(1), history(seed=seed), range(0, 120, 3)))
    unhurt = score_state()
    expected = advance([(unhurt, log)], Counter())
    topic, position, seen = Topic(), 0, []
    for lasts, at_once, most, every in [*lives, (len(log), 7, 100, 1)]:
        state = score_state()
        saver, begin = recovered(state, topic)
        advance([(state, log[begin:position])], Counter()) if position > begin else None
        state.ahead = {}
        until = min(len(log), position + lasts)
        for turn, at in enumerate(range(position, until, at_once)):
            batch = log[at : min(at + at_once, until)]
            seen.append(advance([(state, batch)], Counter()).vectors)
            position = at + len(batch)
            if turn % every == 0:
                topic.write(saver.chunk(position, most))
    assert contents(state) == contents(unhurt)
    assert np.concatenate(seen).tobytes() == expected.vectors.tobytes()


def recovered(state: Savable, topic: Topic) -> tuple[Saver, int]:
    restored = saved_state.restore(state, topic, "here")
    return restored.saver, restored.saved or 0


def save_all(saver: Saver, topic: Topic, position: int) -> None:
    while saver.in_round or saver.saved != position:
        topic.write(saver.chunk(position, 3))


def rows(read: list[Batch]) -> list[tuple[object, ...]]:
    # Missing features are NaN, which isn't equal to itself.
    return [(row.pop("source"), row.pop("offset"), repr(row)) for batch in read for row in batch.rows.to_pylist()]


def saved() -> Topic:
    topic, state = Topic(), ingest_state(2)
    ingest([(state, history())], Counter())
    save_all(Saver(state), topic, 120)
    return topic


def test_a_clean_stop_leaves_nothing_to_apply_again() -> None:
    state = ingest_state(2)
    restored = saved_state.restore(state, saved(), "here")
    assert (restored.saved, state.ahead) == (120, {})
    assert restored.positions.tolist() == [120] * len(state.users)
    assert state.users.take_changed(3).tolist() == []


def test_what_is_forgotten_leaves_the_topic_too() -> None:
    topic, state = Topic(), ingest_state()
    saver = Saver(state)
    for hours in range(100):
        record = structs.replace(transaction(hours, time=START + hours * HOUR), timestamp=START + hours * HOUR)
        ingest([(state, [record])], Counter())
        save_all(saver, topic, hours + 1)
    seen = [key for key in topic if b"/seen/" in key]
    assert len(seen) <= 3
    assert len(topic) == len(seen) + 2


def test_what_was_given_up_stays_given_up_whatever_is_computed() -> None:
    topic = saved()
    topic.write([saved_state.failed_record((0, 7))])
    same, other = ingest_state(2), ingest_state(2, feature_set=V2)
    saved_state.restore(same, topic, "here")
    saved_state.start_over(other, topic)
    assert same.failed == other.failed == {(0, 7)}


def test_a_state_that_starts_over_leaves_nothing_of_the_memory_that_was_there() -> None:
    topic, state = saved(), ingest_state(2)
    saver = saved_state.start_over(state, topic)
    before = {key for key in topic if b"/seen/" in key}
    assert before
    ingest([(state, history(seed=2)[:5])], Counter())
    save_all(saver, topic, 5)
    assert not before & set(topic)
    again = ingest_state(2)
    saved_state.restore(again, topic, "here")
    assert contents(again)[2] == contents(state)[2]


def test_states_of_other_features_are_refused() -> None:
    with pytest.raises(UserError, match=r"here holds states of feature set fraud_v1 \(.*computes fraud_v2.*tidemark rebuild-state"):
        saved_state.restore(ingest_state(2, feature_set=V2), saved(), "here")


def test_states_of_another_currency_are_refused() -> None:
    in_dollars = IngestState(FRAUD_V1, Validator("transactions", 0, 1, "USD"), 2)
    sentence = r"^here holds states of amounts in EUR, this worker settles in USD; run the workers in EUR \(TIDEMARK_CURRENCY\), or give"
    with pytest.raises(UserError, match=sentence):
        saved_state.restore(in_dollars, saved(), "here")
    topic = Topic()
    save_all(Saver(score_state()), topic, 0)
    with pytest.raises(UserError, match=sentence):
        saved_state.restore(ScoreState(FRAUD_V1, 1, 1, "USD"), topic, "here")


def test_states_that_dont_say_their_currency_are_those_of_the_deployment() -> None:
    """As 0.2.0 saved them; the next round says it."""
    topic = saved()
    (at,) = [key for key in topic if key.endswith(b"/at")]
    content = msgspec.msgpack.decode(topic[at])
    assert content["standing"].pop("currency") == "EUR"
    topic[at] = msgspec.msgpack.encode(content)
    state = ingest_state(2)
    restored = saved_state.restore(state, topic, "here")
    assert restored.saved == 120
    assert state.progress().currency == "EUR"


def test_states_of_another_number_of_partitions_are_refused() -> None:
    for other in (ingest_state(3), ingest_state(2, partitions=2)):
        with pytest.raises(UserError, match="here was saved when the stage's topic had 1 partitions and its counterpart 2, now"):
            saved_state.restore(other, saved(), "here")
    topic = Topic()
    save_all(Saver(score_state()), topic, 0)
    with pytest.raises(UserError, match="start over with `tidemark reset --keep-models`"):
        saved_state.restore(ScoreState(FRAUD_V1, 1, 2, "EUR"), topic, "here")


def test_which_model_decides_from_where_on_stands_beside_the_states() -> None:
    topic, state = saved(), ingest_state(2)
    key, value = saved_state.variant_record(state.users, 7, {"model_digest": "f"})
    topic.write([(key, value)])
    assert saved_state.restore(state, topic, "here").saved == 120
    assert value is not None
    assert msgspec.msgpack.decode(value) == {"model_digest": "f"}
