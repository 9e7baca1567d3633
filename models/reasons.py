"""Why a transaction was flagged: the features that raised its score most.

Contributions are exact TreeSHAP values (Lundberg et al., 2020, "From local explanations to global understanding with explainable AI for
trees") in log-odds; with the model's bias they add up to the logit of the probability.
"""

import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from features.arrays import Float32

if TYPE_CHECKING:
    from models.scoring import Scorer


class Reason(msgspec.Struct):
    """One feature's share in a review or block; contribution in log-odds, value null if missing."""

    feature: str
    value: float | None
    contribution: float


def reasons(scorer: "Scorer", vectors: Float32, k: int = 4) -> list[list[Reason]]:
    """Of each row (float32, n × len(feature_names)) up to ``k`` features that raised the score, the largest contribution first.

    Features that lowered it, or did nothing, are no reasons, so there may be fewer. Costs 0.1–1.3 ms a row: ask for flagged rows only.
    Raises ValueError for another width.
    """
    scorer.require_width(vectors)
    if not len(vectors):
        return []
    from models.xgboost_import import xgb  # not at the top: messages need only the type Reason

    rows = xgb.DMatrix(np.ascontiguousarray(vectors, np.float32), missing=np.nan, nthread=1)
    contributions = scorer.booster.predict(rows, pred_contribs=True, validate_features=False)[:, :-1]  # the last column is the bias
    # Stable, so that equal contributions stand in the vector's order.
    largest = np.argsort(-contributions, axis=1, kind="stable")[:, :k]
    return [
        [Reason(scorer.feature_names[j], None if math.isnan(row[j]) else float(row[j]), float(shares[j])) for j in top if shares[j] > 0]
        for row, shares, top in zip(vectors, contributions, largest.tolist(), strict=True)
    ]
