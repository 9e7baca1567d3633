"""What each transaction leaves behind equals what the window tells when one looks after every single one."""

import numpy as np
import pytest

from features.definitions import Window
from features.state import EntityState
from features.vector import device_hashes
from tests.made.online_states import V1, V2, history


@pytest.mark.parametrize("window", [V2.activity[0], V2.activity[-1]], ids=lambda window: window.name)
def test_sums_after_each_transaction_are_those_of_the_state_then_late_ones_too(window: Window) -> None:
    log = history(2)
    log.time[::7] -= 50 * 86_400_000
    n = len(log.time)
    none, device = np.zeros(n, np.int64), device_hashes(log.device)
    at_once, one_by_one = EntityState(V2, "user"), EntityState(V2, "user")
    slots = at_once.slots(log.user)
    assert slots.tolist() == one_by_one.slots(log.user).tolist()
    rows = (none.astype(np.int8), slots, log.time, log.amount, none, device)
    features, lateness, sums = at_once.apply_summing(window, *rows)
    expected = np.empty((n, 4), np.int64)
    for row in range(n):
        here = slice(row, row + 1)
        alone, late = one_by_one.apply(*(column[here] for column in rows))
        assert alone.tobytes() == features[here].tobytes()
        assert late[0] == lateness[row]
        expected[row] = np.concatenate([*one_by_one.window_sums(window, slots[here]), *one_by_one.totals(slots[here])])
    assert np.count_nonzero(lateness) > 100
    assert sums.tolist() == expected.tolist()


def test_a_window_of_another_feature_set_is_refused() -> None:
    state, none = EntityState(V1, "user"), np.zeros(0, np.int64)
    with pytest.raises(ValueError, match="not in tuple"):
        state.apply_summing(V1.outcome[0], none.astype(np.int8), none, none, none, none, none)
