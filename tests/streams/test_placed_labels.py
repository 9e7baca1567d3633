"""All labels of a transaction act where the first one did, in stream, backfill and oracle alike, and wherever a stage is interrupted."""

from collections import Counter

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from features.arrays import RecordKind
from features.definitions import DAY, FEATURE_SETS
from features.oracle import Oracle
from streams.ingest import ingest, reapply
from streams.messages.partitioner import partition_of
from streams.messages.readers import label_reader, transaction_reader
from streams.messages.record import LogRecord
from streams.state import saved_state
from streams.state.saved_state import Saver
from tests.made.records import advanced, ingest_state, label, received, routed, score_state, transaction
from tests.made.saved_states import Topic, contents
from tests.made.seal import copied

START = 1_700_000_000_000
V2 = FEATURE_SETS["fraud_v2"]
# Merchants of both partitions of two.
HERE, THERE = (next(f"m{n}" for n in range(9) if partition_of(f"m{n}".encode(), 2) == number) for number in (0, 1))


def naming(sent: LogRecord, **other: object) -> LogRecord:
    """The label with other fields."""
    return copied(structs.replace(sent, value=msgspec.json.encode({**msgspec.json.decode(sent.value or b""), **other})))


def test_a_reversal_that_names_another_time_and_merchant_takes_back_what_was_added_where_it_was_added() -> None:
    paid = transaction(0, merchant=HERE, time=START)
    fraud = label(1, paid, START + DAY)
    reversal = naming(label(2, paid, START + 2 * DAY, is_fraud=False), event_time=START + 1, merchant_id=THERE)
    rows = [batch.rows.to_pylist() for batch in received(routed(ingest_state(2), [paid, fraud, reversal]), 0)]
    told = [(row["kind"], row["event_time"], row["merchant_id"], row["fraud"]) for (row,) in ([one] for batch in rows for one in batch)]
    assert told == [
        (RecordKind.TRANSACTION, START, HERE, 0),
        (RecordKind.LABEL, START, HERE, 1),
        (RecordKind.LABEL, START, HERE, -1),
    ]
    assert not received(routed(ingest_state(2), [paid, fraud, reversal]), 1)


@pytest.mark.parametrize("keys_before_the_end", [1, 2])
def test_where_a_label_went_is_known_again_though_its_first_one_is_forgotten(keys_before_the_end: int) -> None:
    """The user is saved after the first label has fallen out of memory, at a position beyond that from which the log is applied again."""
    paid = transaction(0, "u1", HERE, START)
    log = [
        paid,
        label(1, paid, START + DAY),
        naming(label(2, paid, START + 2 * DAY, is_fraud=False), merchant_id=THERE),
        transaction(3, "u1", HERE, START + 100 * DAY),
        transaction(4, "u2", HERE, START + 100 * DAY),
        transaction(5, "u3", THERE, START + 100 * DAY),
    ]
    state, topic = ingest_state(2, feature_set=V2), Topic()
    saver = Saver(state)
    ingest([(state, log[:2])], Counter())
    topic.write(saver.chunk(2, 9))
    ingest([(state, log[2:5])], Counter())
    topic.write(saver.chunk(5, keys_before_the_end))
    again = ingest_state(2, feature_set=V2)
    restored = saved_state.restore(again, topic, "here")
    reapply(again, log[restored.saved or 0 : 5])
    again.ahead = {}
    assert restored.saved == (2 if keys_before_the_end == 1 else 5)
    assert ingest([(again, log[5:])], Counter()) == ingest([(state, log[5:])], Counter())
    assert contents(again) == contents(state)


TIMES = st.sampled_from([0, 1, 3_600_000, DAY, 9 * DAY, 30 * DAY, 55 * DAY, 120 * DAY])


@st.composite
def logs(draw: st.DrawFn) -> list[LogRecord]:
    """Transactions of two users at three merchants, and labels of them that name whatever time and merchant."""
    log: list[LogRecord] = []
    paid: list[LogRecord] = []
    now = START
    for offset in range(draw(st.integers(2, 25))):
        if paid and draw(st.booleans()):
            of = draw(st.sampled_from(paid))
            about = msgspec.json.decode(of.value or b"")
            sent = label(offset, of, now + draw(TIMES) - 9 * DAY, draw(st.booleans()))
            if draw(st.booleans()):
                sent = naming(sent, event_time=about["event_time"] + draw(TIMES) - 30 * DAY, merchant_id=f"m{draw(st.integers(0, 2))}")
            log.append(sent)
            continue
        now += draw(TIMES)
        made = transaction(offset, f"u{draw(st.integers(0, 1))}", f"m{draw(st.integers(0, 2))}", now - draw(TIMES) // 2)
        paid.append(made)
        log.append(made)
    return log


@settings(deadline=None, max_examples=200)
@given(logs(), st.lists(st.integers(0, 25), max_size=3))
def test_the_stream_says_what_the_oracle_says(log: list[LogRecord], cuts: list[int]) -> None:
    observed = advanced(score_state(V2), received(routed(ingest_state(feature_set=V2), log, cuts), feature_set=V2))
    oracle, expected = Oracle.of(V2), []
    read_transaction, read_label = transaction_reader(), label_reader()
    for record in log:
        if record.headers:
            oracle.apply_label(read_label(record.value or b""))
        else:
            event = read_transaction(record.value or b"")
            seen = oracle.observe(event)
            expected.append([seen[name] for name in V2.names])
            oracle.apply_transaction(event)
    assert np.array(expected, np.float32).tobytes() == observed.vectors.tobytes()
