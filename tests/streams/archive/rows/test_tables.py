"""Records as rows of the archive: each is taken for what the stages take it for, and none is lost."""

from datetime import date

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from feast import FeatureView
from feast.type_map import feast_value_type_to_pa
from msgspec import structs

from features.definitions import DAY
from features.online.feast_views import objects
from models.experiments.variant import Variant
from streams.archive.archived_topics import ARCHIVED
from streams.archive.rows.columns import Column
from streams.archive.rows.tables import TIME, LogPartition, by_day
from streams.messages import scoring_log
from streams.messages.events import Decision
from streams.messages.headers import SEQ
from streams.messages.record import LogRecord
from streams.messages.validation import Validator
from streams.score import decide
from tests.made.records import FRAUD_V1, KAFKA_TIME, advanced, ingest_state, label, received, routed, score_state, scorer, transaction
from tests.made.seal import ANSWER_KEY, last_mark, sealed
from tests.made.user_records import user

APRIL_1 = 1_522_540_800_000
WHOLE = LogPartition(0, 1, "EUR", ANSWER_KEY)


def archived(topic: str, *records: LogRecord, partition: LogPartition = WHOLE) -> pa.Table:
    table = ARCHIVED[topic].rows(partition, [LogRecord(*structs.astuple(record)) for record in records])
    assert table.schema == ARCHIVED[topic].schema
    return table


def test_the_log_of_transactions_is_taken_as_ingest_takes_it() -> None:
    paid = structs.replace(transaction(0, amount=1_250, device_id="d1", event_time="2018-04-01T10:00:00+02:00"), headers=[(SEQ, b"7")])
    known = label(1, transaction(0), label_time=APRIL_1 + 9 * DAY)
    foreign = transaction(2, currency="USD")
    end = structs.replace(last_mark(3, "replay", 9), timestamp=KAFKA_TIME)
    rows = archived("transactions", paid, known, foreign, end).to_pylist()
    assert [row["kind"] for row in rows] == ["transaction", "label", "refused", "end-of-replay"]
    assert (rows[0]["seq"], rows[0]["event_time"], rows[0]["amount"]) == (7, APRIL_1 + 8 * 3_600_000, 1_250)
    assert (rows[0]["device_id"], rows[0]["refused"], rows[0]["raw_value"]) == ("d1", None, None)
    assert (rows[1]["label_time"], rows[1]["is_fraud"], rows[1]["amount"]) == (APRIL_1 + 9 * DAY, True, None)
    assert "USD is not this deployment's EUR" in rows[2]["refused"]
    assert (rows[2]["raw_key"], rows[2]["raw_value"], rows[2]["user_id"]) == (foreign.key, foreign.value, None)
    assert (rows[3]["refused"], rows[3]["offset"], rows[3]["timestamp"]) == (None, 3, KAFKA_TIME)


def test_a_user_on_another_user_s_partition_is_refused() -> None:
    kinds = [archived("transactions", transaction(0), partition=LogPartition(number, 2, "EUR"))["kind"][0].as_py() for number in (0, 1)]
    assert sorted(kinds) == ["refused", "transaction"]


def test_a_decision_keeps_its_reasons_and_where_it_came_from() -> None:
    outcome = decide(
        advanced(score_state(), received(routed(ingest_state(), [transaction(4, amount=1_900)]))), Variant(scorer()), "EUR", 42
    )
    ((_, message),) = outcome.decisions
    decision = msgspec.json.decode(message, type=Decision)
    broken = LogRecord(1, KAFKA_TIME, b"u", b"{}", [])
    first, second = archived("decisions", LogRecord(0, KAFKA_TIME, b"u1", message, []), broken).to_pylist()
    assert (first["source_topic"], first["source_partition"], first["source_offset"]) == ("transactions", 0, 4)
    assert first["reasons"] == msgspec.to_builtins(decision.reasons)
    assert {name: first[name] for name in Decision.__struct_fields__ if name not in ("source", "reasons")} == {
        name: getattr(decision, name) for name in Decision.__struct_fields__ if name not in ("source", "reasons")
    }
    assert first["event_timestamp"].timestamp() * 1000 == decision.event_time
    assert "missing required field" in second["refused"]
    assert second["raw_value"] == b"{}"


