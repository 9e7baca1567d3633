"""Of the legitimate rows some stay for all; what they stand for is in their weights, or in the log-odds."""

import numpy as np
import pyarrow as pa
import pytest

from models.training_set.thinning import corrected_weight, kept_by_hash, kept_by_place, log_odds_correction, thin_table


def test_by_place_every_fraud_stays_and_the_others_are_spread_over_time() -> None:
    is_fraud = np.arange(100) % 10 == 0
    kept = kept_by_place(is_fraud, 3, seed=1)
    assert is_fraud[kept].sum() == 10
    assert len(kept) == 10 + 30
    assert np.diff(kept).max() <= 4
    assert kept_by_place(is_fraud, 1).tolist() == list(range(100))


def test_by_hash_a_transaction_stays_whatever_lies_beside_it() -> None:
    transactions = [(f"u{number % 7}", f"t{number}") for number in range(3_000)]
    kept = kept_by_hash(transactions, 3)
    assert kept.mean() == pytest.approx(1 / 3, abs=0.03)
    assert kept_by_hash(transactions[500:600], 3).tolist() == kept[500:600].tolist()
    assert kept_by_hash(transactions, 1).all()


def test_weights_and_log_odds_correct_the_same_prior() -> None:
    assert corrected_weight(np.array([1.0, 2.0, 2.0]), np.array([False, False, True]), 5).tolist() == [1.0, 2.0, 10.0]
    # Of odds of 1 to 1 among the rows that stayed, 1 to 5 are left.
    assert np.exp(log_odds_correction(5)) == pytest.approx(1 / 5)


def test_of_a_table_frauds_and_newest_rows_are_whole() -> None:
    number = np.arange(2_000)
    columns = {
        "user_id": [f"u{n % 7}" for n in number],
        "transaction_id": [f"t{n}" for n in number],
        "is_fraud": number % 20 == 0,
        "event_time": number,
        "weight": pa.nulls(2_000, pa.float64()),
    }
    rows = pa.table(columns)
    kept = thin_table(rows, 4, whole_from=1_000)
    fraud, time, weight = (kept[name].to_numpy() for name in ("is_fraud", "event_time", "weight"))
    assert fraud.sum() == 100
    assert (time >= 1_000).sum() == 1_000
    assert set(weight[fraud | (time >= 1_000)].tolist()) == {1.0}
    assert set(weight[~fraud & (time < 1_000)].tolist()) == {4.0}
    assert weight.sum() == pytest.approx(2_000, rel=0.1)
    assert thin_table(rows, 1, 0) is rows
