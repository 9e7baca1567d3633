"""The messages as we work with them and as we send them: those that others send have their times settled.

Times are int milliseconds UTC, amounts int minor units of the deployment's one currency, ids strings. None can be part of a reference
cycle, so the garbage collector needn't look at them (``gc=False``): at hundreds of thousands a second it would look often.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from models.policy import Action, RiskLevel
from models.reasons import Reason
from streams.messages.wire import LabelMessage, Millis, TransactionMessage, UserMessage

Probability = Annotated[float, Meta(ge=0, le=1)]
Digest = Annotated[str, Meta(description="SHA-256, hexadecimal")]

Origin = Literal["stream", "api"]


class Transaction(TransactionMessage, gc=False):
    """A card transaction. Keyed by user_id."""

    event_time: Millis


class Label(LabelMessage, gc=False):
    """What a transaction turned out to be, known at label_time. Keyed by user_id."""

    event_time: Millis
    label_time: Millis


class User(UserMessage, gc=False):
    """A user as known since updated_at. Keyed by user_id."""

    created_at: Millis
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
    key_base64: Annotated[str | None, Meta(description="the first 1 kB of the key")]
    value_base64: Annotated[str | None, Meta(description="the first 256 kB of the value")]
    value_bytes: int
    value_digest: Annotated[str | None, Meta(description="SHA-256 of the whole value, hexadecimal")]


decode_decision = msgspec.json.Decoder(Decision).decode
encode = msgspec.json.Encoder().encode
