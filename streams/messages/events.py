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


class DriftedColumn(Struct, gc=False):
    """How far a column is from what a model was made of; see ``models/monitoring/drift.py``."""

    name: str
    psi: Annotated[float, Meta(description="population stability index")]
    js: Annotated[float, Meta(description="Jensen–Shannon distance, nats½")]
    ks: Annotated[float, Meta(description="Kolmogorov–Smirnov distance, 0–1")]
    level: Annotated[str, Meta(description="what is customary to call the PSI: none, some (above 0.1) or much (above 0.25)")]
    missing: Annotated[float, Meta(description="share of rows without a value")]
    missing_then: Annotated[float, Meta(description="the same of what the model was made of")]
    unseen: Annotated[float, Meta(description="share of rows with a category that the model was made without")]


class ArrivedLabels(Struct, gc=False):
    """How many frauds among payments that were let through came to light on a day; see ``models/monitoring/arrivals.py``."""

    day: Annotated[int, Meta(description="its first ms, UTC")]
    expected: Annotated[float, Meta(description="by the scores")]
    observed: int
    evidence: Annotated[float, Meta(description="the e-detector's value after it; an alarm from 120 on")]


class Alert(Struct, gc=False, kw_only=True):
    """What has changed about one cause. Keyed by alert_id: its newest record says how it stands."""

    alert_id: Annotated[str, Meta(description="the same for the same cause, whenever it comes back")]
    kind: Literal["drift", "quality", "performance"]
    subject: Annotated[
        Literal["input", "values", "missed_fraud"],
        Meta(description="inputs; missing or unknown values among them; more fraud let through than the scores explain"),
    ]
    status: Literal["opened", "updated", "resolved"]
    severity: Literal["warning", "critical"]
    action: Annotated[Literal["investigate", "freeze_training", "retrain"], Meta(description="what is suggested")]
    sentence: str
    model_version: str
    model_digest: Digest
    opened_at: Annotated[int, Meta(description="the end of the hour or day in which it was opened, ms UTC of event time")]
    at: Annotated[int, Meta(description="the end of the hour or day that it is about, ms UTC of event time")]
    revision: Annotated[int, Meta(ge=1, description="1 as it is opened, one more with each record until it is resolved")]
    window: Annotated[int, Meta(description="how long before `at` was looked at, ms")]
    rows: Annotated[int, Meta(description="decisions in the window")]
    drifts: Annotated[list[DriftedColumn], Meta(description="the columns, the furthest first, with their evidence")]
    false_alarm_days: Annotated[float, Meta(description="days to a false alarm of this kind about this version, at the mean")]
    runbook: str
    score: Annotated[DriftedColumn | None, Meta(description="of drift: how far the scores are by then, for they make the decisions")] = None
    labels: Annotated[list[ArrivedLabels], Meta(description="of missed_fraud: the newest days")] = []


class AlertAction(Struct, gc=False, kw_only=True):
    """What was done for an alert. Keyed by alert_id: the newest record of an alert that was opened at a time says how that went."""

    alert_id: str
    opened_at: Annotated[int, Meta(description="when that alert was opened, ms UTC of event time")]
    action: Literal["retrain"]
    status: Annotated[Literal["begun", "done", "failed", "put_off"], Meta(description="done: it ended, whatever came of it")]
    at: Annotated[int, Meta(description="wall clock in ms")]
    sentence: Annotated[str, Meta(description="what came of it, or why not")]
    model_version: Annotated[str | None, Meta(description="the candidate, if there is one")] = None


decode_decision = msgspec.json.Decoder(Decision).decode
decode_action = msgspec.json.Decoder(AlertAction).decode
decode_alert = msgspec.json.Decoder(Alert).decode
encode = msgspec.json.Encoder().encode
