"""Records of ``transactions`` that are refused, each with its reason."""

import msgspec

from streams.messages.record import LogRecord
from tests.made.records import KAFKA_TIME, transaction


def replaced(value: bytes | None, key: bytes | None = b"u1") -> LogRecord:
    return LogRecord(7, KAFKA_TIME, key, value, [])


WHOLE = msgspec.json.decode(transaction(0).value or b"")


def without(field: str) -> LogRecord:
    return replaced(msgspec.json.encode({name: value for name, value in WHOLE.items() if name != field}))


def changed(**fields: object) -> LogRecord:
    return replaced(msgspec.json.encode({**WHOLE, **fields}))


BAD = {
    "null value": (replaced(None), "null_value", "no value"),
    "empty value": (replaced(b""), "not_json", "empty"),
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
    "seconds": (changed(event_time=1_700_000_000), "invalid_field", "looks like seconds"),
    "no time": (changed(event_time="yesterday"), "invalid_field", "ISO 8601"),
    "in the future": (changed(event_time=KAFKA_TIME + 5 * 60_000 + 1), "event_time_ahead", "5 min"),
    "too large": (changed(country="x" * (1 << 20)), "too_large", "at most 1048576"),
    "too large and broken": (replaced(b"{" * ((1 << 20) + 1)), "too_large", "at most 1048576"),
    "foreign key": (replaced(transaction(0).value, key=b"u2"), "wrong_key", "user_id"),
    "no key": (replaced(transaction(0).value, key=None), "wrong_key", "user_id"),
    **{f"without {field}": (without(field), "missing_field", field) for field in WHOLE},
}
