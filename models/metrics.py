"""How well probabilities tell frauds from the rest."""

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]


def auc_roc(is_fraud: Bool, probability: Float64) -> float:
    """Area under the ROC curve, 0–1. Raises ValueError if only one class is present."""
    _both_classes(is_fraud)
    return float(roc_auc_score(is_fraud, probability))


def average_precision(is_fraud: Bool, probability: Float64) -> float:
    """Mean of the precision over the recall steps, 0–1. Raises ValueError if only one class is present."""
    _both_classes(is_fraud)
    return float(average_precision_score(is_fraud, probability))


def card_precision_at_k(day: Int64, user: npt.NDArray[np.generic], is_fraud: Bool, probability: Float64, k: int = 100) -> float:
    """Card Precision@k, 0–1: the mean over the days of the compromised among the ``k`` cards looked at, divided by ``k`` (Le Borgne et al.,
    2022, "Reproducible Machine Learning for Credit Card Fraud Detection", ch. 4.4).

    A day's cards are ranked by their highest probability that day; a card caught on an earlier day isn't looked at again. One entry a
    transaction; ``day`` is any numbering of days. Equal cards' ranks go by user. Raises ValueError if there are no rows.
    """
    if not len(day):
        raise ValueError("card precision needs at least one transaction")
    users, card = np.unique(user, return_inverse=True)
    caught = np.zeros(len(users), np.bool_)
    daily = []
    for today in np.unique(day):
        rows = day == today
        highest = np.full(len(users), -np.inf)
        np.maximum.at(highest, card[rows], probability[rows])
        compromised = np.zeros(len(users), np.bool_)
        compromised[card[rows & is_fraud]] = True
        seen = np.flatnonzero((highest > -np.inf) & ~caught)
        looked_at = seen[np.argsort(-highest[seen], kind="stable")[:k]]
        found = looked_at[compromised[looked_at]]
        caught[found] = True
        daily.append(len(found) / k)
    return float(np.mean(daily))


def _both_classes(is_fraud: Bool) -> None:
    frauds = int(np.count_nonzero(is_fraud))
    if not 0 < frauds < len(is_fraud):
        raise ValueError(f"ranking needs frauds and others, got {frauds} frauds among {len(is_fraud)} rows")
