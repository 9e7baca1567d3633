"""The state of many keys: slots, growth, bounds on memory, bytes and back."""

import random
from dataclasses import replace

import numpy as np
import pytest

from features.arrays import Lateness, RecordKind
from features.definitions import DAY, FEATURE_SETS, HOUR, MINUTE, SECOND, FeatureSet, Window
from features.state import EntityState
from features.tiles import NEVER
from features.windows import UNPROJECTED, UNSAVED, apply_rows

V1, V2 = FEATURE_SETS["fraud_v1"], FEATURE_SETS["fraud_v2"]
START = 1_530_000_000_000


def apply(
    state: EntityState, keys: list[str], time: np.ndarray, amount: np.ndarray | None = None, device: np.ndarray | None = None
) -> np.ndarray:
    """Applies transactions; returns their features."""
    n = len(keys)
    nothing = np.zeros(n, np.int64)
    features, _ = state.apply(
        np.zeros(n, np.int8),
        state.slots(keys),
        np.asarray(time, np.int64),
        nothing + 100 if amount is None else amount,
        nothing,
        nothing if device is None else device,
    )
    return features


def label(state: EntityState, keys: list[str], time: np.ndarray, delta: int = 1) -> np.ndarray:
    """Applies labels; returns their lateness."""
    n = len(keys)
    nothing = np.zeros(n, np.int64)
    _, lateness = state.apply(
        np.full(n, RecordKind.LABEL, np.int8), state.slots(keys), np.asarray(time, np.int64), nothing, nothing + delta, nothing
    )
    return lateness


def column(state: EntityState, features: np.ndarray, name: str) -> np.ndarray:
    return features[:, [feature.name for feature in state.feature_set.of(state.entity)].index(name)]


def tiles_in(encoded: bytes) -> int:
    """How many tiles a state without devices holds."""
    state = EntityState(V1, "merchant")
    state.restore(["m"], [encoded])
    return int(state._rows.row["length"][0])


def test_keys_get_slots_in_order_of_first_sight() -> None:
    state = EntityState(V1, "user", capacity=1)
    assert state.slots(["b", "a", "b"]).tolist() == [0, 1, 0]
    assert state.slots(["c", "a"]).tolist() == [2, 1]
    assert state.slots([]).tolist() == []
    assert len(state) == 3
    assert list(state.keys) == ["b", "a", "c"]


@pytest.mark.parametrize("capacity", [0, 1, 3])
def test_a_state_grows_as_needed_and_stays_the_same(capacity: int) -> None:
    rng = np.random.default_rng(1)
    keys = [f"user {n}" for n in rng.integers(0, 700, 5_000)]
    time = START + np.cumsum(rng.integers(0, HOUR, 5_000))
    small, large = EntityState(V2, "user", capacity), EntityState(V2, "user", 10_000)
    device = rng.integers(0, 20, 5_000)
    assert apply(small, keys, time, device=device).tobytes() == apply(large, keys, time, device=device).tobytes()
    everyone = np.arange(len(small))
    assert small.encode(everyone) == large.encode(everyone)


def most_tiles(feature_set: FeatureSet) -> int:
    """The most tiles a key can hold: each hop's, as far back as a window that is as fine or finer reaches, and one coarser tile more."""
    windows = (*feature_set.activity, *feature_set.outcome)
    most = 0
    for hop, coarser in zip(feature_set.hops, [*feature_set.hops[1:], feature_set.hops[-1]], strict=True):
        reach = max(window.length + window.hop + window.delay for window in windows if window.hop <= hop)
        most += (reach + coarser) // hop + 1
    return most


