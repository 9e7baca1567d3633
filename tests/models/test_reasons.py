"""Reasons name what raised a score, by exact contributions."""

import math

import msgspec
import numpy as np
import pytest
import xgboost as xgb

from models.reasons import reasons
from tests.made.models import V1, booster, rows, scorer


def test_contributions_add_up_to_the_logit() -> None:
    vectors = rows(200)
    probability = scorer().score(vectors).probability
    contributions = booster().predict(xgb.DMatrix(vectors, feature_names=list(V1.names)), pred_contribs=True)
    assert np.allclose(contributions.sum(axis=1), np.log(probability / (1 - probability)), atol=1e-3)


def test_the_largest_positive_contributions_come_first() -> None:
    vectors = rows(200)
    contributions = booster().predict(xgb.DMatrix(vectors, feature_names=list(V1.names)), pred_contribs=True)[:, :-1]
    for row, shares, found in zip(vectors, contributions, reasons(scorer(), vectors, k=3), strict=True):
        by_share = sorted(range(len(shares)), key=lambda j: -shares[j])[:3]
        expected = [(V1.names[j], float(shares[j])) for j in by_share if shares[j] > 0]
        assert [(reason.feature, reason.contribution) for reason in found] == expected
        for reason in found:
            value = row[V1.names.index(reason.feature)]
            assert reason.value is None if math.isnan(value) else reason.value == float(value)


def test_a_missing_value_is_null() -> None:
    found = [reason for row in reasons(scorer(), rows(500), k=5) for reason in row]
    assert any(reason.value is None for reason in found)
    assert b"NaN" not in msgspec.json.encode(found)


def test_one_row_at_a_time_gives_the_same() -> None:
    model, vectors = scorer(), rows(50)
    assert [reasons(model, vectors[i : i + 1])[0] for i in range(50)] == reasons(model, vectors)


def test_no_rows_no_reasons() -> None:
    assert reasons(scorer(), rows(0)) == []


def test_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match="expects rows of 65 features"):
        reasons(scorer(), np.zeros((2, 3), np.float32))
