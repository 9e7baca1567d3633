"""What windows cover, drawn as timelines.

Each drawing is one user's time in minutes. ``x`` is a transaction, ``?`` the one that asks, ``F`` a fraud whose label has arrived; ``[``
and ``)`` are the first moment a window covers and the first it no longer does.
"""

from dataclasses import replace

import numpy as np
import pytest

from features.arrays import Lateness, RecordKind
from features.definitions import MINUTE, FeatureSet, Window
from features.state import EntityState

TEN_MINUTES = FeatureSet("ten minutes", (Window("10m", 10 * MINUTE, 2 * MINUTE),), ())
DELAYED = FeatureSet(
    "six minutes, eight later", (Window("4m", 4 * MINUTE, 2 * MINUTE),), (Window("6m", 6 * MINUTE, 2 * MINUTE, 8 * MINUTE),)
)
TWO_HOPS = FeatureSet("two hops", (Window("10m", 10 * MINUTE, 2 * MINUTE), Window("40m", 40 * MINUTE, 10 * MINUTE)), ())
LARGE = replace(TEN_MINUTES, large=tuple((percent, TEN_MINUTES.activity[0]) for percent in (200, 400)))

ORIGIN = 25_500_000  # minutes; every hop here divides it


class User:
    """One user's time, in minutes after ORIGIN."""

    def __init__(self, feature_set: FeatureSet) -> None:
        self.state = EntityState(feature_set, "user")
        self.slot = self.state.slots(["u"])
        self.names = [feature.name.removeprefix("user_") for feature in feature_set.of("user")]

    def pays(self, *minutes: float, amount: int = 100) -> list[int]:
        """Applies a transaction at each moment; returns how late each was."""
        return [self._apply(RecordKind.TRANSACTION, minute, amount, 0) for minute in minutes]

    def labelled(self, minute: float, fraud: int = 1) -> int:
        return self._apply(RecordKind.LABEL, minute, 0, fraud)

    def sees(self, minute: float, amount: int = 100) -> dict[str, float]:
        """What a transaction at that moment would see."""
        vector = self.state.observe(self.slot, _ms(minute), np.array([amount]), np.zeros(1, np.int64))
        return dict(zip(self.names, vector[0].tolist(), strict=True))

    def tiles(self) -> dict[float, int]:
        """The start of each tile with its number of transactions, as encoded."""
        other = EntityState(self.state.feature_set, self.state.entity)
        other.restore(["key"], self.state.encode(self.slot))
        tiles = other._tiles.cell[: other._rows.row["length"][0]]
        unit = self.state.feature_set.hops[0]
        return {int(tile["start"]) * unit / MINUTE - ORIGIN: int(tile["count"]) for tile in tiles}

    def _apply(self, kind: int, minute: float, amount: int, fraud: int) -> int:
        def column(value: int) -> np.ndarray:
            return np.array([value], np.int64)

        _, lateness = self.state.apply(np.array([kind], np.int8), self.slot, _ms(minute), column(amount), column(fraud), column(0))
        return int(lateness[0])


def _ms(minute: float) -> np.ndarray:
    return np.array([ORIGIN * MINUTE + round(minute * MINUTE)], np.int64)


def test_the_head_is_exact() -> None:
    #   0    2    4    6    8    10   12
    #   |....|....|....|....|...x|x.x?|
    #   [                            )
    user = User(TEN_MINUTES)
    user.pays(9.999, 10, 11.5)
    assert user.sees(11.5)["tx_count_10m"] == 3
    assert user.sees(11.999)["tx_count_10m"] == 3


@pytest.mark.parametrize("asked", [12.0, 12.001, 13.0, 13.999])
def test_the_tail_is_at_most_one_hop_longer_than_the_window(asked: float) -> None:
    #   0    2    4    6    8    10   12   14
    #   |...x|x...|....|....|....|....|.?..|
    #        [                            )         asked at 12…14: from 12 − 10, whatever the minute
    user = User(TEN_MINUTES)
    user.pays(1.999, 2)
    assert user.sees(asked)["tx_count_10m"] == 1


def test_a_transaction_leaves_with_its_whole_tile() -> None:
    #   0    2    4    6    8    10   12   14
    #   |....|x..x|....|....|....|....|....|?
    #             [                         )
    user = User(TEN_MINUTES)
    user.pays(2, 3.999)
    assert user.sees(13.999)["tx_count_10m"] == 2
    assert user.sees(14)["tx_count_10m"] == 0


