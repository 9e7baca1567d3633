"""What a model may learn from is settled by time alone.

day        0     1     2     3     4     5     6     7     8     9
rows       a     b     c     d     e     f     g     h     i     j
range            [------------------------------)
as of 9, labels after 7: known are a, b, c     → b and c are learnt from, d … f are immature
"""

import numpy as np
import pytest

from models.training_set.splits import learnable_rows, validation_begin

DAYS = np.arange(10, dtype=np.int64)


def test_a_label_is_known_once_the_delay_has_passed() -> None:
    found = learnable_rows(DAYS, np.ones(10, np.bool_), begin=1, end=6, as_of=9, labels_after=7)
    assert (found.rows.tolist(), found.immature, found.unlabelled) == ([1, 2], 3, 0)


def test_rows_without_a_label_are_counted_apart() -> None:
    labelled = DAYS != 2
    found = learnable_rows(DAYS, labelled, begin=1, end=6, as_of=9, labels_after=7)
    assert (found.rows.tolist(), found.immature, found.unlabelled) == ([1], 3, 1)


def test_order_of_the_file_does_not_matter() -> None:
    mixed = np.random.default_rng(0).permutation(DAYS)
    found = learnable_rows(mixed, np.ones(10, np.bool_), begin=1, end=6, as_of=9, labels_after=7)
    assert sorted(mixed[found.rows].tolist()) == [1, 2]


def test_the_latest_share_validates_and_one_moment_stays_together() -> None:
    assert validation_begin(DAYS, 0.3) == 7
    assert validation_begin(np.array([1, 1, 1, 1, 2]), 0.5) == 1
    assert validation_begin(np.array([5]), 0.25) == 5
    with pytest.raises(ValueError, match="no rows"):
        validation_begin(np.empty(0, np.int64), 0.3)
