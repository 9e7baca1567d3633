"""A refusal says what the producer probably did, for the bytes that such producers really send."""

import base64
import gzip
import json
import struct
import unicodedata
import uuid
import zlib

import msgspec
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from streams.messages import diagnosis
from streams.messages.record import LogRecord
from streams.messages.refusals import RefusedError
from streams.messages.validation import Validator
from tests.made.bad_records import changed, replaced
from tests.made.records import label, transaction

GOOD = transaction(0).value or b""
FIELDS = json.loads(GOOD)
ZSTD = bytes.fromhex("28b52ffd") + b"\x24\x02\x11\x00\x00{}"
LZ4 = bytes.fromhex("04224d18") + b"\x64\x40\xa7\x02\x00\x00\x80{}"
SNAPPY_JAVA = b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x04\x02\x04{}"


def encoded(message: object) -> bytes:
    return json.dumps(message).encode()


VALUES = {
    "empty": (b"", "not_json", "the value is empty; send a JSON object"),
    "schema registry, Avro": (
        b"\0" + struct.pack(">I", 7) + b"\x04t0\x80\x01",
        "not_json",
        "a schema registry's prefix (schema 7); send plain",
    ),
    "schema registry, JSON": (b"\0" + struct.pack(">I", 100_001) + GOOD, "not_json", "a schema registry's prefix (schema 100001)"),
    "byte order mark": (b"\xef\xbb\xbf" + GOOD, "not_json", "starts with a byte order mark; send UTF-8 without one"),
    "UTF-16 with a mark": (GOOD.decode().encode("utf-16"), "not_json", "is UTF-16 or UTF-32; send UTF-8"),
    "UTF-16, little endian": (GOOD.decode().encode("utf-16-le"), "not_json", "is UTF-16"),
    "UTF-16, big endian": (GOOD.decode().encode("utf-16-be"), "not_json", "is UTF-16"),
    "UTF-32": (GOOD.decode().encode("utf-32"), "not_json", "or UTF-32"),
    "Latin-1": (GOOD.replace(b"m1", "café".encode("latin-1")), "not_json", "looks like Latin-1; send UTF-8"),
    "gzip": (gzip.compress(GOOD), "not_json", "compressed with gzip; send plain JSON and set compression.type on the producer"),
    "zstd": (ZSTD, "not_json", "compressed with zstd"),
    "lz4": (LZ4, "not_json", "compressed with lz4"),
    "snappy": (SNAPPY_JAVA, "not_json", "compressed with snappy"),
    "an Avro file": (b"Obj\x01\x04\x16avro.schema", "not_json", "is an Avro file"),
    "a Java object": (b"\xac\xed\x00\x05sr\x00\x11java.util.HashMap", "not_json", "a serialized Java object"),
    "XML": (b"<transaction><amount>1</amount></transaction>", "not_json", "looks like XML"),
    "a Python dict": (repr(FIELDS).encode(), "not_json", "send it through json.dumps"),
    "lines": (GOOD + b"\n" + GOOD + b"\n", "not_json", "holds 2 JSON objects; send each as a record of its own"),
    "a list": (b"[" + GOOD + b"," + GOOD + b"]", "invalid_field", "it is a list of 2; send each of them as a record of its own"),
    "encoded twice": (encoded(GOOD.decode()), "invalid_field", "JSON within a JSON string; encode it once"),
    "Debezium": (
        encoded({"schema": {"type": "struct"}, "payload": {"before": None, "after": FIELDS, "op": "c", "ts_ms": 1}}),
        "missing_field",
        "a Debezium envelope: send its payload.after, for example by the transformation ExtractNewRecordState",
    ),
    "Debezium without schema": (
        encoded({"before": None, "after": FIELDS, "op": "c", "source": {}}),
        "missing_field",
        "Debezium envelope: send its after",
    ),
    "Kafka Connect": (encoded({"schema": {}, "payload": FIELDS}), "missing_field", "value.converter.schemas.enable=false"),
    "CloudEvent": (
        encoded({"specversion": "1.0", "type": "t", "source": "s", "id": "1", "data": FIELDS}),
        "missing_field",
        "a structured CloudEvent: send its data alone",
    ),
    "camel case": (
        encoded({{"transaction_id": "transactionId"}.get(name, name): value for name, value in FIELDS.items()}),
        "missing_field",
        "it has 'transactionId'; call it 'transaction_id'",
    ),
    "wrapped": (encoded({"transaction": FIELDS}), "missing_field", "it has one within 'transaction'; send what is there alone"),
    "a float amount": (
        encoded(FIELDS | {"amount": 12.34}),
        "invalid_field",
        "minor units, a whole number: 12.34 in a currency with two decimals is 1234",
    ),
    "a float amount as text": (encoded(FIELDS | {"amount": "0.29"}), "invalid_field", "is 29"),
    "an amount as text": (encoded(FIELDS | {"amount": "1234"}), "invalid_field", "it is text; send a number, without quotes"),
    "seconds": (
        encoded(FIELDS | {"event_time": 1_700_000_000}),
        "invalid_field",
        "1700000000 looks like seconds; send milliseconds, 1700000000000",
    ),
    "seconds with fractions": (
        encoded(FIELDS | {"event_time": 1_700_000_000.5}),
        "invalid_field",
        "seconds; send milliseconds, 1700000000500",
    ),
    "microseconds": (
        encoded(FIELDS | {"event_time": 1_700_000_000_000_000}),
        "invalid_field",
        "microseconds; send milliseconds, 1700000000000",
    ),
    "nanoseconds": (
        encoded(FIELDS | {"event_time": 1_700_000_000 * 10**9}),
        "invalid_field",
        "nanoseconds; send milliseconds, 1700000000000",
    ),
    "seconds as text": (
        encoded(FIELDS | {"event_time": "1700000000"}),
        "invalid_field",
        "1700000000 looks like seconds; send milliseconds",
    ),
    "a whole amount with a point": (
        encoded(FIELDS | {"amount": 2599.0}),
        "invalid_field",
        "2599 if it is in minor units, 259900 if in major",
    ),
    "a numeric currency": (encoded(FIELDS | {"currency": "978"}), "foreign_currency", "is a number; send its three letters, such as EUR"),
    "a Map of Java's": (b"{user_id=u1, amount=1}", "not_json", "the value is no JSON"),
    "UTF-32, the big end first": ('{"user_id":"u1"}'.encode("utf-32-be"), "not_json", "is UTF-16 or UTF-32"),
    "raw Avro that begins with a null": (b"\0\2\x0aabcdefgh", "not_json", "the value is no JSON"),
    "protobuf with a text of 60 bytes": (b"\x0a<" + b"x" * 60, "not_json", "the value is no JSON"),
    "a delete of Debezium's": (encoded({"before": FIELDS, "after": None, "op": "d"}), "missing_field", "leave deletes out"),
    "a field called after": (encoded(FIELDS | {"after": 1, "op": "sale", "amount": "1"}), "invalid_field", "it is text; send a number"),
    "seconds with a fraction of ms": (encoded(FIELDS | {"event_time": 1796046563.847}), "invalid_field", "1796046563847"),
    "zlib": (zlib.compress(GOOD), "not_json", "compressed with zlib"),
    "AWS Glue": (b"\x03\x00" + uuid.UUID(int=7).bytes + GOOD, "not_json", "the prefix of AWS Glue's schema registry; send plain JSON"),
    "AWS Glue, compressed": (b"\x03\x05" + uuid.UUID(int=7).bytes + zlib.compress(GOOD), "not_json", "AWS Glue's schema registry"),
    "base64": (base64.b64encode(GOOD), "not_json", "is JSON in base64; send the JSON itself"),
    "base64 in quotes": (encoded(base64.b64encode(GOOD).decode()), "invalid_field", "it is JSON in base64 within a JSON string"),
    "not a number": (
        GOOD.replace(b'"amount":', b'"amount":NaN,"was":'),
        "not_json",
        "has NaN or Infinity, which is no JSON; send a number",
    ),
    "ending in NUL": (GOOD + b"\0", "not_json", "ends in NUL bytes, as strings in C do; send the text alone"),
    "milliseconds with a point": (
        encoded(FIELDS | {"event_time": 1_700_000_000_000.0}),
        "invalid_field",
        "send a whole number of milliseconds, without a point: 1700000000000",
    ),
    "a number as id": (encoded(FIELDS | {"user_id": 17}), "invalid_field", 'send text, in quotes: "17"'),
    "small letters": (encoded(FIELDS | {"currency": "eur"}), "foreign_currency", "currency eur is not EUR; write it in capitals"),
    "a foreign currency": (encoded(FIELDS | {"currency": "usd"}), "foreign_currency", "this deployment's EUR; convert before sending"),
}