@pytest.mark.parametrize("largest_step", [2 * SECOND, 2 * MINUTE, HOUR])
def test_a_hot_key_keeps_a_bounded_number_of_tiles(largest_step: int) -> None:
    rng = np.random.default_rng(2)
    n = 30_000
    time = START + np.cumsum(rng.integers(0, largest_step, n))
    late = time - np.where(rng.random(n) < 0.2, rng.integers(0, 40 * DAY, n), 0)
    state = EntityState(V1, "merchant", capacity=1)
    features = apply(state, ["m"] * n, late)
    # Counted anew: everything before, back to the window's tail, at the newest time so far.
    anchor = np.maximum.accumulate(late)
    for at in (10_000, 20_000, n - 1):
        for name, length, hop in (("5m", 5 * MINUTE, 5 * SECOND), ("24h", DAY, 30 * MINUTE), ("30d", 30 * DAY, 12 * HOUR)):
            expected = np.count_nonzero(late[:at] >= anchor[at] // hop * hop - length)
            assert column(state, features, f"merchant_tx_count_{name}")[at] == expected
    assert tiles_in(state.encode(np.zeros(1, np.int64))[0]) <= most_tiles(V1)
    # What is held between two encodings may wait to be merged, but not for long.
    assert state._tiles.end[0] <= 16 * most_tiles(V1)


def test_many_keys_take_memory_in_proportion() -> None:
    rng = np.random.default_rng(3)
    users, each = 2_000, 60
    keys = [f"user {n}" for n in rng.permutation(np.repeat(np.arange(users), each))]
    state = EntityState(V1, "user")
    apply(state, keys, START + np.sort(rng.integers(0, 30 * DAY, len(keys))))
    # Some forty-six tiles each, as merged; an eighth of a run is free, and half as much again left behind by those who grew.
    assert state._tiles.end[0] <= 78 * users


def test_room_that_one_key_has_left_is_used_by_the_next() -> None:
    users, each = 200, 60
    state = EntityState(V1, "user", capacity=1)
    for user in range(users):
        apply(state, [f"user {user}"] * each, START + np.arange(each) * DAY // 2)
    # Room for sixty-eight tiles each, and what is left behind is used or packed away.
    assert state._tiles.end[0] <= 68 * users * 3 // 2


@pytest.mark.parametrize("feature_set", [V1, V2], ids=lambda feature_set: feature_set.name)
def test_a_typical_key_encodes_to_less_than_a_kilobyte(feature_set: FeatureSet) -> None:
    rng = random.Random(4)
    for _ in range(20):
        state = EntityState(feature_set, "user")
        time = sorted(START + rng.randrange(30 * DAY) for _ in range(60))
        amount = np.array([round(rng.lognormvariate(9, 1.5)) for _ in time], np.int64)
        device = np.array([rng.getrandbits(62) + 1 for _ in range(3)] * 20, np.int64)
        apply(state, ["u"] * 60, np.array(time), amount, device)
        label(state, ["u"] * 3, np.array(time[:3]))
        assert len(state.encode(np.zeros(1, np.int64))[0]) <= 1_000


def test_labels_alone_make_a_key_of_any_size() -> None:
    # No anchor ever merges the tiles of a key without transactions; what follows first makes them all old.
    state = EntityState(V1, "merchant")
    time = START + np.arange(100_000) * 5 * SECOND
    assert not label(state, ["m"] * len(time), time).any()
    assert state.anchors(np.zeros(1, np.int64)).tolist() == [NEVER]
    other = EntityState(V1, "merchant")
    other.restore(["m"], state.encode(np.zeros(1, np.int64)))
    for held in (state, other):
        after = np.array([time[-1] + 8 * DAY])
        assert column(held, apply(held, ["m"], after), "merchant_fraud_count_30d") == len(time)
        assert tiles_in(held.encode(np.zeros(1, np.int64))[0]) <= most_tiles(V1)


def test_changed_slots_are_reported_once_to_each_listener() -> None:
    state = EntityState(V1, "user")
    apply(state, ["a", "b"], np.array([START, START]))
    state.observe(state.slots(["a", "c"]), np.array([START, START]), np.zeros(2, np.int64), np.zeros(2, np.int64))
    assert state.take_changed(UNPROJECTED).tolist() == [0, 1]
    assert state.take_changed(UNPROJECTED).tolist() == []
    label(state, ["b"], np.array([START]))
    assert state.take_changed(UNPROJECTED).tolist() == [1]
    assert state.take_changed(UNSAVED).tolist() == [0, 1]
    state.mark_changed(np.array([0, 1]), UNSAVED)
    state.mark_unchanged(np.array([0]), UNSAVED)
    assert state.take_changed(UNSAVED).tolist() == [1]
    assert state.take_changed(UNPROJECTED).tolist() == []


def test_columns_may_be_read_only_and_strided_without_another_compilation() -> None:
    # Arrow hands out arrays that must not be written; the kernel is compiled once for these and for others.
    state = EntityState(V1, "user")
    apply(state, ["a"], np.array([START]))
    compiled = len(apply_rows.signatures)
    time = np.array([START, 0, START + MINUTE, 0], np.int64)[::2]
    amount = np.full(2, 100)
    amount.flags.writeable = False
    features = apply(state, ["a", "a"], time, amount)
    assert column(state, features, "user_tx_count_1h").tolist() == [1, 2]
    assert len(apply_rows.signatures) == compiled


def test_too_many_devices_push_out_the_one_unused_for_longest() -> None:
    state = EntityState(V2, "user")

    def uses(device: int, after: int) -> tuple[float, ...]:
        features = apply(state, ["u"], np.array([START + after * SECOND]), device=np.array([device]))
        return tuple(column(state, features, f"user_{name}")[0] for name in ("new_device", "device_age_seconds", "device_count"))

    assert [uses(device, device) for device in range(1, 9)] == [(1, 0, known) for known in range(8)]
    assert uses(1, 10) == (0, 9, 8)
    assert uses(9, 20) == (1, 0, 8)
    assert uses(1, 30) == (0, 29, 8)
    assert uses(2, 40) == (1, 0, 8)
    without = apply(state, ["u"], np.array([START + 50 * SECOND]), device=np.array([0]))
    assert np.isnan(column(state, without, "user_new_device")[0])
    assert np.isnan(column(state, without, "user_device_age_seconds")[0])
    assert column(state, without, "user_device_count")[0] == 8


def test_no_keys_encode_to_nothing() -> None:
    state = EntityState(V1, "user")
    assert state.encode(np.empty(0, np.int64)) == []


def busy_state() -> bytes:
    """A user's state with tiles of many kinds, labels and devices."""
    state = EntityState(V2, "user")
    time = START + np.array([0, 0, 1, DAY, 20 * DAY, 20 * DAY + HOUR])
    apply(state, ["u"] * 6, time, np.array([0, 10**12, 5, 7, 10**12, 1]), np.array([-5, 5, 0, 2**62, -(2**63), 5]))
    label(state, ["u"] * 2, time[:2])
    label(state, ["u"], np.array([START + 15 * DAY]), -1)
    return state.encode(np.zeros(1, np.int64))[0]


def test_a_state_survives_its_bytes() -> None:
    state = EntityState(V2, "user", capacity=1)
    assert state.restore(["u"], [busy_state()]).tolist() == [0]
    assert state.encode(np.zeros(1, np.int64)) == [busy_state()]


def test_bytes_cut_short_or_drawn_out_are_refused_and_leave_no_key() -> None:
    whole = busy_state()
    state = EntityState(V2, "user")
    for damaged in [whole[:length] for length in range(len(whole))] + [whole + b"\0", b"\xff" + whole[1:], b"\x01" + b"\xff" * 30]:
        with pytest.raises(ValueError, match="no state of layout 2; rebuild"):
            state.restore(["a", "u"], [whole, damaged])
        assert len(state) == 0
    state.restore(["u"], [whole])
    assert state.encode(np.zeros(1, np.int64)) == [whole]


def test_devices_do_not_fit_into_a_state_without() -> None:
    with pytest.raises(ValueError, match="no state of layout 2"):
        EntityState(V1, "user").restore(["u"], [busy_state()])


def test_a_key_is_restored_only_once() -> None:
    state = EntityState(V2, "user")
    state.restore(["u"], [busy_state()])
    for again in (["u"], ["v", "u"], ["v", "v"]):
        with pytest.raises(ValueError, match="is held already"):
            state.restore(again, [busy_state()] * len(again))
        assert state.names == ["u"]


def test_many_keys_survive_their_bytes_and_go_on_alike() -> None:
    rng = np.random.default_rng(5)
    keys = [f"user {n}" for n in rng.integers(0, 300, 8_000)]
    time = START + np.cumsum(rng.integers(0, HOUR, 8_000))
    state, other = EntityState(V2, "user"), EntityState(V2, "user", capacity=1)
    apply(state, keys[:6_000], time[:6_000])
    everyone = np.arange(len(state))
    assert other.restore(state.names, state.encode(everyone)).tolist() == everyone.tolist()
    assert other.encode(everyone) == state.encode(everyone)
    assert apply(other, keys[6_000:], time[6_000:]).tobytes() == apply(state, keys[6_000:], time[6_000:]).tobytes()
    assert other.encode(everyone) == state.encode(everyone)


@pytest.mark.parametrize("seen", [False, True], ids=["labels alone", "a merchant that goes on"])
@pytest.mark.parametrize("saved", [False, True], ids=["not saved between", "saved between"])
def test_a_label_taken_back_leaves_the_bytes_that_were_there_before(seen: bool, saved: bool) -> None:
    state = EntityState(V1, "merchant")
    if seen:
        # The old tiles are merged by now.
        apply(state, ["m", "m"], np.array([START, START + 20 * DAY]))
    slots = state.slots(["m"])
    before = state.encode(slots)
    fine = START + 2 * DAY + 7 * SECOND
    label(state, ["m"], np.array([fine]))
    if saved:
        state.encode(slots)
    label(state, ["m"], np.array([fine]), delta=-1)
    assert state.encode(slots) == before == state.encode(slots)


def test_labels_beyond_every_window_are_reported_and_change_nothing() -> None:
    state = EntityState(V1, "user")
    apply(state, ["u"], np.array([START]))
    before = state.encode(np.zeros(1, np.int64))
    assert label(state, ["u"], np.array([START - 39 * DAY])).tolist() == [Lateness.TOO_LATE]
    assert state.encode(np.zeros(1, np.int64)) == before


def test_another_window_needs_no_other_code() -> None:
    wider = replace(V1, activity=(*V1.activity, Window("60d", 60 * DAY, 12 * HOUR)))
    state = EntityState(wider, "user")
    features = apply(state, ["u"] * 3, START + np.array([0, 50 * DAY, 59 * DAY]))
    assert column(state, features, "user_tx_count_60d").tolist() == [0, 1, 2]
    assert column(state, features, "user_tx_count_30d").tolist() == [0, 0, 1]
