"""The messages as we work with them and as we send them; ``wire.py`` has what others may send us instead.

Times are int milliseconds UTC, amounts int minor units of the deployment's one currency, ids strings. None can be part of a reference
cycle, so the garbage collector needn't look at them (``gc=False``): at hundreds of thousands a second it would look often.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from models.policy import Action, RiskLevel
from models.reasons import Reason

Id = Annotated[str, Meta(min_length=1, max_length=256, description="an identifier")]
Word = Annotated[str, Meta(max_length=256)]
Millis = Annotated[int, Meta(ge=10**11, le=10**13, description="milliseconds since 1970-01-01 UTC")]
Amount = Annotated[int, Meta(ge=0, le=10**12, description="minor units of the deployment's currency")]
# Matching a pattern would take as long as all the rest of decoding; a deployment takes only one currency anyway.
Currency = Annotated[str, Meta(min_length=3, max_length=3, description="ISO 4217 code", extra_json_schema={"pattern": "^[A-Z]{3}$"})]
Probability = Annotated[float, Meta(ge=0, le=1)]
Digest = Annotated[str, Meta(description="SHA-256, hexadecimal")]

Origin = Literal["stream", "api"]


class Transaction(Struct, gc=False):
    """A card transaction. Keyed by user_id."""

    transaction_id: Id
    event_time: Millis
    user_id: Id
    merchant_id: Id
    amount: Amount
    currency: Currency
    device_id: Id | None = None
    country: str | None = None
    channel: str | None = None
    mcc: str | None = None


class Label(Struct, gc=False):
    """What a transaction turned out to be, known at label_time. Keyed by user_id."""

    transaction_id: Id
    user_id: Id
    merchant_id: Id
    event_time: Millis
    label_time: Millis
    is_fraud: bool
    source: str = "chargeback"


class User(Struct, gc=False):
    """A user as known since updated_at. Keyed by user_id."""

    user_id: Id
    created_at: Millis
    country: Word
    segment: Word
    updated_at: Millis


class Source(Struct, gc=False):
    """The record that was decided."""

    topic: str
    partition: int
    offset: int


class Decision(Struct, gc=False, kw_only=True):
    """What was decided on a transaction, and all it takes to decide it again. Keyed by user_id."""

    transaction_id: str
    event_time: int
    user_id: str
    merchant_id: str
    amount: int
    currency: str
    decision: Action
    risk_score: Annotated[int, Meta(ge=0, le=99)]
    risk_level: RiskLevel
    probability: Probability
    reasons: list[Reason]
    model_name: str
    model_version: str
    model_digest: Digest
    policy_digest: Digest
    variant: str
    control_revision: int
    features_digest: Digest
    source: Source
    origin: Origin
    decided_at: Annotated[int, Meta(description="wall clock in ms; stamped, never read")]
    degraded: Annotated[bool, Meta(description="decided without what is known of user and merchant, for the online store failed")] = False


class UserRisk(Struct, gc=False):
    """A user's risk as of a moment: the highest probability of one of the user's latest payments, were it made again then. A user's newest
    record counts. Keyed by user_id."""

    user_id: str
    as_of: Annotated[int, Meta(description="the moment, ms UTC; what was known before it counts")]
    probability: Probability
    risk_score: Annotated[int, Meta(ge=0, le=99)]
    risk_level: RiskLevel
    payments: Annotated[int, Meta(ge=1, description="how many payments were judged")]
    transaction_id: Annotated[str, Meta(description="the riskiest of them")]
    event_time: Annotated[int, Meta(description="when that was made, ms UTC")]
    model_name: str
    model_version: str
    model_digest: Digest
    policy_digest: Digest
    features_digest: Digest


class DeadLetter(Struct, gc=False):
    """An input that could not be taken, why, and its bytes. Has no key."""

    topic: str
    partition: int
    offset: int
    reason: str
    sentence: str
    key_base64: str | None
    value_base64: Annotated[str | None, Meta(description="the first 256 kB of the value")]
    value_bytes: int
    value_digest: Annotated[str | None, Meta(description="SHA-256 of the whole value, hexadecimal")]


decode_decision = msgspec.json.Decoder(Decision).decode
encode = msgspec.json.Encoder().encode