@pytest.mark.parametrize(("value", "reason", "says"), VALUES.values(), ids=VALUES.keys())
def test_a_refused_value_is_known_by_its_bytes(value: bytes, reason: str, says: str) -> None:
    with pytest.raises(RefusedError) as refused:
        Validator("transactions", 0, 1, "EUR").transaction(replaced(value))
    assert refused.value.reason == reason
    assert says in refused.value.sentence
    assert "\n" not in refused.value.sentence


@pytest.mark.parametrize("value", [1, "true"])
def test_a_label_whose_truth_is_no_boolean(value: object) -> None:
    good = label(1, transaction(0), 1_700_600_000_000)
    wrong = msgspec.json.encode(msgspec.json.decode(good.value or b"") | {"is_fraud": value})
    with pytest.raises(RefusedError, match="send true or false, without quotes"):
        Validator("transactions", 0, 1, "EUR").label(structs.replace(good, value=wrong))


NFC, NFD = unicodedata.normalize("NFC", "Sé"), unicodedata.normalize("NFD", "Sé")
KEYS = {
    "none": (None, "u1", "it has none; give the producer the user_id as key"),
    "JSON": (b'"u1"', "u1", "is JSON, with quotes; use a string serializer"),
    "a JSON object": (b'{"user_id":"u1"}', "u1", "is a JSON object; send the text of its user_id alone"),
    "schema registry": (b"\0\0\0\0\x07\x04u1", "u1", "starts with a schema registry's prefix; use a string serializer"),
    "byte order mark": (b"\xef\xbb\xbfu1", "u1", "starts with a byte order mark"),
    "UTF-16": ("u1".encode("utf-16"), "u1", "is UTF-16; send UTF-8"),
    "Latin-1": ("Sé".encode("latin-1"), NFC, "is Latin-1; send UTF-8"),
    "other bytes": (b"\xff\xfe\xfd", "u1", "is not UTF-8"),
    "a long": (struct.pack(">q", 4711), "4711", "is a binary number; use a string serializer"),
    "a long of x86": (struct.pack("<q", 4711), "4711", "is a binary number; use a string serializer"),
    "ending in NUL": (b"u1\0", "u1", "ends in NUL bytes, as strings in C do; send the text alone"),
    "NFD": (NFD.encode(), NFC, "is other bytes, 53 65 cc 81 where user_id has 53 c3 a9; bring both into one Unicode normal form (NFC)"),
    "NFC": (NFC.encode(), NFD, "is other bytes, 53 c3 a9 where user_id has 53 65 cc 81"),
    "white space": (b"u1\n", "u1", "differs in white space"),
    "capitals": (b"U1", "u1", "differs in capitals"),
    "another user": (b"u2", "u1", "it is b'u2'"),
    "a long one": (b"x" * 100_000, "u1", "… (100,000 bytes)"),
}


