"""Each measure against its definition, written out slowly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation.metrics import auc_roc, average_precision, card_precision_at_k

ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from("abcdef"), st.booleans(), st.sampled_from([0.0, 0.1, 0.5, 0.7, 1.0])),
    min_size=1,
    max_size=60,
)


@given(ROWS)
def test_card_precision(rows: list[tuple[int, str, bool, float]]) -> None:
    k, caught, daily = 2, set[str](), []
    for today in sorted({day for day, *_ in rows}):
        cards: dict[str, float] = {}
        for day, user, _, probability in rows:
            if day == today and user not in caught:
                cards[user] = max(cards.get(user, 0.0), probability)
        looked_at = sorted(sorted(cards), key=lambda user: -cards[user])[:k]
        found = {user for day, user, is_fraud, _ in rows if day == today and is_fraud} & set(looked_at)
        daily.append(len(found) / k)
        caught |= found
    day, user, is_fraud, probability = (np.array(column) for column in zip(*rows, strict=True))
    assert card_precision_at_k(day, user, is_fraud, probability, k) == pytest.approx(sum(daily) / len(daily))


@given(ROWS)
def test_auc_is_the_share_of_pairs_in_order(rows: list[tuple[int, str, bool, float]]) -> None:
    frauds = [p for _, _, is_fraud, p in rows if is_fraud]
    others = [p for _, _, is_fraud, p in rows if not is_fraud]
    is_fraud, probability = np.array([row[2] for row in rows]), np.array([row[3] for row in rows])
    if not frauds or not others:
        for measure in (auc_roc, average_precision):
            with pytest.raises(ValueError, match="frauds among"):
                measure(is_fraud, probability)
        return
    won = sum((f > o) + (f == o) / 2 for f in frauds for o in others)
    assert auc_roc(is_fraud, probability) == pytest.approx(won / (len(frauds) * len(others)))
    precision, before = 0.0, 0
    for threshold in sorted(set(probability.tolist()), reverse=True):
        hit = sum(f >= threshold for f in frauds)
        precision += (hit - before) / len(frauds) * hit / (probability >= threshold).sum()
        before = hit
    assert average_precision(is_fraud, probability) == pytest.approx(precision)


def test_card_precision_needs_transactions() -> None:
    none = np.empty(0)
    with pytest.raises(ValueError, match="at least one"):
        card_precision_at_k(none.astype(np.int64), none, none.astype(np.bool_), none)
