"""Promotion: a version takes a role only through the gate, or past it by force, with a name and a reason on record."""

from datetime import UTC, datetime

import msgspec
import numpy as np

from features.arrays import Float32
from features.definitions import FEATURE_SETS, FeatureSet
from features.errors import UserError
from models.costs import Costs
from models.promotion import mlflow_audits
from models.promotion.comparison import LIMITS, Comparison, compare, objections
from models.promotion.gate import ComparisonRows, Force, GateVerdict, Overlooked, too_slow, with_objections
from models.promotion.latency import latencies
from models.registry import mlflow_registry
from models.registry.mlflow_registry import CHALLENGER, CHAMPION, SHADOW
from models.registry.record import MODEL_NAME
from models.scoring import Scorer
from models.training.rehearsal import scored_rows

ROLES = (CHAMPION, CHALLENGER, SHADOW)
_GATE = "gate."


def judge(
    version: str,
    role: str,
    trial: ComparisonRows | None,
    tracking_uri: str,
    despite_audit: str | None = None,
) -> GateVerdict:
    """The gate's verdict; only a shadow, which decides nothing, needs none but the auditor's. Raises UserError if there is no such version.

    ``trial`` may be None where there is no other champion to compare with; where there is one, its absence is an objection.
    ``despite_audit`` names who overlooks that an audit failed or was never made.
    """
    champion = mlflow_registry.champion_version(tracking_uri)
    now = datetime.now(UTC)
    audit = mlflow_audits.finding(version, champion, now, tracking_uri)
    overlooked = Overlooked(despite_audit, audit.sentence) if audit.is_objection and despite_audit is not None else None
    against = (audit.sentence,) if audit.is_objection and overlooked is None else ()
    verdict = GateVerdict(version, role, champion, _iso(now), against, audit=audit.sentence, overlooked=overlooked)
    if role != CHAMPION and champion == version:
        return with_objections(verdict, ["it is the champion itself; name another version"])
    if role == SHADOW or champion is None or champion == version:
        return verdict
    return _compared_with_champion(verdict, champion, trial, tracking_uri)


def validate(version: str, trial: ComparisonRows, tracking_uri: str) -> GateVerdict:
    """How a candidate that doesn't serve yet compares with the champion: what its refit will rest on when it is to serve, and when the
    auditor is asked. Raises UserError if there is no such version, or no champion."""
    champion = mlflow_registry.champion_version(tracking_uri)
    if champion is None:
        raise UserError("there is no champion to compare with")
    return _compared_with_champion(GateVerdict(version, CHAMPION, champion, _iso(datetime.now(UTC)), ()), champion, trial, tracking_uri)


def promote(verdict: GateVerdict, tracking_uri: str, force: Force | None = None) -> None:
    """Give the version its role, which the workers and the API follow within seconds, and put the verdict on record as its tags.

    Raises UserError, with the objections, if there are any and nobody forces it.
    """
    if not verdict.passed and force is None:
        reasons = "; ".join(verdict.objections)
        raise UserError(
            f"version {verdict.version} can't become {verdict.role}: {reasons}; fix that, or use --force --reason … to take it on yourself"
        )
    # First on record, then in its role.
    put_on_record(verdict, tracking_uri, force)
    if verdict.role == CHAMPION:
        mlflow_registry.promote(verdict.version, tracking_uri)
    else:
        mlflow_registry.assign(verdict.version, verdict.role, tracking_uri)


def put_on_record(verdict: GateVerdict, tracking_uri: str, force: Force | None = None) -> None:
    """Note the verdict as tags of the version, and who forced it; it takes no role by that."""
    tags = {f"{_GATE}{verdict.role}": msgspec.json.encode(verdict).decode()}
    if force is not None:
        forced = {"author": force.author, "reason": force.reason, "at": verdict.at, "despite": verdict.objections}
        tags[f"forced.{verdict.role}"] = msgspec.json.encode(forced).decode()
    mlflow_registry.tag(verdict.version, tags, tracking_uri)


