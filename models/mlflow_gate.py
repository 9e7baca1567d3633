"""The promotion gate: what the latest audit said of a feature set's vectors, kept in the registry, and who is kept from serving by it."""

import json
from dataclasses import asdict, dataclass

from models import mlflow_client
from models.mlflow_registry import MODEL_NAME, features_digest

_TAG = "audit."


@dataclass(frozen=True)
class AuditVerdict:
    """What an audit found of one features digest; ``at`` is when it ended (ISO 8601)."""

    passed: bool
    audited: int
    mismatches: int
    at: str


def record(digest: str, verdict: AuditVerdict, tracking_uri: str) -> None:
    """Notes the verdict as the latest of this features digest."""
    client = mlflow_client.connect(tracking_uri)
    client.set_registered_model_tag(MODEL_NAME, _TAG + digest, json.dumps(asdict(verdict)))


def latest(digest: str, tracking_uri: str) -> AuditVerdict | None:
    """The latest verdict on this features digest, None before the first."""
    told = mlflow_client.connect(tracking_uri).get_registered_model(MODEL_NAME).tags.get(_TAG + digest)
    return None if told is None else AuditVerdict(**json.loads(told))


def audit_objection(version: str, tracking_uri: str) -> str | None:
    """What the latest audit of this version's features has against it, in words; None if nothing. UserError if there is no such version."""
    digest = features_digest(version, tracking_uri)
    verdict = latest(digest, tracking_uri)
    if verdict is None or verdict.passed:
        return None
    return (
        f"by the audit of {verdict.at}, {verdict.mismatches} of {verdict.audited} decisions on its features ({digest[:12]}) can't be "
        "reproduced (mend the cause that tidemark audit names until it passes, or say --despite-audit)"
    )
