"""The evaluation protocol of the Fraud Detection Handbook (Le Borgne, Siblini, Lebichot, Bontempi, 2022, ch. 3.4 and 4): which transactions
a model is trained on and which it is judged by.

Seven days of training, seven for labels to arrive, seven of test. Transactions of customers already known to be compromised are no test:
those with a fraud in the training week and, day by day, those with a fraud eight days before the test day.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.arrays import Bool, Float64, Int64
from features.definitions import DAY
from models.evaluation.metrics import auc_roc, average_precision, card_precision_at_k

TRAINING_DAYS, DELAY_DAYS, TEST_DAYS = 7, 7, 7
CARDS_A_DAY = 100

# 2018-07-25, midnight UTC, where the training week of the handbook's published test week begins.
PUBLISHED_BEGIN = 1_532_476_800_000
PUBLISHED_TEST_START = PUBLISHED_BEGIN + (TRAINING_DAYS + DELAY_DAYS) * DAY
# The weeks that our own benchmark averages over: from 2018-07-11 to 2018-08-22, the published one in their midst.
TEST_STARTS = tuple(PUBLISHED_TEST_START + week * TEST_DAYS * DAY for week in range(-4, 3))


@dataclass(frozen=True)
class Figures:
    """AUC ROC, average precision and Card Precision@100, all 0–1."""

    auc: float
    ap: float
    cp100: float

    def beats(self, other: "Figures") -> bool:
        """Whether all three are higher."""
        return self.auc > other.auc and self.ap > other.ap and self.cp100 > other.cp100


# What the handbook's authors published for their week, or for several around it.
PUBLISHED_MODELS: Mapping[str, Figures] = {
    "logistic regression": Figures(0.871, 0.606, 0.291),
    "decision tree, depth 2": Figures(0.763, 0.496, 0.241),
    "random forest": Figures(0.867, 0.658, 0.287),
    "XGBoost": Figures(0.862, 0.639, 0.273),
    "XGBoost, selected over several weeks": Figures(0.87, 0.69, 0.30),
    "neural network, LSTM, selected over several weeks": Figures(0.876, 0.675, 0.303),
}
PUBLISHED = PUBLISHED_MODELS["XGBoost"]
# The highest of each figure, though no one model has all three.
BEST_PUBLISHED = Figures(*(max(getattr(model, name) for model in PUBLISHED_MODELS.values()) for name in ("auc", "ap", "cp100")))


def begin_of(test_start: int) -> int:
    """Where the training week begins whose test week begins at ``test_start``; both ms, midnight UTC."""
    return test_start - (TRAINING_DAYS + DELAY_DAYS) * DAY


def training_rows(event_time: Int64, begin: int) -> Int64:
    """Rows of the training week that begins at ``begin`` (ms, midnight UTC), in the order given."""
    return np.flatnonzero((event_time >= begin) & (event_time < begin + TRAINING_DAYS * DAY))


def judged_rows(event_time: Int64, user: npt.NDArray[np.generic], is_fraud: Bool, begin: int) -> Int64:
    """Rows of the test week that belongs to the training week beginning at ``begin`` (ms), customers known by then left out, day by day.

    One entry a transaction: ``event_time`` in ms, ``user`` of any sortable type. The rows must reach back to ``begin``.
    """
    day = (event_time - begin) // DAY
    users, card = np.unique(user, return_inverse=True)
    known = np.zeros(len(users), np.bool_)
    known[card[(day >= 0) & (day < TRAINING_DAYS) & is_fraud]] = True
    first = TRAINING_DAYS + DELAY_DAYS
    kept = []
    for today in range(first, first + TEST_DAYS):
        # Yesterday's news: what happened a label delay and a day ago.
        known[card[(day == today - DELAY_DAYS - 1) & is_fraud]] = True
        kept.append(np.flatnonzero((day == today) & ~known[card]))
    return np.concatenate(kept)


def figures(event_time: Int64, user: npt.NDArray[np.generic], is_fraud: Bool, probability: Float64) -> Figures:
    """The three figures over test rows (as ``judged_rows`` picks them), one entry a row. Raises ValueError without both classes."""
    return Figures(
        auc_roc(is_fraud, probability),
        average_precision(is_fraud, probability),
        card_precision_at_k(event_time // DAY, user, is_fraud, probability, CARDS_A_DAY),
    )