def _compared_with_champion(verdict: GateVerdict, champion: str, trial: ComparisonRows | None, tracking_uri: str) -> GateVerdict:
    """The verdict, and what the comparison adds to it."""
    compared, it = verdict.version, "it"
    if (validated := mlflow_registry.tags(verdict.version, tracking_uri).get("refit_of")) is not None:
        # It knows the rows that it could be compared on; the version it is a refit of does not.
        verdict = msgspec.structs.replace(verdict, validated=validated)
        compared, it = validated, f"version {validated}, of which it is a refit,"
        before = _verdict_on_record(validated, verdict.role, tracking_uri)
        # One on another champion proves nothing about the present one.
        if before is not None and before.champion == champion:
            return with_objections(verdict, [f"{it} did not pass: {'; '.join(before.objections)}"] if before.objections else [])
    if trial is None:
        return with_objections(
            verdict,
            [
                f"nothing shows how {it} compares with the champion, version {champion}; run tidemark promote {verdict.version} --as "
                f"{verdict.role} --data FILE with the newest matured weeks"
            ],
        )
    try:
        candidate = mlflow_registry.load(f"models:/{MODEL_NAME}/{compared}", tracking_uri)
        present = mlflow_registry.load(f"models:/{MODEL_NAME}/{champion}", tracking_uri)
        found, rows, others = _compared(candidate, present, trial, _trained_to((compared, champion), tracking_uri))
    except UserError as error:
        return with_objections(verdict, [str(error)])
    ours, theirs = latencies(((candidate, rows), (present, others)))
    against = [*objections(found), *too_slow(ours, theirs)]
    if against and validated is not None:
        against = [f"{it} does not pass: {'; '.join(against)}"]
    return msgspec.structs.replace(with_objections(verdict, against), comparison=found, latency=ours, champion_latency=theirs)


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _compared(candidate: Scorer, champion: Scorer, trial: ComparisonRows, trained_to: int | None) -> tuple[Comparison, Float32, Float32]:
    sets = [_feature_set(scorer) for scorer in (candidate, champion)]
    rows = trial.rows_of(sets[0])
    others = rows if sets[0] == sets[1] else trial.rows_of(sets[1])
    chosen = trial.chosen(rows.event_time, trained_to)
    rows, others = rows.where(chosen), others.where(chosen)
    if not np.array_equal(rows.event_time, others.event_time):
        raise ValueError("the rows to compare on differ between the feature sets")
    if not LIMITS.frauds <= rows.frauds < len(rows.is_fraud):
        raise UserError(
            f"{rows.frauds:,} frauds among {len(rows.is_fraud):,} matured transactions are too few to compare on; give data with at least "
            f"{LIMITS.frauds}"
        )
    scored = [scorer.score(np.ascontiguousarray(of.vectors)).probability for scorer, of in ((candidate, rows), (champion, others))]
    judged = scored_rows(rows, sets[0].names, scored[0])
    chosen_by = candidate.policy.chosen
    costs = (chosen_by and chosen_by.costs) or Costs()
    return compare(judged, (scored[0], candidate.policy), (scored[1], champion.policy), costs), rows.vectors, others.vectors


def _verdict_on_record(version: str, role: str, tracking_uri: str) -> GateVerdict | None:
    """The latest for the role; None if there is none, or it was never written to its end."""
    tags = mlflow_registry.tags(version, tracking_uri)
    # What may be champion may be challenger.
    written = tags.get(f"{_GATE}{role}", tags.get(f"{_GATE}{CHAMPION}"))
    try:
        return None if written is None else msgspec.json.decode(written, type=GateVerdict)
    except (ValueError, RecursionError):
        return None


def _trained_to(versions: tuple[str, ...], tracking_uri: str) -> int | None:
    tagged = [mlflow_registry.tags(version, tracking_uri).get("trained_to", "") for version in versions]
    return max((int(moment) for moment in tagged if moment.isdigit()), default=None)


def _feature_set(scorer: Scorer) -> FeatureSet:
    return next(feature_set for feature_set in FEATURE_SETS.values() if feature_set.digest == scorer.features_digest)
