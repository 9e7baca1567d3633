"""A planted leak is found and named; honest features are not suspected."""

from dataclasses import replace

import numpy as np
import pytest

from features.errors import UserError
from models.training_set.leakage import require_no_leak
from tests.made.models import V1, learnable

ROWS = learnable(5_000)


@pytest.mark.parametrize("leak", [lambda fraud: fraud, lambda fraud: -1.0 * fraud, lambda fraud: np.where(fraud, np.nan, 5.0)])
def test_a_feature_that_knows_the_label_is_named(leak: object) -> None:
    vectors = ROWS.vectors.copy()
    vectors[:, 7] = leak(ROWS.is_fraud)  # type: ignore[operator]
    with pytest.raises(UserError, match=f"the feature {V1.names[7]} alone separates frauds from the rest"):
        require_no_leak(replace(ROWS, vectors=vectors), V1.names)


def test_good_features_are_not_suspected() -> None:
    require_no_leak(ROWS, V1.names)


def test_few_frauds_or_none_but_frauds_prove_nothing() -> None:
    vectors = ROWS.vectors.copy()
    vectors[:, 7] = ROWS.is_fraud
    leaking = replace(ROWS, vectors=vectors)
    require_no_leak(leaking.where(np.cumsum(ROWS.is_fraud) <= 10), V1.names)
    require_no_leak(leaking.where(ROWS.is_fraud), V1.names)
