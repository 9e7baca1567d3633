"""Messages as others send them: a time is int milliseconds UTC or text (``features/times.py``). ``readers.py`` makes those of ``events.py``
of them.

Amounts are int minor units of the deployment's one currency, ids strings. Readers ignore unknown fields, so that fields may be added.
"""

from typing import Annotated

from msgspec import Meta, Struct

from features.times import EARLIEST_MS, LATEST_MS

MAX_ID_CHARACTERS = 256
Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID_CHARACTERS, description="an identifier")]
Word = Annotated[str, Meta(max_length=MAX_ID_CHARACTERS)]
_MILLIS = "milliseconds since 1970-01-01 UTC"
Millis = Annotated[int, Meta(ge=EARLIEST_MS, le=LATEST_MS, description=_MILLIS)]
Amount = Annotated[int, Meta(ge=0, le=10**12, description="minor units of the deployment's currency")]
# Matching a pattern would take as long as all the rest of decoding; a deployment takes only one currency anyway.
Currency = Annotated[str, Meta(min_length=3, max_length=3, description="ISO 4217 code", extra_json_schema={"pattern": "^[A-Z]{3}$"})]
# Its range is checked once it is settled, as a text's is, so that both are refused alike.
_UnsettledMillis = Annotated[int, Meta(description=_MILLIS, extra_json_schema={"minimum": EARLIEST_MS, "maximum": LATEST_MS})]
TimeText = Annotated[str, Meta(description="ISO 8601, for example 2026-01-31T09:30:00+01:00; without an offset UTC")]
Time = _UnsettledMillis | TimeText


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
