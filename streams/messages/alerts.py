"""What is said to people and programs when something is no longer as it should be."""

import hashlib
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from models.monitoring.drift import Drift
from models.monitoring.watch import Status, Subject
from streams.messages.events import Digest

Kind = Literal["drift", "quality"]
Severity = Literal["warning", "critical"]
Action = Literal["investigate", "freeze_training"]


class Alert(Struct, gc=False, kw_only=True):
    """What has changed about one cause. Keyed by alert_id: its newest record says how it stands."""

    alert_id: Annotated[str, Meta(description="the same for the same cause, whenever it comes back")]
    kind: Kind
    subject: Subject
    status: Status
    severity: Severity
    action: Annotated[Action, Meta(description="what is suggested")]
    sentence: str
    model_version: str
    model_digest: Digest
    opened_at: Annotated[int, Meta(description="the end of the hour in which it was opened, ms UTC of event time")]
    at: Annotated[int, Meta(description="the end of the hour that this is said of, ms UTC of event time")]
    revision: Annotated[int, Meta(ge=1, description="1 as it is opened, one more with each record until it is resolved")]
    window: Annotated[int, Meta(description="how long before `at` was looked at, ms")]
    rows: Annotated[int, Meta(description="decisions in the window")]
    drifts: Annotated[list[Drift], Meta(description="the columns, the furthest first, with their evidence")]
    false_alarm_days: Annotated[float, Meta(description="days to a false alarm by any column of this version, at the mean")]
    runbook: str


def alert_id(kind: Kind, subject: Subject, model_digest: str) -> str:
    """16 hexadecimal digits that stand for a cause."""
    return hashlib.sha256(f"{kind}/{subject}/{model_digest}".encode()).hexdigest()[:16]


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Alert).decode
