"""What a snapshot holds: the keys that changed, once."""

import numpy as np

from features.definitions import DAY
from features.tiles import NEVER
from streams.online.changes import snapshot
from tests.made.online_states import START, V1, History, history, label_only, state_of


def log_of(*users: str) -> History:
    n = len(users)
    return History(list(users), ["m"] * n, [None] * n, START + np.arange(n, dtype=np.int64), 100 * np.arange(1, n + 1, dtype=np.int64))


def test_a_snapshot_holds_what_changed_since_the_last_one() -> None:
    state = state_of("user", log_of("a", "b", "a"))
    assert snapshot(state, 3, 10).keys == ["a", "b"]
    label_only(state, "b")
    second = snapshot(state, 3, 11)
    assert (second.keys, second.partition, second.position, second.everything) == (["b"], 3, 11, False)
    assert len(snapshot(state, 3, 12)) == 0


def test_a_snapshot_of_everything_holds_all_keys_and_leaves_none_touched() -> None:
    state = state_of("user", log_of("a", "b"))
    snapshot(state, 0, 1)
    label_only(state, "b")
    everything = snapshot(state, 0, 2, everything=True)
    assert (everything.keys, everything.everything) == (["a", "b"], True)
    assert len(snapshot(state, 0, 3)) == 0


def test_its_states_restore_the_keys() -> None:
    state = state_of("merchant", history(0))
    taken = snapshot(state, 0, 1)
    slots = state.slots(taken.keys)
    assert taken.states == state.encode(slots)
    assert taken.anchors.tolist() == state.anchors(slots).tolist()
    assert (taken.summary, taken.digest) == (None, V1.digest)


def test_users_come_with_their_sums_at_their_last_event() -> None:
    """Two hours before the window's 12 h tile the first is out, and only of the window; the last one is in.

    |a ......... 31 days ......... b  c|
    """
    times = np.array([START, START + 31 * DAY, START + 31 * DAY + 1], np.int64)
    state = state_of("user", History(["u"] * 3, ["m"] * 3, [None] * 3, times, np.array([1, 20, 300], np.int64)))
    label_only(state, "labelled")
    taken = snapshot(state, 0, 1)
    assert taken.keys == ["u", "labelled"]
    assert taken.anchors.tolist() == [times[2], NEVER]
    assert taken.summary is not None
    assert (taken.summary.window_count.tolist(), taken.summary.window_amount.tolist()) == ([2, 0], [320, 0])
    assert (taken.summary.count.tolist(), taken.summary.amount.tolist()) == ([3, 0], [321, 0])


def test_the_window_s_sums_are_the_feature_s() -> None:
    state = state_of("user", history(5))
    taken = snapshot(state, 0, 1)
    assert taken.summary is not None
    slots, zeros = state.slots(taken.keys), np.zeros(len(taken), np.int64)
    names = [feature.name for feature in V1.of("user")]
    seen = state.observe(slots, taken.anchors, zeros, zeros)
    assert np.array_equal(seen[:, names.index("user_tx_count_30d")], taken.summary.window_count)
    mean = (taken.summary.window_amount / taken.summary.window_count).astype(np.float32)
    assert np.array_equal(seen[:, names.index("user_mean_amount_30d")], mean)


def test_parts_make_the_whole() -> None:
    taken = snapshot(state_of("user", history(5)), 0, 1)
    parts = [taken.part(begin, begin + 7) for begin in range(0, len(taken), 7)]
    assert [key for part in parts for key in part.keys] == taken.keys
    assert [state for part in parts for state in part.states] == taken.states
    assert taken.summary is not None
    assert [count for part in parts if part.summary for count in part.summary.count] == taken.summary.count.tolist()
