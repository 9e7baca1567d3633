"""Verdicts of audits, kept in the registry: the latest on a feature set's vectors, and whether it keeps a version from serving."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from models.registry import mlflow_client, mlflow_registry
from models.registry.record import MODEL_NAME

_TAG = "audit."
# What serves changes with each release; and where nothing was decided, serving may have begun since.
_HOLDS, _NOTHING_HOLDS = timedelta(days=7), timedelta(days=1)


@dataclass(frozen=True)
class AuditVerdict:
    """What an audit found of one features digest, 0 ``audited`` if nothing was decided on it; ``at`` is when it ended (ISO 8601).
    ``accepted`` says what it did find and somebody has answered for, "" for nothing."""

    passed: bool
    audited: int
    mismatches: int
    at: str
    accepted: str = ""


@dataclass(frozen=True)
class Finding:
    """The auditor's ``sentence`` on a version, and whether that is an objection to its serving."""

    sentence: str
    is_objection: bool


def record(digest: str, verdict: AuditVerdict, tracking_uri: str) -> None:
    """Notes the verdict as the latest of this features digest."""
    client = mlflow_client.connect(tracking_uri)
    mlflow_registry.ensure_registered_model(client)
    client.set_registered_model_tag(MODEL_NAME, _TAG + digest, json.dumps(asdict(verdict)))


def latest(digest: str, tracking_uri: str) -> AuditVerdict | None:
    """The latest verdict on this features digest, None before the first."""
    written = mlflow_client.connect(tracking_uri).get_registered_model(MODEL_NAME).tags.get(_TAG + digest)
    return None if written is None else AuditVerdict(**json.loads(written))


def finding(version: str, champion: str | None, now: datetime, tracking_uri: str) -> Finding:
    """What the latest audit means for a version that is to serve where ``champion`` does; that there is none is an objection.

    The audit of its own features counts. As long as nothing was decided on these, that of the champion's does, for the same code
    computes both. Without a champion nothing is served that could be audited. An audit holds for a week, one that found nothing for a
    day. Raises UserError if there is no such version.
    """
    tags = mlflow_registry.tags(version, tracking_uri)
    verdict, whose = latest(tags["features_digest"], tracking_uri), "its features ({})"
    if verdict is None and champion is None:
        return Finding("there is no champion, so nothing is served that could be audited", False)
    if champion is not None and (verdict is None or not verdict.audited):
        of_champion = mlflow_registry.tags(champion, tracking_uri)
        if of_champion["features_digest"] != tags["features_digest"]:
            tags, whose = of_champion, "the champion's features ({}; nothing was decided on its own yet)"
            verdict = latest(tags["features_digest"], tracking_uri)
    command = f"tidemark audit --features {tags['feature_set']}"
    whose = whose.format(f"{tags['feature_set']}, {tags['features_digest'][:12]}")
    if verdict is None:
        return Finding(f"no audit of {whose} is on record (run {command}, or use --despite-audit, which goes on record)", True)
    by = f"by the audit of {verdict.at}"
    if not verdict.passed:
        fix = "fix the cause that tidemark audit names until it passes, or use --despite-audit"
        return Finding(f"{by}, {verdict.mismatches} of {verdict.audited} decisions on {whose} can't be reproduced ({fix})", True)
    if verdict.audited:
        but = f", but for {verdict.accepted}" if verdict.accepted else ""
        sentence = f"{by}, all of {verdict.audited} decisions on {whose} are reproduced bit for bit{but}"
        holds, ago = _HOLDS, "a week"
    else:
        sentence, holds, ago = f"{by}, nothing was decided on {whose} yet, so there was nothing to audit", _NOTHING_HOLDS, "a day"
    if now - datetime.fromisoformat(verdict.at) <= holds:
        return Finding(sentence, False)
    return Finding(f"{sentence}, which is more than {ago} ago (run {command} again, or use --despite-audit, which goes on record)", True)