def test_a_transaction_is_not_in_its_own_window() -> None:
    #   0    2    4
    #   |x...|x?..|
    user = User(TEN_MINUTES)
    user.pays(0, amount=300)
    user.pays(2.5, amount=500)
    assert user.sees(2.5, amount=800) == {
        "tx_count_10m": 2,
        "mean_amount_10m": 400,
        "amount_ratio_10m": 2,
        "seconds_since_last": 0,
        "age_seconds": 150,
        "last_amount": 500,
    }


def test_a_large_amount_is_one_above_so_many_times_the_mean_of_all_before_it() -> None:
    #   0    2    4    6    8    10   12   14
    #   |x..x|x..X|x.X.|....|....|....|....|?
    #        [                              )        of the large ones (X) at 3 and 5
    user = User(LARGE)
    user.pays(0, amount=90)
    user.pays(1, 2, amount=105)
    assert user.sees(2)["large_count_200pct_10m"] == 0
    user.pays(3, amount=201)  # the mean was 100
    user.pays(4, amount=200)  # now 125
    user.pays(5, amount=700)
    assert (user.sees(12)["large_count_200pct_10m"], user.sees(12)["large_count_400pct_10m"]) == (2, 1)
    assert (user.sees(14)["large_count_200pct_10m"], user.sees(14)["large_count_400pct_10m"]) == (1, 1)
    assert (user.sees(16)["large_count_200pct_10m"], user.sees(16)["large_count_400pct_10m"]) == (0, 0)


def test_the_first_amount_and_those_after_nothing_but_zeros_are_not_large() -> None:
    user = User(LARGE)
    user.pays(1, amount=0)
    user.pays(2, amount=500)
    assert user.sees(3)["large_count_200pct_10m"] == 0


def test_of_a_tie_the_later_in_the_log_is_the_last() -> None:
    user = User(TEN_MINUTES)
    user.pays(5, amount=300)
    user.pays(5, amount=700)
    user.pays(4, amount=900)
    assert user.sees(6)["last_amount"] == 700


def test_a_key_never_seen_has_nothing_to_show() -> None:
    seen = User(DELAYED).sees(5)
    assert (seen["tx_count_4m"], seen["matured_count_6m"], seen["fraud_count_6m"], seen["age_seconds"]) == (0, 0, 0, 0)
    missing = {"mean_amount_4m", "amount_ratio_4m", "seconds_since_last", "last_amount", "fraud_rate_6m"}
    assert {name for name, value in seen.items() if np.isnan(value)} == missing


def test_the_ratio_to_a_mean_of_nothing_is_missing() -> None:
    user = User(TEN_MINUTES)
    user.pays(1, amount=0)
    seen = user.sees(2, amount=100)
    assert seen["mean_amount_10m"] == 0
    assert np.isnan(seen["amount_ratio_10m"])


def test_a_delayed_window_leaves_its_newest_tile_out() -> None:
    #   0    2    4    6    8    10   12   14   16
    #   |x..x|x..x|x..x|....|....|....|....|.?..|
    #   [              )                               15 − 8 = 7 lies in the tile 6…8, which is left out; the six minutes before it
    user = User(DELAYED)
    user.pays(0, 1.999, 2, 3.999, 4, 5.999)
    assert user.sees(14)["matured_count_6m"] == 6
    assert user.sees(15.999)["matured_count_6m"] == 6
    assert user.sees(13.999)["matured_count_6m"] == 4
    assert user.sees(16)["matured_count_6m"] == 4


def test_a_label_acts_on_the_tile_of_its_transaction() -> None:
    #   0    2    4    6    8    10   12   14
    #   |.F..|...x|..x.|....|....|....|....|?
    #   [              )
    user = User(DELAYED)
    user.pays(0.5, 3.5, 4.5)
    user.pays(12)
    user.labelled(0.5)
    seen = user.sees(14)
    assert (seen["fraud_count_6m"], seen["matured_count_6m"]) == (1, 3)
    assert seen["fraud_rate_6m"] == np.float32(1 / 3)
    #        2    4    6    8    10   12   14   16
    #        [              )                    ?        the fraud leaves with its tile
    assert user.sees(16)["fraud_count_6m"] == 0