@pytest.mark.parametrize(
    ("value", "sentence"), [(None, "no value"), (b"{", "truncated"), (b"\xff", ""), (b'{"transaction_id": 3}', "transaction_id")]
)
def test_a_label_that_is_none_is_kept_as_it_came(value: bytes | None, sentence: str) -> None:
    (row,) = archived("labels", LogRecord(0, KAFKA_TIME, b"u1", value, [])).to_pylist()
    assert row["refused"] is not None
    assert sentence in row["refused"]
    assert (row["raw_key"], row["raw_value"]) == (b"u1", value)


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        (label(0, transaction(0), 10**13), "label_time"),
        (label(0, structs.replace(transaction(0), key=b"u2"), APRIL_1), "must be user_id 'u1'"),
    ],
)
def test_a_label_whose_copy_ingest_refuses_is_refused_in_the_archive_too(record: LogRecord, sentence: str) -> None:
    (row,) = archived("labels", structs.replace(record, headers=[])).to_pylist()
    (copied,) = archived("transactions", record).to_pylist()
    assert sentence in row["refused"]
    assert (row["refused"], row["user_id"], copied["kind"]) == (copied["refused"], None, "refused")


def test_a_number_that_no_column_holds_costs_its_own_record_only() -> None:
    outcome = decide(advanced(score_state(), received(routed(ingest_state(), [transaction(0)]))), Variant(scorer()), "EUR", 42)
    ((_, message),) = outcome.decisions
    vast = msgspec.json.encode({**msgspec.json.decode(message), "amount": 2**63})
    first, second = archived(
        "decisions", *(LogRecord(i, KAFKA_TIME, b"u1", value, []) for i, value in enumerate((message, vast)))
    ).to_pylist()
    assert (first["refused"], first["amount"]) == (None, 1_000)
    assert "fits no column" in second["refused"]


def test_a_user_is_as_told_since_it_was_updated_and_no_more_once_removed() -> None:
    profile = {"user_id": "u1", "created_at": APRIL_1, "country": "NL", "segment": "gold"}
    values = [msgspec.json.encode(profile), msgspec.json.encode({**profile, "updated_at": APRIL_1 + DAY}), None, b"{}"]
    first, second, removed, refused = archived(
        "users", *(LogRecord(i, KAFKA_TIME, b"u1", value, []) for i, value in enumerate(values))
    ).to_pylist()
    assert [row["event_timestamp"].timestamp() * 1000 for row in (first, second, removed)] == [APRIL_1, APRIL_1 + DAY, KAFKA_TIME]
    assert first["created"] < second["created"] < removed["created"]
    assert (second["country"], second["segment"], second["created_at"]) == ("NL", "gold", APRIL_1)
    assert (removed["user_id"], removed["country"], removed["refused"]) == ("u1", None, None)
    assert (refused["user_id"], refused["raw_value"]) == (None, b"{}")


def scored(*digests: str) -> tuple[bytes, np.ndarray]:
    """A record of scoring-log whose rows name these feature digests, and its vectors."""
    state = advanced(score_state(), received(routed(ingest_state(), [transaction(i, amount=i + 1) for i in range(len(digests))])))
    outcome = decide(state, Variant(scorer()), "EUR", 42)
    table = scoring_log.decode(outcome.log[0])
    table = table.set_column(table.column_names.index("features_digest"), "features_digest", pa.array(digests).dictionary_encode())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue()), state.vectors


def test_a_vector_is_spread_over_its_features() -> None:
    value, vectors = scored(FRAUD_V1.digest, FRAUD_V1.digest)
    rows = archived("scoring-log", sealed("scoring-log", LogRecord(5, KAFKA_TIME, None, value, [])))
    assert [rows[name].to_pylist() for name in ("offset", "row", "amount_minor")] == [[5, 5], [0, 1], [1, 2]]
    spread = np.column_stack([rows[name].to_numpy() for name in FRAUD_V1.names])
    assert spread.tobytes() == np.ascontiguousarray(vectors).tobytes()
    assert rows["user_new_device"].null_count == 2, "a feature of another feature set"
    decoded = scoring_log.decode(value)
    assert set(decoded.column_names) == {*scoring_log.COLUMNS.names, "vector"}
    assert rows["log_offset"].to_pylist() == decoded["log_offset"].to_pylist()


