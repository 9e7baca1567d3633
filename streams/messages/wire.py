"""Messages as others send them: a time is int milliseconds UTC or ISO 8601 text. Read, they are those of ``events.py``.

Readers ignore unknown fields, so that fields may be added.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import Meta, Struct

from streams.messages.events import Amount, Currency, Id, Label, Millis, Transaction, User, Word

IsoTime = Annotated[str, Meta(description="ISO 8601 with an offset, for example 2026-01-31T09:30:00+01:00")]
Time = Millis | IsoTime

Settled = TypeVar("Settled", bound=Struct)
Sent = TypeVar("Sent", bound=Struct)


class TransactionMessage(Struct, gc=False):
    """A card transaction, as it is offered for scoring. Keyed by user_id."""

    transaction_id: Id
    event_time: Time
    user_id: Id
    merchant_id: Id
    amount: Amount
    currency: Currency
    device_id: Id | None = None
    country: str | None = None
    channel: str | None = None
    mcc: str | None = None


class LabelMessage(Struct, gc=False):
    """What a transaction turned out to be, known at label_time; the newest label of a transaction counts. Keyed by user_id."""

    transaction_id: Id
    user_id: Id
    merchant_id: Id
    event_time: Time
    label_time: Time
    is_fraud: bool
    source: str = "chargeback"


class UserMessage(Struct, gc=False):
    """A user as known since updated_at, by default since created_at; a user's newest record counts, and one without value removes the
    user. A user's updated_at must not go back. Keyed by user_id."""

    user_id: Id
    created_at: Time
    country: Word
    segment: Word
    updated_at: Time | None = None


class Reader(Generic[Settled, Sent]):
    """Reads messages of one type from JSON. Raises msgspec's errors for what is none, ValueError that names the field for a text that is
    no time. Pure but for its memory of which form of times came last: whoever sends them keeps to one."""

    def __init__(self, settled: type[Settled], sent: type[Sent], settle: Callable[[Sent], Settled], times: tuple[str, ...]) -> None:
        self._decode_settled = msgspec.json.Decoder(settled).decode
        self._decode_sent = msgspec.json.Decoder(sent).decode
        self._settle, self._times = settle, times
        self._is_settled = True

    def __call__(self, value: bytes) -> Settled:
        """The message in a record's value or a request's body."""
        if self._is_settled:
            try:
                return self._decode_settled(value)
            except msgspec.ValidationError:
                pass
        sent = self._decode_sent(value)
        self._is_settled = not any(isinstance(getattr(sent, field), str) for field in self._times)
        return self._settle(sent)


def transaction_reader() -> Reader[Transaction, TransactionMessage]:
    """A reader of transactions."""
    return Reader(Transaction, TransactionMessage, _transaction, ("event_time",))


def label_reader() -> Reader[Label, LabelMessage]:
    """A reader of labels."""
    return Reader(Label, LabelMessage, _label, ("event_time", "label_time"))


def user_reader() -> Reader[User, UserMessage]:
    """A reader of users."""
    return Reader(User, UserMessage, _user, ("created_at", "updated_at"))


def milliseconds(moment: int | str) -> int:
    """A time on the wire as int ms UTC. Raises ValueError for text that isn't ISO 8601 with an offset, or is out of range."""
    if isinstance(moment, int):
        return moment
    try:
        parsed = datetime.fromisoformat(moment)
    except ValueError:
        raise ValueError(f"{moment!r} is no ISO 8601 time; send int milliseconds or for example 2026-01-31T09:30:00+01:00") from None
    if parsed.tzinfo is None:
        raise ValueError(f"{moment!r} has no offset; add Z or +hh:mm, or send int milliseconds UTC")
    whole = round(parsed.timestamp() * 1000)
    if not 10**11 <= whole <= 10**13:
        raise ValueError(f"{moment!r} lies outside 1973 to 2286")
    return whole


def _settled(field: str, moment: int | str) -> int:
    try:
        return milliseconds(moment)
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from None


def _transaction(sent: TransactionMessage) -> Transaction:
    time = _settled("event_time", sent.event_time)
    return Transaction(
        sent.transaction_id,
        time,
        sent.user_id,
        sent.merchant_id,
        sent.amount,
        sent.currency,
        sent.device_id,
        sent.country,
        sent.channel,
        sent.mcc,
    )


def _label(sent: LabelMessage) -> Label:
    times = _settled("event_time", sent.event_time), _settled("label_time", sent.label_time)
    return Label(sent.transaction_id, sent.user_id, sent.merchant_id, *times, sent.is_fraud, sent.source)


def _user(sent: UserMessage) -> User:
    created = _settled("created_at", sent.created_at)
    updated = created if sent.updated_at is None else _settled("updated_at", sent.updated_at)
    return User(sent.user_id, created, sent.country, sent.segment, updated)
