"""Each bad input has one reason and a sentence with the mend; good ones pass."""

import base64
import hashlib

import msgspec
import pytest
from msgspec import structs

from streams.messages.events import DeadLetter
from streams.messages.partitioner import partition_of
from streams.messages.record import LogRecord
from streams.messages.validation import RefusedError, Validator
from tests.made.records import KAFKA_TIME, label, transaction


@pytest.fixture
def validator() -> Validator:
    return Validator("transactions", 0, 1, "EUR")


def replaced(value: bytes | None, key: bytes | None = b"u1") -> LogRecord:
    return LogRecord(7, KAFKA_TIME, key, value, [])


WHOLE = msgspec.json.decode(transaction(0).value or b"")


def without(field: str) -> LogRecord:
    return replaced(msgspec.json.encode({name: value for name, value in WHOLE.items() if name != field}))


def changed(**fields: object) -> LogRecord:
    return replaced(msgspec.json.encode({**WHOLE, **fields}))


BAD = {
    "null value": (replaced(None), "null_value", "no value"),
    "empty value": (replaced(b""), "not_json", "no JSON"),
    "not JSON": (replaced(b"{oops"), "not_json", "no JSON"),
    "not UTF-8": (replaced(b'{"transaction_id":"\xff"}'), "not_json", ""),
    "a list": (replaced(b"[]"), "invalid_field", "object"),
    "NaN": (replaced((transaction(0).value or b"").replace(b"1000", b"NaN")), "not_json", ""),
    "two objects": (replaced((transaction(0).value or b"") * 2), "not_json", ""),
    "wrong type": (changed(amount="12"), "invalid_field", "$.amount"),
    "a float amount": (changed(amount=12.5), "invalid_field", "$.amount"),
    "true as amount": (changed(amount=True), "invalid_field", "$.amount"),
    "a number as id": (changed(user_id=1), "invalid_field", "$.user_id"),
    "an empty id": (changed(merchant_id=""), "invalid_field", "$.merchant_id"),
    "negative amount": (changed(amount=-1), "invalid_field", "$.amount"),
    "huge amount": (changed(amount=10**12 + 1), "invalid_field", "$.amount"),
    "foreign currency": (changed(currency="USD"), "foreign_currency", "EUR"),
    "seconds": (changed(event_time=1_700_000_000), "invalid_field", "$.event_time"),
    "no offset": (changed(event_time="2026-01-31T09:30:00"), "invalid_field", "offset"),
    "no time": (changed(event_time="yesterday"), "invalid_field", "ISO 8601"),
    "in the future": (changed(event_time=KAFKA_TIME + 5 * 60_000 + 1), "event_time_ahead", "5 min"),
    "too large": (changed(country="x" * (1 << 20)), "too_large", "at most 1048576"),
    "too large and broken": (replaced(b"{" * ((1 << 20) + 1)), "too_large", "at most 1048576"),
    "foreign key": (replaced(transaction(0).value, key=b"u2"), "wrong_key", "user_id"),
    "no key": (replaced(transaction(0).value, key=None), "wrong_key", "user_id"),
    **{f"without {field}": (without(field), "missing_field", field) for field in WHOLE},
}


@pytest.mark.parametrize(("record", "reason", "says"), BAD.values(), ids=BAD.keys())
def test_a_bad_record_is_refused_with_a_reason_and_a_sentence(validator: Validator, record: LogRecord, reason: str, says: str) -> None:
    with pytest.raises(RefusedError) as refused:
        validator.transaction(record)
    assert refused.value.reason == reason
    assert says in refused.value.sentence


@pytest.mark.parametrize(
    "record",
    [
        changed(amount=0),
        changed(amount=10**12),
        changed(event_time=KAFKA_TIME + 5 * 60_000),
        changed(event_time=10**11),
        changed(unknown_field={"a": [1]}),
        changed(device_id=None, country="DE", channel="online", mcc="5411"),
    ],
)
def test_a_good_record_is_taken(validator: Validator, record: LogRecord) -> None:
    assert validator.transaction(record).transaction_id == "t0"


def test_iso_times_mean_the_same_as_milliseconds(validator: Validator) -> None:
    written = changed(event_time="2023-11-14T23:13:20.000+01:00")
    assert validator.transaction(written).event_time == 1_700_000_000_000


def test_a_user_on_another_partition_is_refused_with_the_setting_that_mends_it() -> None:
    home = partition_of(b"u1", 4)
    assert Validator("transactions", home, 4, "EUR").transaction(transaction(0)).user_id == "u1"
    with pytest.raises(RefusedError, match="partitioner=murmur2_random") as refused:
        Validator("transactions", (home + 1) % 4, 4, "EUR").transaction(transaction(0))
    assert refused.value.reason == "wrong_partition"


@pytest.mark.parametrize("field", ["transaction_id", "user_id", "merchant_id", "event_time", "label_time", "is_fraud"])
def test_a_label_without_a_field_is_refused(validator: Validator, field: str) -> None:
    good = label(1, transaction(0), 1_700_600_000_000)
    assert validator.label(good).is_fraud
    message = {name: value for name, value in msgspec.json.decode(good.value or b"").items() if name != field}
    with pytest.raises(RefusedError, match=field):
        validator.label(structs.replace(good, value=msgspec.json.encode(message)))


def test_a_dead_letter_holds_the_record(validator: Validator) -> None:
    value = b"\x00" + b"x" * 300_000
    letter = msgspec.json.decode(validator.dead_letter(replaced(value), RefusedError("not_json", "why")), type=DeadLetter)
    assert (letter.topic, letter.partition, letter.offset, letter.reason, letter.sentence) == ("transactions", 0, 7, "not_json", "why")
    assert letter.key_base64 == base64.b64encode(b"u1").decode()
    assert base64.b64decode(letter.value_base64 or "") == value[:256_000]
    assert letter.value_bytes == len(value)
    assert letter.value_digest == hashlib.sha256(value).hexdigest()


def test_a_dead_letter_of_nothing(validator: Validator) -> None:
    letter = msgspec.json.decode(validator.dead_letter(replaced(None, None), RefusedError("null_value", "why")), type=DeadLetter)
    assert (letter.key_base64, letter.value_base64, letter.value_bytes, letter.value_digest) == (None, None, 0, None)
