"""Pictures of a model's evaluation, as PNG files in memory."""

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from models.costs import Costs
from models.evaluation.reliability import reliability
from models.evaluation.scored_rows import ScoredRows
from models.policy import UNREACHABLE, Policy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_BARS = 20
_THRESHOLDS = 200
_DOTS_PER_INCH = 110


def evaluation_plots(rows: ScoredRows, policy: Policy, costs: Costs, gain: Mapping[str, float]) -> dict[str, bytes]:
    """PNG files by name: ``pr``, ``roc``, ``calibration``, ``scores``, ``cost`` (over the threshold), ``importance``.

    ``rows`` must hold both classes, and count as weighted; ``gain`` is each feature's total gain. The same input gives the same pictures.
    """
    drawn = {
        "pr": _precision_recall(rows, policy),
        "roc": _roc(rows),
        "calibration": _calibration(rows),
        "scores": _scores(rows, policy),
        "cost": _cost(rows, policy, costs),
        "importance": _importance(gain),
    }
    return {f"{name}.png": _png(figure) for name, figure in drawn.items()}


def _precision_recall(rows: ScoredRows, policy: Policy) -> "Figure":
    figure, axes = _axes("Precision over recall", "recall", "precision")
    precision, recall, _ = precision_recall_curve(rows.is_fraud, rows.probability, sample_weight=rows.weight)
    axes.step(recall, precision, where="post")
    for name, threshold in (("review", policy.review_threshold), ("block", policy.block_threshold)):
        flagged = rows.probability >= threshold
        if flagged.any():
            each = _each(rows)
            caught = each[flagged & rows.is_fraud].sum()
            axes.plot(caught / each[rows.is_fraud].sum(), caught / each[flagged].sum(), "o", label=f"{name} at {threshold:.3f}")
    _legend(axes)
    return figure


def _roc(rows: ScoredRows) -> "Figure":
    figure, axes = _axes("ROC", "false positive rate (logarithmic)", "recall")
    false_positives, recall, _ = roc_curve(rows.is_fraud, rows.probability, sample_weight=rows.weight)
    axes.plot(false_positives, recall)
    axes.set_xscale("symlog", linthresh=1e-3)
    axes.set_xlim(0, 1)
    return figure


def _calibration(rows: ScoredRows) -> "Figure":
    figure, axes = _axes("Calibration, bins of equal size", "mean probability", "share of frauds")
    announced, come_true, _ = reliability(rows.probability, rows.is_fraud, rows.weight, bins=20)
    least = 0.5 / _each(rows).sum()
    axes.plot([least, 1], [least, 1], color="grey", linewidth=1)
    axes.plot(announced.clip(least), come_true.clip(least), "o-")
    axes.set_xscale("log")
    axes.set_yscale("log")
    return figure


def _scores(rows: ScoredRows, policy: Policy) -> "Figure":
    figure, axes = _axes("Probabilities", "probability", "transactions (logarithmic)")
    bins = np.linspace(0, 1, 51).tolist()
    for name, chosen in (("legitimate", ~rows.is_fraud), ("fraud", rows.is_fraud)):
        axes.hist(rows.probability[chosen], bins=bins, weights=_each(rows)[chosen], histtype="step", label=name, linewidth=1.5)
    _thresholds(axes, policy)
    axes.set_yscale("log")
    _legend(axes)
    return figure


def _cost(rows: ScoredRows, policy: Policy, costs: Costs) -> "Figure":
    figure, axes = _axes("Saved over the threshold", "threshold", "saved, per transaction (minor units)")
    order = np.argsort(-rows.probability, kind="stable")
    falling = rows.probability[order]
    threshold = np.linspace(0.005, 1, _THRESHOLDS)
    ends = np.searchsorted(-falling, -threshold, side="right")
    for name, saved in (("everything above is blocked", costs.saved_by_block), ("everything above is reviewed", costs.saved_by_review)):
        total = np.append(0.0, np.cumsum((saved(rows.amount, rows.is_fraud) * _each(rows))[order]))[ends]
        axes.plot(threshold, total / _each(rows).sum(), label=name)
    _thresholds(axes, policy)
    _legend(axes)
    return figure


def _importance(gain: Mapping[str, float]) -> "Figure":
    figure, axes = _axes("Importance", "share of the total gain", "")
    largest = sorted(gain.items(), key=lambda item: item[1])[-_MOST_BARS:]
    total = sum(gain.values()) or 1.0
    axes.barh([name for name, _ in largest], [value / total for _, value in largest])
    axes.tick_params(axis="y", labelsize=7)
    return figure


def _each(rows: ScoredRows) -> np.ndarray:
    """How many transactions each row stands for."""
    return np.ones(len(rows)) if rows.weight is None else rows.weight


def _thresholds(axes: "Axes", policy: Policy) -> None:
    for name, value, style in (("review", policy.review_threshold, "--"), ("block", policy.block_threshold, ":")):
        if value < UNREACHABLE:
            axes.axvline(value, color="black", linewidth=1, linestyle=style, label=f"{name} at {value:.3f}")


def _axes(title: str, x: str, y: str) -> "tuple[Figure, Axes]":
    # Not pyplot, which keeps figures and asks for a display; imported here, for it takes half a second.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    return figure, axes


def _legend(axes: "Axes") -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)


def _png(figure: "Figure") -> bytes:
    content = io.BytesIO()
    # Without the library's version, so that equal pictures are equal bytes.
    figure.savefig(content, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
    return content.getvalue()