@pytest.mark.parametrize(("key", "user_id", "says"), KEYS.values(), ids=KEYS.keys())
def test_a_wrong_key_is_known_by_its_bytes(key: bytes | None, user_id: str, says: str) -> None:
    with pytest.raises(RefusedError) as refused:
        Validator("transactions", 0, 1, "EUR").transaction(structs.replace(changed(user_id=user_id), key=key))
    assert refused.value.reason == "wrong_key"
    assert f"key must be user_id {user_id!r} in UTF-8" in refused.value.sentence
    assert says in refused.value.sentence
    assert len(refused.value.sentence) < 500


def test_a_wrong_partition_names_the_setting_for_each_client() -> None:
    with pytest.raises(RefusedError) as refused:
        Validator("transactions", 1, 4, "EUR").transaction(transaction(0))
    for words in (
        "partitioner=murmur2_random in librdkafka",
        "Java's default",
        "NewMurmur2Partitioner in Sarama",
        "Murmur2Balancer in segmentio/kafka-go",
        "Partitioners.JavaCompatiblePartitioner in KafkaJS",
    ):
        assert words in refused.value.sentence


@pytest.mark.parametrize(
    ("partitioner", "named"),
    [("consistent", "librdkafka's default"), ("fnv1a", "FNV-1a, Sarama's default and the Hash of segmentio/kafka-go")],
)
def test_where_another_partitioner_puts_a_key_is_where_that_client_does(kafka_bootstrap: str, partitioner: str, named: str) -> None:
    """librdkafka has Sarama's, too, so both are compared with a real client."""
    partitions, placed = 60, dict[str, int]()
    topic, admin = f"placed-{uuid.uuid4().hex}", AdminClient({"bootstrap.servers": kafka_bootstrap})
    admin.create_topics([NewTopic(topic, partitions)])[topic].result(10)
    producer = Producer({"bootstrap.servers": kafka_bootstrap, "partitioner": partitioner})
    for number in range(50):
        producer.produce(topic, b"", f"user-{number}", on_delivery=lambda _, sent: placed.update({sent.key().decode(): sent.partition()}))
    assert producer.flush(10) == 0
    sentences = [diagnosis.wrong_partition(user, partition, 0, partitions) for user, partition in placed.items()]
    assert sum(f"(where {named}" in sentence for sentence in sentences) >= 45, "some keys lie on the same partition by both"
    admin.delete_topics([topic])[topic].result(10)


