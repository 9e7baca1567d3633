"""From JSON to the messages of ``events.py``, in whichever form their times were sent."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from features.times import in_another_unit, milliseconds
from streams.messages.events import Label, Transaction, User
from streams.messages.wire import LabelMessage, TransactionMessage, UserMessage

Settled = TypeVar("Settled", bound=Struct)

# So much of a text that is no time is shown.
_SHOWN = 40


class _Kind(Generic[Settled]):
    """How messages of one type are decoded: with their times settled, and as they were ``sent``; ``complete`` fills in what may be left
    out."""

    def __init__(
        self, settled: type[Settled], sent: type[Struct], times: tuple[str, ...], complete: Callable[[Any], None] = lambda _sent: None
    ) -> None:
        self.decode = msgspec.json.Decoder(settled).decode
        self._decode_sent = msgspec.json.Decoder(sent).decode
        self._settled, self._times, self._complete = settled, times, complete
        self._values = attrgetter(*settled.__struct_fields__)

    def settle(self, value: bytes) -> tuple[Settled, bool]:
        """The message, and whether it was sent as it is. Raises as ``Reader``."""
        sent = self._decode_sent(value)
        texts = 0
        for field in self._times:
            written = getattr(sent, field)
            texts += isinstance(written, str)
            if written is not None:
                setattr(sent, field, _settled(field, written))
        self._complete(sent)
        return self._settled(*self._values(sent)), not texts


def _settled(field: str, written: int | str) -> int:
    try:
        return milliseconds(written)
    except ValueError as error:
        start = repr(written[:_SHOWN]) if isinstance(written, str) else str(written) if abs(written) < 10**_SHOWN else "the number"
        fix = in_another_unit(_number(written)) or "send int milliseconds or for example 2026-01-31T09:30:00+01:00"
        raise ValueError(f"{field} {start} {error}; {fix}") from None


def _number(written: int | str) -> int:
    if isinstance(written, int):
        return written
    return int(written) if len(written) <= _SHOWN and written.isascii() and written.isdecimal() else 0


def _complete_user(sent: UserMessage) -> None:
    sent.updated_at = sent.created_at if sent.updated_at is None else sent.updated_at


_TRANSACTION = _Kind(Transaction, TransactionMessage, ("event_time",))
_LABEL = _Kind(Label, LabelMessage, ("event_time", "label_time"))
_USER = _Kind(User, UserMessage, ("created_at", "updated_at"), _complete_user)


class Reader(Generic[Settled]):
    """Reads messages of one type from JSON. Raises msgspec's errors for what is none, ValueError that names the field for what is no
    time. Pure but for its memory of which form of times came last: whoever sends them keeps to one."""

    def __init__(self, kind: _Kind[Settled]) -> None:
        self._kind = kind
        self._is_settled = True

    def __call__(self, value: bytes) -> Settled:
        """The message in a record's value or a request's body."""
        if self._is_settled:
            try:
                return self._kind.decode(value)
            except msgspec.ValidationError:
                pass
        message, self._is_settled = self._kind.settle(value)
        return message


def transaction_reader() -> Reader[Transaction]:
    """A reader of transactions."""
    return Reader(_TRANSACTION)


def label_reader() -> Reader[Label]:
    """A reader of labels."""
    return Reader(_LABEL)


def user_reader() -> Reader[User]:
    """A reader of users."""
    return Reader(_USER)