def test_a_vector_of_unknown_features_stays_whole() -> None:
    value, vectors = scored(FRAUD_V1.digest, "0" * 64)
    broken = LogRecord(6, KAFKA_TIME, None, b"nothing", [])
    known, unknown, refused = archived("scoring-log", sealed("scoring-log", LogRecord(5, KAFKA_TIME, None, value, [])), broken).to_pylist()
    assert (known["vector"], unknown["amount"], unknown["row"]) == (None, None, 1)
    assert np.array(unknown["vector"], np.float32).tobytes() == vectors[1].tobytes()
    assert (refused["offset"], refused["raw_value"]) == (6, b"nothing")


def test_feast_s_views_find_their_columns() -> None:
    views = [each for each in objects() if isinstance(each, FeatureView) and each.batch_source and each.batch_source.path in ARCHIVED]
    assert {view.batch_source.path for view in views} == {"scoring-log", "users"}
    for view in views:
        source, schema = view.batch_source, ARCHIVED[view.batch_source.path].schema
        assert {schema.field(name).type for name in (source.timestamp_field, source.created_timestamp_column) if name} == {TIME}
        for column in (*view.entity_columns, *view.features):
            assert schema.field(column.name).type == feast_value_type_to_pa(column.dtype.to_value_type()), column.name


def test_rows_are_told_apart_by_the_day_of_their_event() -> None:
    late, soon = transaction(0, time=APRIL_1 + DAY - 1), transaction(1, time=APRIL_1 + DAY)
    days = dict(by_day(archived("transactions", late, soon, LogRecord(2, APRIL_1 + 2 * DAY, None, b"", []))))
    assert {day: rows["offset"].to_pylist() for day, rows in days.items()} == {
        date(2018, 4, 1): [0],
        date(2018, 4, 2): [1],
        date(2018, 4, 3): [2],
    }


@pytest.mark.parametrize(
    ("timestamp", "day"),
    [
        (253_402_300_799_999, date(9999, 12, 31)),
        (253_402_300_800_000, date(9999, 12, 31)),
        (9 * 10**15, date(9999, 12, 31)),
        (2**62, date(9999, 12, 31)),
        (-(2**62), date(1, 1, 1)),
    ],
)
@pytest.mark.parametrize("topic", ["decisions", "scoring-log", "labels"])
def test_a_record_stamped_outside_of_the_calendar_is_filed_at_its_end(topic: str, timestamp: int, day: date) -> None:
    ((found, rows),) = by_day(archived(topic, LogRecord(0, timestamp, b"u1", b"{", [])))
    assert (found, rows["timestamp"].to_pylist()) == (day, [timestamp])


@pytest.mark.parametrize("topic", ["transactions", "users"])
def test_a_record_on_which_reading_fails_is_refused_alone(topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = topic.removesuffix("s")
    read = getattr(Validator, name)

    def failing(self: Validator, record: LogRecord) -> object:
        if record.offset == 1:
            raise RecursionError
        return read(self, record)

    monkeypatch.setattr(Validator, name, failing)
    records = [transaction(offset) if topic == "transactions" else user(offset) for offset in range(3)]
    assert [row["refused"] is None for row in archived(topic, *records).to_pylist()] == [True, False, True]


@pytest.mark.parametrize("error", [MemoryError(), pa.lib.ArrowMemoryError("malloc of size 64 failed")])
@pytest.mark.parametrize("topic", ["decisions", "scoring-log"])
def test_no_record_is_archived_as_refused_for_want_of_memory(topic: str, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(*_: object) -> None:
        raise error

    monkeypatch.setattr(scoring_log, "decode", short)
    monkeypatch.setattr(Column, "array", short)
    outcome = decide(advanced(score_state(), received(routed(ingest_state(), [transaction(0)]))), Variant(scorer()), "EUR", 1)
    value = outcome.log[0] if topic == "scoring-log" else outcome.decisions[0][1]
    with pytest.raises(type(error)):
        archived(topic, sealed(topic, LogRecord(0, KAFKA_TIME, None, value, [])))
