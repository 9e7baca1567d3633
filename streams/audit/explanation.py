"""One decision taken apart: where it came from, what made each figure of its vector, and whether all of it comes out the same again."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from features.arrays import Float32
from features.definitions import Entity, FeatureSet
from features.oracle import BOTH, OracleWindow
from models.policy import ACTIONS, RISK_LEVELS
from models.reasons import reasons
from models.scoring import Scorer
from streams.audit.dossier import History
from streams.audit.recomputation import Applied
from streams.audit.report import difference_json, finite
from streams.audit.scored import Mismatch, Scored
from streams.messages.code_digest import code_digest
from streams.messages.events import Decision, Label

# Of each window so many events are listed.
_LISTED = 10


def explanation(
    feature_set: FeatureSet,
    scored: Scored,
    history: History | None,
    mismatches: Sequence[Mismatch],
    scorer: Scorer,
    decision: Decision | None,
) -> dict[str, Any]:
    """All about a decision, as a JSON object. ``mismatches`` are what its audit found, ``decision`` what was published, if it still is.

    ``reproduced`` is true if vector, probability, verdict, level and reasons all come out the same; else ``differs`` says what doesn't.
    """
    expected = next((mismatch.expected for mismatch in mismatches if mismatch.what == "vector"), scored.vector)
    differs = [f"{mismatch.what}: {mismatch.cause}, {mismatch.sentence}" for mismatch in mismatches]
    policy = scorer.policy
    made = _decided(scorer, scored.vector)
    if decision is not None:
        differs += [
            f"{name} is {was!r}, and comes out as {made[name]!r}" for name, was in _published(decision).items() if was != made[name]
        ]
        if decision.policy_digest != policy.digest:
            differs.append(f"policy: {decision.policy_digest[:12]} is stated, the model has {policy.digest[:12]}")
    return {
        "transaction_id": scored.transaction_id,
        "user_id": scored.user_id,
        "merchant_id": scored.merchant_id,
        "event_time": _moment(scored.event_time),
        "amount": scored.amount,
        "origin": "stream" if scored.states is None else "api",
        "source": {"topic": "transactions", "partition": scored.place[0], "offset": scored.place[1]},
        "states_read": None if scored.states is None else {entity: _position(at) for entity, at in zip(BOTH, scored.states, strict=True)},
        "windows": [] if history is None else [window for entity in BOTH for window in _windows(feature_set, entity, history)],
        "vector": [
            {"feature": name, "served": finite(was), "recomputed": None if expected is None else finite(should)}
            for name, was, should in zip(
                feature_set.names, scored.vector.tolist(), (scored.vector if expected is None else expected).tolist(), strict=True
            )
        ],
        "model": {
            "name": scorer.model_name,
            "version": scored.model_version,
            "digest": scored.model_digest,
            "variant": scored.variant,
            "control_revision": scored.control_revision,
        },
        "features_digest": scored.features_digest,
        "code_digest": scored.code_digest,
        "same_code": scored.code_digest == code_digest(),
        "probability": scored.probability,
        **made,
        "policy": {
            "digest": policy.digest,
            **{name: getattr(policy, f"{name}_threshold") for name in ("review", "block", "elevated", "highest")},
        },
        "published": None if decision is None else {**_published(decision), "degraded": decision.degraded},
        "reproduced": not differs,
        "differs": differs,
        "differences": [difference_json(one) for mismatch in mismatches for one in mismatch.differences],
    }


def text(found: Mapping[str, Any]) -> list[str]:
    """The same for people, a line each."""
    model, policy, source = found["model"], found["policy"], found["source"]
    lines = [
        f"{found['transaction_id']}: {found['amount']:,} of user {found['user_id']} at merchant {found['merchant_id']}, "
        f"{found['event_time']}",
        f"source     {source['topic']}[{source['partition']}] at offset {source['offset']}, decided by the {found['origin']}",
    ]
    for entity, at in (found["states_read"] or {}).items():
        lines.append(
            f"           {entity} state {'never seen' if at is None else 'as of offset {offset} of partition {partition}'.format(**at)}"
        )
    lines += [
        f"model      {model['name']} {model['version']} ({model['digest'][:12]}), {model['variant']}, control {model['control_revision']}",
        f"score      {found['probability']:.6f}, risk {found['risk_score']}, {found['risk_level']}",
        f"policy     {policy['digest'][:12]}: review from {policy['review']:.6g}, block from {policy['block']:.6g}",
        f"action     {found['decision']}",
        f"code       {found['code_digest'][:12]}, {'that of this version' if found['same_code'] else 'another than of this version'}",
    ]
    for reason in found["reasons"]:
        lines.append(f"  because  {reason['feature']} = {reason['value']} ({reason['contribution']:+.3f} log-odds)")
    lines.append("windows")
    for window in found["windows"]:
        title = f"  {window['entity']} {window['window']}"
        lines.append(
            f"{title:<16} {window['from']} to {window['to']}: {window['transactions']:,} transactions, {window['frauds']:,} frauds"
        )
        lines += [f"    {event['event_time']}  {event['amount']:>12,}  {event['transaction_id']}" for event in window["newest"]]
        more = window["transactions"] - len(window["newest"])
        if more:
            lines.append(f"    and {more:,} more")
    lines.append("vector")
    for figure in found["vector"]:
        again = "" if figure["served"] == figure["recomputed"] else f", recomputed {figure['recomputed']}"
        lines.append(f"  {figure['feature']:<32} {figure['served']}{again}")
    lines += [f"differs    {sentence}" for sentence in found["differs"]]
    lines.append("reproduced bit for bit" if found["reproduced"] else "not reproduced")
    return lines


def _decided(scorer: Scorer, vector: Float32) -> dict[str, Any]:
    rows = vector[np.newaxis]
    scores = scorer.score(rows)
    verdict = int(scores.decision[0])
    return {
        "decision": ACTIONS[verdict],
        "risk_score": int(scores.risk_score[0]),
        "risk_level": RISK_LEVELS[int(scores.risk_level[0])],
        "reasons": [
            {"feature": reason.feature, "value": reason.value, "contribution": reason.contribution}
            for reason in (reasons(scorer, rows)[0] if verdict else [])
        ],
    }


def _published(decision: Decision) -> dict[str, Any]:
    return {
        "decision": decision.decision,
        "risk_score": decision.risk_score,
        "risk_level": decision.risk_level,
        "reasons": [{"feature": reason.feature, "value": reason.value, "contribution": reason.contribution} for reason in decision.reasons],
    }


def _windows(feature_set: FeatureSet, entity: Entity, history: History) -> list[dict[str, Any]]:
    events = history.of(entity)
    known = [applied for applied in events if not isinstance(applied.event, Label)]
    anchor = max(applied.event.event_time for applied in [*known, history.transaction])
    found = []
    for window in (*feature_set.activity, *feature_set.outcome):
        start, end = OracleWindow(window.length, window.hop, window.delay).bounds(anchor)
        inside = [applied for applied in known if start <= applied.event.event_time < end]
        newest = sorted(inside, key=lambda applied: applied.event.event_time, reverse=True)[:_LISTED]
        found.append(
            {
                "entity": entity,
                "window": f"{window.name}{' (labels)' if window.delay else ''}",
                "from": _moment(start),
                "to": _moment(end),
                "transactions": len(inside),
                "frauds": sum(applied.fraud for applied in events if start <= applied.event.event_time < end),
                "newest": [_event(applied) for applied in newest],
            }
        )
    return found


def _event(applied: Applied) -> dict[str, Any]:
    event = applied.event
    return {
        "transaction_id": event.transaction_id,
        "event_time": _moment(event.event_time),
        "amount": getattr(event, "amount", 0),
        "source": [applied.source, applied.offset],
    }


def _position(at: Any) -> dict[str, int] | None:
    return None if at is None else {"partition": at.partition, "offset": at.offset}


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
