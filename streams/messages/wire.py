"""Messages as others send them: a time is int milliseconds UTC or ISO 8601 text. ``readers.py`` makes those of ``events.py`` of them.

Amounts are int minor units of the deployment's one currency, ids strings. Readers ignore unknown fields, so that fields may be added.
"""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

Id = Annotated[str, Meta(min_length=1, max_length=256, description="an identifier")]
Word = Annotated[str, Meta(max_length=256)]
Millis = Annotated[int, Meta(ge=10**11, le=10**13, description="milliseconds since 1970-01-01 UTC")]
Amount = Annotated[int, Meta(ge=0, le=10**12, description="minor units of the deployment's currency")]
# Matching a pattern would take as long as all the rest of decoding; a deployment takes only one currency anyway.
Currency = Annotated[str, Meta(min_length=3, max_length=3, description="ISO 4217 code", extra_json_schema={"pattern": "^[A-Z]{3}$"})]
IsoTime = Annotated[str, Meta(description="ISO 8601 with an offset, for example 2026-01-31T09:30:00+01:00")]
Time = Millis | IsoTime


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
