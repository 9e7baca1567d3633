"""What makes a record of ``transactions`` or ``users`` valid, and the dead letter of one that isn't."""

import base64
import hashlib

import msgspec

from streams.messages.events import (
    MAX_VALUE_BYTES,
    DeadLetter,
    Label,
    Transaction,
    User,
    decode_label,
    decode_transaction,
    decode_user,
    encode,
    milliseconds,
)
from streams.messages.partitioner import partition_of
from streams.messages.record import Record

MAX_AHEAD_MS = 5 * 60_000

_KEPT_BYTES = 256_000


class RefusedError(Exception):
    """This record can't be taken: a ``reason`` from a fixed list, and a sentence that names the mend."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence


class Validator:
    """Reads records of one partition of ``transactions`` or ``users``. Pure but for a memory of keys already found to belong here."""

    def __init__(self, topic: str, partition: int, partitions: int, currency: str) -> None:
        self.topic = topic
        self.partition = partition
        self.partitions = partitions
        self.currency = currency
        self._users: dict[bytes | None, str] = {}

    def transaction(self, record: Record) -> Transaction:
        """The transaction, its event_time as int ms. Raises RefusedError."""
        try:
            event = decode_transaction(record.value)  # type: ignore[arg-type]
        except (msgspec.MsgspecError, TypeError, UnicodeDecodeError) as error:
            raise _undecodable(record, error) from None
        if type(event.event_time) is not int:
            event.event_time = _moment("event_time", event.event_time)
        if event.event_time > record.timestamp + MAX_AHEAD_MS:
            raise RefusedError(
                "event_time_ahead",
                f"event_time {event.event_time} lies more than 5 min after the record's Kafka timestamp {record.timestamp}; "
                "check the producer's clock and unit",
            )
        if event.currency != self.currency:
            raise RefusedError(
                "foreign_currency", f"currency {event.currency} is not this deployment's {self.currency}; convert before sending"
            )
        if self._users.get(record.key) != event.user_id:
            self._check_key(record.key, event.user_id)
        if len(record.value or b"") > MAX_VALUE_BYTES:
            raise _too_large(record)
        return event

    def label(self, record: Record) -> Label:
        """The label, its times as int ms. Raises RefusedError."""
        try:
            label = decode_label(record.value)  # type: ignore[arg-type]
        except (msgspec.MsgspecError, TypeError, UnicodeDecodeError) as error:
            raise _undecodable(record, error) from None
        label.event_time = _moment("event_time", label.event_time)
        label.label_time = _moment("label_time", label.label_time)
        if label.event_time > record.timestamp + MAX_AHEAD_MS:
            raise RefusedError("event_time_ahead", f"event_time {label.event_time} lies more than 5 min after the record's Kafka timestamp")
        if self._users.get(record.key) != label.user_id:
            self._check_key(record.key, label.user_id)
        if len(record.value or b"") > MAX_VALUE_BYTES:
            raise _too_large(record)
        return label

    def user(self, record: Record) -> User:
        """The user, its times as int ms, both set. Raises RefusedError."""
        try:
            user = decode_user(record.value)  # type: ignore[arg-type]
        except (msgspec.MsgspecError, TypeError, UnicodeDecodeError) as error:
            raise _undecodable(record, error) from None
        user.created_at = _moment("created_at", user.created_at)
        user.updated_at = user.created_at if user.updated_at is None else _moment("updated_at", user.updated_at)
        if user.updated_at < user.created_at:
            raise RefusedError("invalid_field", f"updated_at {user.updated_at} lies before created_at {user.created_at}")
        if user.updated_at > record.timestamp + MAX_AHEAD_MS:
            raise RefusedError("updated_at_ahead", f"updated_at {user.updated_at} lies more than 5 min after the record's Kafka timestamp")
        if self._users.get(record.key) != user.user_id:
            self._check_key(record.key, user.user_id)
        if len(record.value or b"") > MAX_VALUE_BYTES:
            raise _too_large(record)
        return user

    def dead_letter(self, record: Record, refused: RefusedError) -> bytes:
        """The dead letter of a refused record, as JSON."""
        value = record.value
        return encode(
            DeadLetter(
                topic=self.topic,
                partition=self.partition,
                offset=record.offset,
                reason=refused.reason,
                sentence=refused.sentence,
                key_base64=None if record.key is None else base64.b64encode(record.key).decode(),
                value_base64=None if value is None else base64.b64encode(value[:_KEPT_BYTES]).decode(),
                value_bytes=len(value or b""),
                value_digest=None if value is None else hashlib.sha256(value).hexdigest(),
            )
        )

    def _check_key(self, key: bytes | None, user_id: str) -> None:
        expected = user_id.encode()
        if key != expected:
            raise RefusedError("wrong_key", f"the record's key must be user_id {user_id!r} in UTF-8, it is {key!r}")
        belongs = partition_of(expected, self.partitions)
        if belongs != self.partition:
            raise RefusedError(
                "wrong_partition",
                f"user {user_id!r} belongs on partition {belongs}, not {self.partition}; "
                "set partitioner=murmur2_random in librdkafka, or use Java's default partitioner",
            )
        self._users[key] = user_id


def _undecodable(record: Record, error: Exception) -> RefusedError:
    if record.value is None:
        return RefusedError("null_value", "the record has no value; send a JSON object")
    if len(record.value) > MAX_VALUE_BYTES:
        return _too_large(record)
    if isinstance(error, msgspec.ValidationError):
        missing = "missing required field" in str(error)
        return RefusedError("missing_field" if missing else "invalid_field", f"{error}; see the schema in docs/schemas")
    return RefusedError("not_json", f"the value is no JSON: {error}")


def _too_large(record: Record) -> RefusedError:
    return RefusedError("too_large", f"the value has {len(record.value or b'')} bytes, at most {MAX_VALUE_BYTES} are taken")


def _moment(field: str, moment: int | str) -> int:
    try:
        return milliseconds(moment)
    except ValueError as error:
        raise RefusedError("invalid_field", f"{field}: {error}") from None
