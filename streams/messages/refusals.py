"""Why a message is refused: one list of rules, for the stream as for the API."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from streams.messages import diagnosis
from streams.messages.events import Label, Transaction, User
from streams.messages.nesting import MAX_NESTING, is_too_deep

MAX_VALUE_BYTES = 1 << 20
MAX_AHEAD_MS = 5 * 60_000

_BROKER = "the record's Kafka timestamp"

Message = TypeVar("Message")


class RefusedError(Exception):
    """This message can't be taken: a ``reason`` from a fixed list, and a sentence that names the fix."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence


def readable(value: bytes | None, read: Callable[[bytes], Message]) -> Message:
    """What ``read`` makes of the value. Raises RefusedError: null_value, too_large, not_json, missing_field or invalid_field."""
    if value is None:
        raise RefusedError("null_value", "the record has no value; send a JSON object")
    if len(value) > MAX_VALUE_BYTES:
        raise RefusedError("too_large", f"the value has {len(value)} bytes, at most {MAX_VALUE_BYTES} are taken")
    if is_too_deep(value):
        raise RefusedError("not_json", f"the value is nested too deeply, by more than {MAX_NESTING} levels; send a flat JSON object")
    try:
        return read(value)
    except msgspec.ValidationError as error:
        missing = "missing required field" in str(error)
        raise RefusedError("missing_field" if missing else "invalid_field", diagnosis.unfit(value, error)) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RefusedError("not_json", diagnosis.not_json(value, error)) from None
    except ValueError as error:
        raise RefusedError("invalid_field", str(error)) from None


def check_transaction(transaction: Transaction, now: int, currency: str, clock: str = _BROKER, most_ahead: int = MAX_AHEAD_MS) -> None:
    """Raises RefusedError for a transaction that lies more than ``most_ahead`` ms after ``now`` (ms), which ``clock`` says, or isn't in the
    deployment's ``currency``: event_time_ahead, foreign_currency."""
    if transaction.event_time > now + most_ahead:
        raise _ahead("event_time", transaction.event_time, now, clock, most_ahead)
    if transaction.currency != currency:
        raise RefusedError("foreign_currency", diagnosis.foreign_currency(transaction.currency, currency))


def check_label(label: Label, now: int) -> None:
    """Raises RefusedError for a label that lies ahead of ``now``, the broker's time in ms, or whose transaction does: event_time_ahead,
    label_time_ahead. Only a label still newer can take one back, so one from the far future would stand for ever. A label may be older
    than its transaction."""
    for field in ("event_time", "label_time"):
        if (time := getattr(label, field)) > now + MAX_AHEAD_MS:
            raise _ahead(field, time, now)


def check_user(user: User, now: int) -> None:
    """Raises RefusedError for a user updated before being created, or ahead of ``now``, the broker's time in ms: invalid_field,
    updated_at_ahead."""
    if user.updated_at < user.created_at:
        raise RefusedError("invalid_field", f"updated_at {user.updated_at} lies before created_at {user.created_at}")
    if user.updated_at > now + MAX_AHEAD_MS:
        raise _ahead("updated_at", user.updated_at, now)


def _ahead(field: str, time: int, now: int, clock: str = _BROKER, most_ahead: int = MAX_AHEAD_MS) -> RefusedError:
    return RefusedError(
        f"{field}_ahead",
        f"{field} {time} lies more than {most_ahead // 60_000} min after {now}, {clock}; check the sender's clock and unit (milliseconds)",
    )
