"""A model card (Mitchell et al., 2019, "Model Cards for Model Reporting"), in Markdown: what the model is for, what it was made from, how
good it is and where it isn't."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from models.evaluation.judgement import Evaluation, Figure, Judgement
from models.learners.parameters import Parameters
from models.policy import UNREACHABLE, Policy
from models.training_set.snapshot import DataSnapshot, Provenance

_SHOWN = (
    ("auc_roc", "AUC ROC"),
    ("average_precision", "average precision"),
    ("recall_at_0.1_percent_fpr", "recall at 0.1 % false positives"),
    ("recall_at_0.5_percent_fpr", "recall at 0.5 % false positives"),
    ("recall_at_1_percent_fpr", "recall at 1 % false positives"),
    ("card_precision_at_100", "Card Precision@100"),
    ("review_precision", "precision of review and block"),
    ("review_recall", "recall of review and block"),
    ("block_precision", "precision of block"),
    ("block_recall", "recall of block"),
    ("brier", "Brier score"),
    ("calibration_error", "calibration error"),
    ("money_saved", "money saved, minor units"),
)
_OF_SEGMENTS = ("average_precision", "review_precision", "review_recall", "calibration_error")


TREES = "Gradient-boosted trees (XGBoost)."


@dataclass(frozen=True)
class CardFacts:
    """All that the card is made of; ``trained_to`` is the last event time (ms) learnt from. ``why_plain_split`` is why past weeks didn't
    choose the history, None if they did or the model has none to choose."""

    name: str
    feature_set: str
    features: int
    features_digest: str
    data: DataSnapshot
    provenance: Provenance
    counts: Mapping[str, int]
    trained_from: int
    trained_to: int
    parameters: Parameters
    policy: Policy
    evaluation: Evaluation
    gap_days: float
    kind: str = TREES
    why_plain_split: str | None = None


def model_card(facts: CardFacts) -> str:
    """The card. The same facts give the same text."""
    return "\n".join([*_purpose(facts), *_data(facts), *_quality(facts), *_decisions(facts), *_limits(facts)]) + "\n"


def _purpose(facts: CardFacts) -> Iterator[str]:
    yield f"# {facts.name}: fraud probability of a card transaction"
    yield ""
    yield (
        f"{facts.kind} For ranking and deciding card transactions while they happen: approve, review or block. Not for "
        "decisions about people other than on the transaction at hand, nor for money laundering, credit risk or merchants' onboarding."
    )
    yield ""
    yield f"Made {facts.provenance.date} by {facts.provenance.author} with code {facts.provenance.code}."
    yield ""


def _data(facts: CardFacts) -> Iterator[str]:
    yield "## Data"
    yield ""
    yield f"- {', '.join(facts.data.paths)}: {facts.data.rows:,} transactions, {_moment(facts.data.first)} to {_moment(facts.data.last)}"
    yield f"- digest `{facts.data.digest}`"
    yield f"- learnt from {_moment(facts.trained_from)} to {_moment(facts.trained_to)}: " + ", ".join(
        f"{name.replace('_', ' ')} {count:,}" for name, count in facts.counts.items()
    )
    yield f"- {facts.features} features, {facts.feature_set} (`{facts.features_digest[:12]}`)"
    if facts.why_plain_split is not None:
        yield f"- fitted by a plain split in time, because {facts.why_plain_split}"
    yield "- parameters: " + ", ".join(f"{name} {value}" for name, value in facts.parameters.items())
    yield ""


def _quality(facts: CardFacts) -> Iterator[str]:
    found = facts.evaluation
    yield "## Quality"
    yield ""
    yield (
        f"On {found.all.rows:,} transactions of {found.all.users:,} users with {found.all.frauds:,} frauds, {_moment(found.first)} to "
        f"{_moment(found.last)}, scored by a model that hadn't seen them, at thresholds chosen on rows at least {facts.gap_days:g} days "
        "earlier. In brackets 95 % intervals (bootstrap by user; not of the calibration error, around which resamples don't lie)."
    )
    yield ""
    if "stand_for" in facts.counts:
        yield (
            "Each transaction counts by its weight, as many as it stands for; the numbers of transactions, users and frauds, and Card "
            "Precision, don't."
        )
        yield ""
    yield "| | all | customers not known to be compromised |"
    yield "|---|---|---|"
    for name, title in _SHOWN:
        yield f"| {title} | {_cell(found.all, name)} | {_cell(found.unknown_customers, name)} |"
    yield ""
    for division, parts in found.segments.items():
        yield f"| by {division} | transactions | frauds | " + " | ".join(name.replace("_", " ") for name in _OF_SEGMENTS) + " |"
        yield "|---" * (3 + len(_OF_SEGMENTS)) + "|"
        for part, judgement in parts.items():
            cells = " | ".join(_cell(judgement, name) for name in _OF_SEGMENTS)
            yield f"| {part} | {judgement.rows:,} | {judgement.frauds:,} | {cells} |"
        yield ""


def _decisions(facts: CardFacts) -> Iterator[str]:
    policy, costs = facts.policy, facts.evaluation.costs
    yield "## Decisions"
    yield ""
    yield f"- review from {_threshold(policy.review_threshold)}, block from {_threshold(policy.block_threshold)}"
    yield (
        f"- chosen for: fraud loss {costs.fraud_loss:.0%} of the amount and {costs.chargeback_fee} minor units, a legitimate payment "
        f"blocked {costs.margin:.1%} of the amount and {costs.goodwill}, a review {costs.review}"
    )
    yield ""


def _limits(facts: CardFacts) -> Iterator[str]:
    yield "## Limits"
    yield ""
    yield "- Frauds nobody reports count as legitimate; so does what was reported after the labels were taken."
    yield "- A segment with few frauds shows little: see the intervals. New users have little history, and are judged by little."
    yield "- Fraud changes: compare inputs and scores with `reference.json`, and train anew when they drift."
    yield "- Reviews are taken to be right."
    if "history_days" in facts.parameters:
        yield "- The weeks that judge had a say in which lengths of history were learnt from, though none in the thresholds."
    if facts.gap_days == 0:
        yield (
            "- The rows were too few days for a label delay between choosing thresholds and judging them: quality may "
            "look better than it is."
        )


def _cell(judgement: Judgement, name: str) -> str:
    figure = judgement.figures.get(name)
    if figure is None or figure.value is None:
        return "–"
    return _number(figure.value) + (f" ({_number(figure.low)} to {_number(figure.high)})" if _bounded(figure) else "")


def _bounded(figure: Figure) -> bool:
    return figure.low is not None and figure.high is not None


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.3f}" if abs(value) >= 0.01 or value == 0 else f"{value:.2g}"


def _threshold(value: float) -> str:
    return "no probability" if value >= UNREACHABLE else f"{value:.4f}"


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M")
