"""Each bad input has one reason and a sentence with the fix; good ones pass."""

import base64
import hashlib

import msgspec
import pytest
from msgspec import structs

from streams.messages.events import DeadLetter
from streams.messages.partitioner import partition_of
from streams.messages.record import UNSTAMPED, LogRecord
from streams.messages.refusals import RefusedError
from streams.messages.validation import Validator
from tests.made.bad_records import BAD, changed, replaced
from tests.made.records import KAFKA_TIME, label, transaction
from tests.made.user_records import user


@pytest.fixture
def validator() -> Validator:
    return Validator("transactions", 0, 1, "EUR")


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


@pytest.mark.parametrize("field", ["event_time", "label_time"])
def test_a_label_from_the_future_is_refused_for_nothing_could_take_it_back(validator: Validator, field: str) -> None:
    at_most = KAFKA_TIME + 5 * 60_000
    for time, reason in ((at_most, None), (at_most + 1, f"{field}_ahead"), (10**13, f"{field}_ahead")):
        value = {**msgspec.json.decode(label(1, transaction(0), 1_700_600_000_000).value or b""), field: time}
        record = structs.replace(label(1, transaction(0), 0), value=msgspec.json.encode(value))
        if reason is None:
            assert getattr(validator.label(record), field) == time
            continue
        with pytest.raises(RefusedError, match="more than 5 min after") as refused:
            validator.label(record)
        assert refused.value.reason == reason


def test_a_record_that_the_broker_did_not_stamp_is_refused_with_the_setting(validator: Validator) -> None:
    paid = transaction(0)
    for read, record in (
        (validator.transaction, paid),
        (validator.label, label(1, paid, 1_700_600_000_000)),
        (validator.user, user(0)),
        (validator.removed, LogRecord(0, 0, b"u1", None, [])),
    ):
        assert read(record)
        with pytest.raises(RefusedError, match=r"set message\.timestamp\.type=LogAppendTime on topic transactions") as refused:
            read(structs.replace(record, timestamp=UNSTAMPED))
        assert refused.value.reason == "unstamped"


@pytest.mark.parametrize("key", [None, b"", b"\xff", b"u" * 257, "ü".encode() * 10**6])
def test_only_a_key_that_is_an_id_removes_a_user_and_a_long_one_is_cut_in_its_dead_letter(validator: Validator, key: bytes | None) -> None:
    record = LogRecord(0, KAFKA_TIME, key, None, [])
    with pytest.raises(RefusedError, match="must be a user_id of 1 to 256 characters") as refused:
        validator.removed(record)
    assert refused.value.reason == "wrong_key"
    assert len(validator.dead_letter(record, refused.value)) < 2_500


def test_a_label_may_be_older_than_its_transaction(validator: Validator) -> None:
    assert validator.label(label(1, transaction(0), 1_600_000_000_000)).label_time == 1_600_000_000_000


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


def test_a_key_of_any_size_leaves_a_dead_letter_that_the_broker_takes(validator: Validator) -> None:
    record = structs.replace(transaction(3), key=b"\x00" * (7 << 20))
    with pytest.raises(RefusedError) as refused:
        validator.transaction(record)
    letter = validator.dead_letter(record, refused.value)
    assert refused.value.reason == "wrong_key"
    assert len(letter) < 1 << 20