@given(value=st.binary(max_size=300), key=st.none() | st.binary(max_size=40), user_id=st.text(min_size=1, max_size=20))
def test_whatever_comes_there_is_a_sentence(value: bytes, key: bytes | None, user_id: str) -> None:
    error = ValueError("Object missing required field `user_id` - at `$.amount`")
    user_id = user_id.encode(errors="replace").decode()
    for sentence in (diagnosis.not_json(value, error), diagnosis.unfit(value, error), diagnosis.wrong_key(key, user_id)):
        assert sentence


@pytest.mark.parametrize(
    "value",
    [
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b'"' + b"[" * 5_000 + b'"',
        b"{'" * 30_000,
        b'{"amount":1e400}',
        b'{"amount":1e308,"event_time":-1e308}',
        b'{"amount":{"$":[]}}',
        b'{"event_time":NaN}',
    ],
)
def test_hostile_values_are_only_refused(value: bytes) -> None:
    for wrong in (value, zlib.compress(value), value + b"\xff"):
        record = LogRecord(0, 0, b"u1", wrong, [])
        assert diagnosis.not_json(wrong, ValueError("no"))
        for field in ("event_time", "amount", "is_fraud"):
            assert diagnosis.unfit(wrong, ValueError(f"Expected `int` - at `$.{field}`"))
        assert diagnosis.wrong_key(record.value, "u1")