def test_a_label_taken_back_leaves_no_trace() -> None:
    labelled, never = User(DELAYED), User(DELAYED)
    for user in (labelled, never):
        user.pays(0.5, 12)
    labelled.labelled(0.5, +1)
    labelled.labelled(2.5, +1)
    assert labelled.state.encode(labelled.slot) != never.state.encode(never.slot)
    labelled.labelled(0.5, -1)
    labelled.labelled(2.5, -1)
    assert labelled.state.encode(labelled.slot) == never.state.encode(never.slot)


def test_a_label_never_moves_the_anchor() -> None:
    user = User(DELAYED)
    user.pays(0.5)
    user.labelled(100)
    assert user.state.anchors(user.slot) == _ms(0.5)
    assert user.sees(1)["tx_count_4m"] == 1


def test_a_late_transaction_is_judged_at_the_anchor_and_counts_where_it_happened() -> None:
    #   0    2    4    6    8    10   12   14
    #   |....|....|.2..|....|....|....|1.3.|            2 comes after 1, 3 after both
    #        [                             )            2 sees 1, though it happened before
    user = User(TEN_MINUTES)
    assert user.pays(12) == [Lateness.ON_TIME]
    late = user.sees(4.5)
    assert (late["tx_count_10m"], late["seconds_since_last"], late["age_seconds"]) == (1, 0, 0)
    assert user.pays(4.5) == [Lateness.LATE]
    after = user.sees(13)
    assert (after["tx_count_10m"], after["seconds_since_last"], after["age_seconds"]) == (2, 60, 510)
    #   0    2    4    6    8    10   12   14   16
    #   |....|....|.2..|....|....|....|1...|....|?
    #                  [                         )      and it leaves as if it had been on time
    assert user.sees(16)["tx_count_10m"] == 1


def test_what_no_window_reaches_is_too_late_but_not_forgotten() -> None:
    #   0    2    4    ...  18   20   22
    #   |...2|3...|         |....|1...|                 at 21 the window starts at 20 − 10 = 10
    user = User(TEN_MINUTES)
    user.pays(21, amount=500)
    assert user.pays(10) == [Lateness.LATE]
    assert user.pays(9.999) == [Lateness.TOO_LATE]
    assert user.tiles() == {10: 1, 20: 1}
    counts, amounts = user.state.totals(user.slot)
    assert (counts.tolist(), amounts.tolist()) == ([3], [700])
    assert user.sees(21)["age_seconds"] == np.float32((21 - 9.999) * 60)
    assert user.sees(21)["last_amount"] == 500


def test_a_label_of_what_no_window_reaches_is_too_late() -> None:
    user = User(DELAYED)
    user.pays(30)
    #   14   16   18   20   22       30
    #   |F...|....|....|             |x?                at 30 the delayed window starts at 30 − 8 − 6 = 16
    assert user.labelled(15.999) == Lateness.TOO_LATE
    assert user.labelled(16) == Lateness.ON_TIME
    assert user.sees(30)["fraud_count_6m"] == 1


def test_tiles_merge_once_no_finer_window_reaches_the_whole_coarse_one() -> None:
    #   0         10        20        30
    #   |x.x...x.x|x........|.........|?
    #   [         )                                     a coarse tile
    #             [         ^                           the fine window at 20 starts at 20 − 10 = 10
    user = User(TWO_HOPS)
    user.pays(0, 3, 7, 9.999, 10)
    user.pays(19.999)
    assert user.tiles() == {0: 1, 2: 1, 6: 1, 8: 1, 10: 1, 18: 1}
    user.pays(20)
    assert user.tiles() == {0: 4, 10: 1, 18: 1, 20: 1}
    assert user.sees(20)["tx_count_10m"] == 3
    assert user.sees(20)["tx_count_40m"] == 7


def test_a_late_transaction_joins_the_merged_tile() -> None:
    on_time, late = User(TWO_HOPS), User(TWO_HOPS)
    on_time.pays(0, 3, 7, 20)
    late.pays(0, 20, 7, 3)
    assert on_time.tiles() == late.tiles() == {0: 3, 20: 1}
    assert on_time.state.encode(on_time.slot) == late.state.encode(late.slot)


def test_tiles_go_when_no_window_reaches_them() -> None:
    #   0         10        20        30        40        50
    #   |x........|x........|.........|.........|.........|?
    #             [                                        )
    user = User(TWO_HOPS)
    user.pays(0, 10, 49.999)
    assert user.tiles() == {0: 1, 10: 1, 48: 1}
    user.pays(50)
    assert user.tiles() == {10: 1, 48: 1, 50: 1}
    assert user.state.totals(user.slot)[0].tolist() == [4]
