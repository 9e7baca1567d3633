"""Simulated transactions: the same for the same seed, a day the same in any range, and shaped as the handbook says."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from features.errors import UserError
from features.history.columns import CANONICAL, PRESETS
from features.history.datafile import read_transactions, write_transactions
from streams.simulate import SIMULATED, SimulationSpec, simulate, simulate_chunks
from streams.simulate.population import populate, within_reach
from streams.simulate.spec import DAY_MS

START = 20_089 * DAY_MS  # 2025-01-01
SPEC = SimulationSpec(seed=3, users=2_000, merchants=4_000, start_ms=START, days=40)


@cache
def frame(spec: SimulationSpec) -> pd.DataFrame:
    simulated: pd.DataFrame = simulate(spec).to_pandas()
    return simulated


class TestDeterminism:
    def test_the_same_seed_gives_the_same_bytes(self, tmp_path: Path) -> None:
        spec = replace(SPEC, days=3, drift_at_ms=START + DAY_MS)
        for name in "ab":
            write_transactions(tmp_path / name, simulate_chunks(spec), SIMULATED)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()

    def test_another_seed_gives_others(self) -> None:
        assert not simulate(replace(SPEC, days=1)).equals(simulate(replace(SPEC, days=1, seed=4)))

    def test_a_day_is_the_same_in_any_range(self) -> None:
        whole = simulate(SPEC)
        later = simulate(replace(SPEC, start_ms=START + 35 * DAY_MS, days=5))
        assert whole.filter(pc.greater_equal(whole["event_time"], START + 35 * DAY_MS)).equals(later)

    def test_drift_changes_nothing_before_its_day(self) -> None:
        plain, drifting = simulate(replace(SPEC, days=4)), simulate(replace(SPEC, days=4, drift_at_ms=START + 2 * DAY_MS))
        before = [table.filter(pc.less(table["event_time"], START + 2 * DAY_MS)) for table in (plain, drifting)]
        assert before[0].equals(before[1])
        assert not plain.equals(drifting)

    def test_chunks_are_the_table(self, tmp_path: Path) -> None:
        spec = replace(SPEC, users=30_000, days=20)
        chunks = list(simulate_chunks(spec))
        assert len(chunks) > 1
        assert pa.concat_tables(chunks).equals(simulate(spec).drop_columns("label_time"))


class TestTheTable:
    def test_it_is_canonical_and_in_order(self) -> None:
        table = simulate(SPEC)
        assert table.schema == CANONICAL
        assert (np.diff(table["event_time"].to_numpy()) >= 0).all()
        assert table["label_time"].null_count == table.num_rows
        assert pc.count_distinct(table["transaction_id"]).as_py() == table.num_rows
        assert START <= pc.min(table["event_time"]).as_py() <= pc.max(table["event_time"]).as_py() < START + 40 * DAY_MS

    def test_its_file_is_read_with_the_preset_tidemark(self, tmp_path: Path) -> None:
        path = tmp_path / "x.parquet"
        spec = replace(SPEC, days=2)
        assert write_transactions(path, simulate_chunks(spec), SIMULATED) == simulate(spec).num_rows
        assert read_transactions(path, PRESETS["tidemark"], labels_after="none").equals(simulate(spec))

    def test_purchases_are_those_of_the_handbook(self) -> None:
        honest = frame(SPEC)[lambda rows: ~rows.is_fraud]
        assert len(honest) / SPEC.users / SPEC.days == pytest.approx(2, abs=0.15)
        assert honest.amount.mean() / 100 == pytest.approx(52, abs=4)
        hour = honest.event_time % DAY_MS / 3_600_000
        assert hour.mean() == pytest.approx(12, abs=0.1)
        assert hour.std() == pytest.approx(5.2, abs=0.2)

    def test_about_one_in_a_hundred_is_fraud_in_any_population(self) -> None:
        for spec in (SPEC, replace(SPEC, users=5_000, merchants=2_000)):
            assert 0.006 < frame(spec).is_fraud.mean() < 0.013

    def test_devices_are_few_and_only_online(self) -> None:
        rows = frame(SPEC)[lambda rows: ~rows.is_fraud]
        assert rows[rows.channel == "pos"].device_id.isna().all()
        assert rows[rows.channel == "online"].device_id.notna().all()
        devices = rows.groupby("user_id").device_id.nunique()
        assert devices.max() <= 6
        assert set(rows.country) == {"FR", "DE", "ES", "IT"}


class TestFrauds:
    def test_takeovers_start_with_a_device_that_the_user_never_had(self) -> None:
        rows = frame(replace(SPEC, takeovers=20))
        quiet = frame(replace(SPEC, takeovers=0))
        foreign = rows[~rows.device_id.isin(quiet.device_id)]
        assert len(foreign) > 500
        assert foreign.is_fraud.all()
        assert (foreign.channel == "online").all()
        days = foreign.groupby(["user_id", "device_id"]).event_time.agg(lambda time: time.max() // DAY_MS - time.min() // DAY_MS)
        assert days.max() == 2

    def test_takeovers_add_to_what_happens_without_them(self) -> None:
        columns = ["event_time", "user_id", "merchant_id", "amount", "is_fraud"]
        with_takeovers, without = frame(replace(SPEC, takeovers=20))[columns], frame(replace(SPEC, takeovers=0))[columns]
        assert len(without.merge(with_takeovers, how="inner")) >= len(without)

    def test_obvious_amounts_are_fraud(self) -> None:
        rows = frame(SPEC)
        assert rows[rows.amount > 22_000].is_fraud.all()

    def test_all_that_is_paid_at_a_compromised_merchant_is_fraud_for_a_while(self) -> None:
        rows = frame(SPEC)
        shop = rows[rows.is_fraud].merchant_id.value_counts().index[0]
        times = rows[(rows.merchant_id == shop)]
        frauds = times[times.is_fraud]
        between = times[times.event_time.between(frauds.event_time.min(), frauds.event_time.max())]
        assert between.is_fraud.all()
        assert len(between) > 5


class TestDrift:
    def test_users_pay_more_later_and_elsewhere(self) -> None:
        rows = frame(replace(SPEC, drift_at_ms=START + 20 * DAY_MS, takeovers=0))
        after = rows.event_time >= START + 20 * DAY_MS
        honest = ~rows.is_fraud
        assert rows[after & honest].amount.mean() / rows[~after & honest].amount.mean() == pytest.approx(1.3, abs=0.05)
        hour = rows.event_time % DAY_MS / 3_600_000
        assert hour[after].mean() - hour[~after].mean() > 2
        known = set(zip(rows[~after].user_id, rows[~after].merchant_id, strict=True))
        new = [pair not in known for pair in zip(rows[after].user_id, rows[after].merchant_id, strict=True)]
        plain = frame(replace(SPEC, takeovers=0))
        late = plain.event_time >= START + 20 * DAY_MS
        known = set(zip(plain[~late].user_id, plain[~late].merchant_id, strict=True))
        new_without = [pair not in known for pair in zip(plain[late].user_id, plain[late].merchant_id, strict=True)]
        assert np.mean(new) > np.mean(new_without) + 0.15


class TestReach:
    def test_a_user_pays_within_five_or_at_the_nearest(self) -> None:
        #  merchants  0 at (0, 0), 1 at (3, 4), 2 at (9, 0);  users  0 at (0, 0): both, 1 at (50, 0): only the nearest
        reach = within_reach(np.array([[0.0, 0], [50, 0]]), np.array([[0.0, 0], [3, 4], [9, 0]]))
        assert reach.offsets.tolist() == [0, 2, 3]
        assert reach.merchants.tolist() == [0, 1, 2]

    def test_it_is_what_comparing_everyone_gives(self) -> None:
        population = populate(SPEC)
        distance = np.linalg.norm(population.user_place[:, None] - population.merchant_place[None], axis=2)
        for user in range(0, SPEC.users, 37):
            near = np.flatnonzero(distance[user] <= 5)
            expected = near if len(near) else [distance[user].argmin()]
            first, last = population.reach.offsets[user : user + 2]
            assert population.reach.merchants[first:last].tolist() == list(expected)

    def test_one_user_and_one_merchant_are_enough(self) -> None:
        table = simulate(SimulationSpec(seed=0, users=1, merchants=1, start_ms=START, days=30))
        assert set(table["merchant_id"].to_pylist()) == {"0"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"users": 0}, "--users 0 is too small; use at least 1"),
        ({"merchants": 0}, "--merchants 0 is too small"),
        ({"days": 0}, "--days 0 is too small"),
        ({"seed": -1}, "--seed -1 is too small; use at least 0"),
        ({"users": 10**8}, "--users 100000000 is too large"),
        ({"takeovers": -1.0}, "--takeovers -1.0 is not a number"),
        ({"takeovers": float("nan")}, "--takeovers nan is not a number"),
        ({"start_ms": START + 1}, "at midnight UTC"),
        ({"drift_at_ms": START + 1}, "at midnight UTC"),
        ({"start_ms": 0}, "between the years 1974 and 2243"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        replace(SPEC, **change)
