"""Keys that aren't seen any more: what leaves, what stays, and that they come back as if they had never been away."""

import numpy as np
import pytest

from features.arrays import Float32, Lateness, RecordKind
from features.definitions import DAY, FEATURE_SETS
from features.state import EntityState
from features.tiles import NEVER
from features.windows import SEEN, UNPROJECTED, UNSAVED

V2 = FEATURE_SETS["fraud_v2"]
START = 1_530_000_000_000 // DAY * DAY
# The widest window reaches 37.5 days back; with the week that a transaction may be late, after 45 whole days a key is idle.
IDLE = 46 * DAY
ALL = UNPROJECTED | UNSAVED


def state(sources: int = 1) -> EntityState:
    """One that keeps everything if it has two sources, for of the other it never sees anything."""
    return EntityState(V2, "user", capacity=1, sources=sources)


def apply(
    to: EntityState, key: str, time: int, amount: int = 100, kind: int = RecordKind.TRANSACTION, source: int = 0
) -> tuple[Float32, int]:
    """One row of a key; a transaction with device 7, a label of a fraud."""
    one = np.ones(1, np.int64)
    features, lateness = to.apply(kind * one.astype(np.int8), to.slots([key]), time * one, amount * one, one, 7 * one, source * one)
    return features, int(lateness[0])


def encoded(of: EntityState, key: str) -> bytes:
    return of.encode(of.slots([key]))[0]


def busy(sources: int = 1) -> EntityState:
    """A key with tiles, labels and devices."""
    made = state(sources)
    for day in range(30):
        apply(made, "u", START + day * DAY, amount=100 + day)
    apply(made, "u", START + 20 * DAY, kind=RecordKind.LABEL)
    return made


def test_a_key_unseen_for_longer_than_any_window_shrinks_to_a_small_record() -> None:
    users, kept = busy(), busy(sources=2)
    last = START + 29 * DAY
    apply(users, "other", last + IDLE - DAY)
    assert encoded(users, "u") == encoded(kept, "u")
    apply(users, "other", last + IDLE)
    small = encoded(users, "u")
    assert len(small) < 30 < len(encoded(kept, "u")) / 3
    # What stays: first and last transaction, all-time count and amount.
    restored = state()
    restored.restore(["u"], [small])
    slot = np.zeros(1, np.int64)
    assert [int(total[0]) for total in restored.totals(slot)] == [30, sum(range(100, 130))]
    assert restored.anchors(slot).tolist() == [last]
    seen = restored.observe(slot, slot + last + IDLE, slot, slot)
    names = [feature.name for feature in V2.of("user")]
    assert seen[0, names.index("user_age_seconds")] == (IDLE + 29 * DAY) // 1_000
    assert seen[0, names.index("user_last_amount")] == 129


def test_it_comes_back_as_if_it_had_stayed() -> None:
    users, kept = busy(), busy(sources=2)
    back = START + 29 * DAY + IDLE + DAY
    for both in (users, kept):
        apply(both, "other", back)
    # Even up to a week late.
    for time in (back - 6 * DAY, back, back + DAY):
        assert apply(users, "u", time)[0].tobytes() == apply(kept, "u", time)[0].tobytes()
        assert encoded(users, "u") == encoded(kept, "u")


def test_devices_are_forgotten_when_no_window_reaches_the_key_any_more_whether_it_was_away_or_not() -> None:
    known = [V2.of("user").index(feature) for feature in V2.of("user") if feature.name == "user_device_count"]
    for sources in (1, 2):
        users = busy(sources)
        one = np.ones(1, np.int64)
        later = START + 29 * DAY + np.array([37, 39]) * DAY
        assert [float(users.observe(0 * one, time * one, one, 7 * one)[0, known[0]]) for time in later] == [1, 0]
        assert apply(users, "u", int(later[1]))[0][0, known[0]] == 0


def test_room_of_idle_keys_is_used_by_others() -> None:
    users, used = state(), []
    for season in range(10):
        for day in range(30):
            apply(users, f"of season {season}", START + (season * 90 + day) * DAY)
        used.append(int(users._tiles.end[0]))
    assert len(set(used[1:])) == 1


def test_listeners_to_changes_get_the_keys_that_became_idle() -> None:
    users = busy()
    apply(users, "other", START + 29 * DAY)
    users.take_changed(UNPROJECTED)
    users.take_changed(UNSAVED)
    apply(users, "third", START + 29 * DAY + IDLE)
    for listener in (UNPROJECTED, UNSAVED):
        assert [users.names[slot] for slot in users.take_changed(listener)] == ["u", "other", "third"]
    apply(users, "third", START + 29 * DAY + IDLE + DAY)
    assert [users.names[slot] for slot in users.take_changed(ALL)] == ["third"]


def test_memory_begins_where_the_slowest_source_has_come() -> None:
    users = busy(sources=2)
    full = encoded(users, "u")
    apply(users, "other", START + 900 * DAY, source=1)
    assert encoded(users, "u") == full
    assert users.clock == [START + 30 * DAY, START + 901 * DAY]
    apply(users, "other", START + 29 * DAY + IDLE, source=0)
    assert len(encoded(users, "u")) < 30


def test_rows_that_a_key_knows_already_move_the_clock_if_they_are_transactions() -> None:
    users = busy()
    full = encoded(users, "u")
    features, lateness = apply(users, "u", START + 900 * DAY, kind=RecordKind.LABEL + SEEN)
    assert np.isnan(features).all()
    assert lateness == 0
    assert encoded(users, "u") == full
    apply(users, "u", START + 29 * DAY + IDLE, kind=RecordKind.TRANSACTION + SEEN)
    assert users.anchors(np.zeros(1, np.int64)).tolist() == [START + 29 * DAY]
    assert len(encoded(users, "u")) < 30


def test_labels_from_before_memory_count_nowhere_and_those_of_coming_transactions_stay() -> None:
    users = busy()
    apply(users, "other", START + 29 * DAY + IDLE)
    small = encoded(users, "u")
    assert apply(users, "u", START + 29 * DAY, kind=RecordKind.LABEL)[1] == Lateness.TOO_LATE
    assert users.horizons(users.slots(["u"])).tolist() == [START + 30 * DAY]
    assert encoded(users, "u") == small
    assert apply(users, "u", START + 80 * DAY, kind=RecordKind.LABEL)[1] == 0
    apply(users, "other", START + 60 * DAY + IDLE)
    assert len(encoded(users, "u")) > len(small)
    apply(users, "other", START + 80 * DAY + IDLE)
    assert encoded(users, "u") == small


def test_the_clock_goes_on_where_it_stood() -> None:
    users = busy(sources=2)
    again = state(sources=2)
    again.set_clock(users.clock)
    assert again.clock == users.clock == [START + 30 * DAY, NEVER]
    with pytest.raises(ValueError, match="a clock of 2 sources can't be that of 1"):
        state().set_clock(users.clock)
