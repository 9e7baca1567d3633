"""What the monitor says of each model version that has decided: how good that was, and how far its input is from what it was made of."""

from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.history.moments import moment
from models.costs import Costs
from models.evaluation.judgement import Decided, Figure
from models.evaluation.scored_rows import ScoredRows, amount_bands
from models.monitoring.arrivals import Arrivals, Passed, arrivals
from models.monitoring.drift import Drift, drifts
from models.monitoring.outcomes import Outcomes
from models.monitoring.performance import Performance, performance
from models.monitoring.reference import Reference

_SHOWN = (
    *("average_precision", "auc_roc", "review_precision", "review_recall", "review_f1", "review_false_positive_rate"),
    *("review_negative_predictive_value", "calibration_error", "money_saved"),
)
_MOST_DRIFTS = 8
_RECENT_DAYS = 7


class VersionReport(msgspec.Struct, frozen=True):
    """One version's decisions, with the first and last event time (ms); ``drift`` is None where the version has no reference, ``arrivals``
    where too few frauds have matured."""

    version: str
    digest: str
    first: int
    last: int
    performance: Performance
    drift: list[Drift] | None
    arrivals: Arrivals | None


def version_report(rows: pa.Table, reference: Reference | None, as_of: int, delay: int, costs: Costs) -> VersionReport:
    """Of the decisions of one version: at least one row, with its outcome (``with_outcomes``) and the reference's features; times and how
    long labels take at most (``delay``) in ms."""
    event_time = rows["event_time"].to_numpy()
    action = rows["decision"].cast(pa.string())
    blocked = pc.fill_null(pc.equal(action, "block"), False).to_numpy()
    flagged = pc.fill_null(pc.is_in(action, pa.array(["block", "review"])), False).to_numpy()
    outcomes = Outcomes(
        pc.fill_null(rows["is_fraud"], False).to_numpy(),
        rows["is_fraud"].is_valid().to_numpy(),
        blocked,
        rows["mature"].to_numpy(),
        rows["known"].to_numpy(),
    )
    amount, probability = rows["amount_minor"].to_numpy(), rows["probability"].to_numpy().astype(np.float64)
    user = rows["user_id"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    segments = {"amount": amount_bands(amount), "variant": np.array(rows["variant"].cast(pa.string()).to_pylist(), np.str_)}
    scored = ScoredRows(event_time, user, amount, outcomes.is_fraud, probability, segments)
    columns = {} if reference is None else {name: rows[name].to_numpy() for name in reference.features}
    came_to_light = pc.fill_null(rows["first_fraud_time"], 0).to_numpy()
    passed = Passed(event_time, user, probability, outcomes.is_fraud, came_to_light).where(~blocked)
    return VersionReport(
        rows["model_version"][0].as_py(),
        rows["model_digest"][0].as_py(),
        int(event_time.min()),
        int(event_time.max()),
        performance(scored, Decided(flagged, blocked), outcomes, costs),
        None if reference is None else drifts(reference, columns, probability, event_time),
        arrivals(passed, as_of, delay) if len(passed) else None,
    )


def text(of: VersionReport) -> Sequence[str]:
    """For people, a line each."""
    found = of.performance
    known = "" if found.known is None else f", of whose frauds {found.known:.0%} should be labelled by now"
    lines = [
        f"version {of.version}: {found.decisions:,} decisions; {found.all.rows:,} matured with {found.all.frauds:,} frauds, "
        f"{found.immature:,} too young{known}, {found.unseen:,} blocked that nobody saw"
    ]
    lines += [f"  {name}: {_shown(found.all.figures[name])}" for name in _SHOWN if name in found.all.figures]
    lines.append(f"  {_arrived(of.arrivals)}")
    if of.drift is None:
        return [*lines, "  no reference is kept with this version, so it isn't known whether its input has drifted"]
    far = [drift for drift in of.drift if drift.level != "none"]
    lines.append(f"  {len(far)} of {len(of.drift)} columns have drifted")
    for drift in far[:_MOST_DRIFTS]:
        lines.append(f"    {drift.name}: PSI {drift.psi:.3f} ({drift.level}), JS {drift.js:.3f}, KS {drift.ks:.3f}")
    return lines


def _arrived(found: Arrivals | None) -> str:
    if found is None:
        return "too few frauds have matured to tell how many labels should arrive"
    recent = found.days[-_RECENT_DAYS:]
    expected, observed = sum(day.expected for day in recent), sum(day.observed for day in recent)
    since = found.alarm_since
    verdict = "no more than the scores explain" if since is None else f"more than the scores explain since {moment(since)}"
    return f"frauds let through that came to light in the last {len(recent)} days: {observed:,}, of {expected:,.1f} expected; {verdict}"


def _shown(figure: Figure) -> str:
    if figure.value is None:
        return "not determined by these rows"
    form = ",.0f" if abs(figure.value) > 1 else ".4f"
    between = "" if figure.low is None or figure.high is None else f" ({figure.low:{form}} to {figure.high:{form}})"
    return f"{figure.value:{form}}{between}"
