"""How well probabilities separate frauds from the rest."""

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score

from features.arrays import Bool, Float64, Int64
from models.evaluation.ranking import ranked_cards


def has_both_classes(is_fraud: Bool) -> bool:
    """Whether there are frauds and others."""
    return bool(0 < np.count_nonzero(is_fraud) < len(is_fraud))


def auc_roc(is_fraud: Bool, probability: Float64, weight: Float64 | None = None) -> float:
    """Area under the ROC curve, 0–1, each row counted by its ``weight``. Raises ValueError if only one class is present."""
    _require_both_classes(is_fraud)
    return float(roc_auc_score(is_fraud, probability, sample_weight=weight))


def average_precision(is_fraud: Bool, probability: Float64, weight: Float64 | None = None) -> float:
    """Mean of the precision over the recall steps, 0–1, each row counted by its ``weight``. Raises ValueError if only one class is
    present."""
    _require_both_classes(is_fraud)
    return float(average_precision_score(is_fraud, probability, sample_weight=weight))


def log_loss(is_fraud: Bool, probability: Float64, weight: Float64 | None = None) -> float:
    """Mean negative log-likelihood of the labels, each row counted by its ``weight``; a likelihood of 0 counts as the
    smallest float64 above it."""
    likelihood = np.where(is_fraud, probability, 1 - probability)
    return float(-np.average(np.log(np.maximum(likelihood, np.finfo(np.float64).tiny)), weights=weight))


def card_precision_at_k(day: Int64, user: npt.NDArray[np.generic], is_fraud: Bool, probability: Float64, k: int = 100) -> float:
    """Card Precision@k, 0–1: the mean over the days of the compromised among the ``k`` cards looked at, divided by ``k`` (Le Borgne et al.,
    2022, "Reproducible Machine Learning for Credit Card Fraud Detection", ch. 4.4).

    A day's cards are ranked by their highest probability that day; a card caught on an earlier day isn't looked at again. One entry a
    transaction; ``day`` is any numbering of days. Equal cards' ranks go by user. Raises ValueError if there are no rows.
    """
    card, days = ranked_cards(day, user, is_fraud, probability)
    caught = np.zeros(card.max() + 1, np.bool_)
    daily = []
    for cards, compromised in days:
        looked_at = np.flatnonzero(~caught[cards])[:k]
        found = cards[looked_at[compromised[looked_at]]]
        caught[found] = True
        daily.append(len(found) / k)
    return float(np.mean(daily))


def _require_both_classes(is_fraud: Bool) -> None:
    if not has_both_classes(is_fraud):
        raise ValueError(f"ranking needs frauds and others, got {np.count_nonzero(is_fraud)} frauds among {len(is_fraud)} rows")
