"""How soon a drift is noticed, and how often one is seen where there is none: ours, and River's detectors beside it.

    python -m tests.benchmarks.drift_detection --json docs/results/drift.json

reads the file that TIDEMARK_HANDBOOK names. A reference of 56 days (2018-05-06 … 06-30) is watched over the 62 days that follow. In all
but the first run something is changed in the transactions from 2018-07-21 on, and every feature is computed anew. False alarms are
counted on the run without a change, and on simulated towns of 1,500 users where nothing is changed either, each with a reference of its
own.

River's detectors see what is practical for them: the hourly mean of each watched column, an instance each; an alarm of any counts. Each
gets the most sensitive of its settings that is silent over the reference's own days, as ours gets its limit from them.
"""

import argparse
import copy
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from river import drift

from features.arrays import Float32, Int64
from features.definitions import DAY, FEATURE_SETS, HOUR
from features.history.columns import parse_mapping
from features.history.datafile import read_transactions
from features.history.label_delay import parse_labels_after, with_label_times
from models.monitoring.reference import Reference, made_of_labels, reference
from models.monitoring.watch import Watch
from models.training_set.rows import training_set
from streams.simulate import SimulationSpec, simulate
from tests.benchmarks.report.provenance import provenance

V1 = FEATURE_SETS["fraud_v1"]
WARM_UP, REFERENCE, CHANGED = 35, 56, 111
TOWNS, TOWN_DAYS, TOWN_START = 4, 240, 20_089 * DAY
Change = Callable[[pa.Table, int], pa.Table]

# From the most sensitive to the least.
RIVER: Mapping[str, Sequence[Callable[[], Any]]] = {
    "ADWIN": [partial(drift.ADWIN, delta=delta) for delta in (2e-3, 1e-4, 1e-6, 1e-9, 1e-13, 1e-20, 1e-30)],
    "Page-Hinkley": [partial(drift.PageHinkley, min_instances=72, delta=0.5, threshold=limit) for limit in (10, 20, 40, 80, 160, 320, 640)],
    "KSWIN": [partial(drift.KSWIN, alpha=alpha, window_size=192, stat_size=48, seed=0) for alpha in (5e-3, 1e-4, 1e-6, 1e-9, 1e-13, 1e-18)],
}


@dataclass(frozen=True)
class Days:
    """Vectors (float32, n × features) and times (ms) of transactions in order."""

    vectors: Float32
    time: Int64

    def part(self, begin: int, end: int) -> "Days":
        """The days from number ``begin`` to before ``end``, counted from the first."""
        first = int(self.time[0]) // DAY
        rows = (self.time >= (first + begin) * DAY) & (self.time < (first + end) * DAY)
        return Days(self.vectors[rows], self.time[rows])


def of_table(table: pa.Table) -> Days:
    """All transactions of a canonical table with labels."""
    found = training_set(table, V1, 0, 2**62, 2**60, 7 * DAY)
    return Days(found.vectors, found.event_time)


def amounts(factor: float, share: float = 1.0, over: int = 0, every: int = 0) -> Change:
    """Amounts are ``factor`` times what they were, of a ``share`` of users; rising ``over`` some days, or in every other week."""

    def change(table: pa.Table, at: int) -> pa.Table:
        time, amount = table["event_time"].to_numpy(), table["amount"].to_numpy()
        rising = np.clip((time - at) / (over * DAY), 0, 1) if over else (time >= at).astype(np.float64)
        rising = np.where((time - at) // (7 * DAY) % 2 == 0, rising, 0.0) if every else rising
        chosen = users(table) % 1000 < share * 1000
        made = np.rint(amount * np.where(chosen, 1 + rising * (factor - 1), 1.0)).astype(np.int64)
        return replaced(table, "amount", pa.array(made))

    return change


def later(hours: int, share: float) -> Change:
    """A share of users pay some hours later in the day."""

    def change(table: pa.Table, at: int) -> pa.Table:
        time = table["event_time"].to_numpy()
        moved = np.where((time >= at) & (users(table) % 1000 < share * 1000), time + hours * HOUR, time)
        return replaced(table, "event_time", pa.array(moved)).sort_by("event_time")

    return change


def gone(share: float) -> Change:
    """A share of users pay no more."""

    def change(table: pa.Table, at: int) -> pa.Table:
        return table.filter(pa.array((table["event_time"].to_numpy() < at) | (users(table) % 1000 >= share * 1000)))

    return change


def new_merchants(share: float) -> Change:
    """A share of payments are made at merchants that nobody knew."""

    def change(table: pa.Table, at: int) -> pa.Table:
        rng = np.random.default_rng(0)
        new = (table["event_time"].to_numpy() >= at) & (rng.random(len(table)) < share)
        names = pa.array([f"new{number}" for number in rng.integers(0, 500, len(table)).tolist()])
        return replaced(table, "merchant_id", pc.if_else(pa.array(new), names, table["merchant_id"].combine_chunks().cast(pa.string())))

    return change


def users(table: pa.Table) -> Int64:
    """A number for each row's user, the same for all of a user."""
    return np.asarray(table["user_id"].combine_chunks().dictionary_encode().indices.to_numpy(), np.int64) * 7_919


def replaced(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, column.cast(table.schema.field(name).type))


CHANGES: Mapping[str, Change] = {
    "amounts +10 %": amounts(1.1),
    "amounts +30 %": amounts(1.3),
    "amounts of a fifth of users twice": amounts(2.0, 0.2),
    "amounts +30 % over 7 days": amounts(1.3, over=7),
    "amounts +30 % over 30 days": amounts(1.3, over=30),
    "amounts +30 % every other week": amounts(1.3, every=2),
    "a fifth of users 6 hours later": later(6, 0.2),
    "half of the users gone": gone(0.5),
    "a tenth at new merchants": new_merchants(0.1),
}


def ours(made: Reference, days: Days) -> list[int]:
    """The moments (ms) at which alerts are opened."""
    watch = Watch(made)
    hours, group = np.unique(days.time // HOUR * HOUR, return_inverse=True)
    counts = watch.layout.count(dict(zip(V1.names, days.vectors.T, strict=True)), group, len(hours))
    found = []
    for hour, of_hour in zip(hours.tolist(), counts, strict=True):
        watch.add(hour, of_hour)
        found += [change.open.at for change in watch.judge(hour) if change.status == "opened"]
    return found


class Peers:
    """River's detectors, each with the setting that is silent over the reference's days, going on over what follows."""

    def __init__(self, made: Reference, days: Days) -> None:
        assert made.in_control is not None
        self._columns = [V1.names.index(name) for name, usual in made.in_control.columns.items() if usual.watched]
        _, means = self._hourly(days)
        self._centre, self._spread = np.nanmean(means, axis=0), np.maximum(np.nanstd(means, axis=0), 1e-9)
        self._silent: dict[str, Sequence[Any]] = {}
        for name, settings in RIVER.items():
            for make in settings:
                detectors = [make() for _ in self._columns]
                if not self._run(detectors, days):
                    self._silent[name] = detectors
                    break

    def alarms(self, days: Days) -> dict[str, list[int]]:
        """By detector, the moments (ms) of its alarms on days that follow the reference's; none of one that no setting silences."""
        return {name: self._run(copy.deepcopy(detectors), days) for name, detectors in self._silent.items()}

    def _run(self, detectors: Sequence[Any], days: Days) -> list[int]:
        hours, means = self._hourly(days)
        values = np.nan_to_num((means - self._centre) / self._spread)
        found = []
        for hour, row in zip(hours.tolist(), values.tolist(), strict=True):
            alarm = False
            for detector, value in zip(detectors, row, strict=True):
                detector.update(value)
                alarm |= detector.drift_detected
            if alarm:
                found.append(hour + HOUR)
        return found

    def _hourly(self, days: Days) -> tuple[Int64, np.ndarray]:
        hours, group = np.unique(days.time // HOUR * HOUR, return_inverse=True)
        there = ~np.isnan(days.vectors)
        means = np.column_stack(
            [
                np.bincount(group, np.where(there[:, column], days.vectors[:, column], 0.0), len(hours))
                / np.maximum(np.bincount(group, there[:, column], len(hours)), 1)
                for column in self._columns
            ]
        )
        return hours, means


def distinct(alarms: Sequence[int]) -> int:
    """How many alarms, those within a week of the first counted as one."""
    count, until = 0, -1
    for at in alarms:
        if at >= until:
            count, until = count + 1, at + 7 * DAY
    return count


def followed(made: Reference, peers: Peers, after: Days) -> dict[str, list[int]]:
    """The alarms of all."""
    return {"tidemark": ours(made, after), **peers.alarms(after)}


def measure(table: pa.Table, report: Callable[[str], None]) -> dict[str, Any]:
    """Detection delays (hours; None: missed) by change and detector, and false alarms over so many days."""
    first = int(table["event_time"][0].as_py()) // DAY * DAY
    at = first + CHANGED * DAY
    false: dict[str, int] = {}
    quiet = 0.0
    plain = of_table(table)
    before = plain.part(WARM_UP, WARM_UP + REFERENCE)
    made = reference(V1.names, before.vectors, before.time, unwatched=made_of_labels(V1))
    peers = Peers(made, before)
    delays: dict[str, dict[str, float | None]] = {}

    def count(alarms: Mapping[str, Sequence[int]], days: float) -> None:
        nonlocal quiet
        quiet += days
        for name, of_one in alarms.items():
            false[name] = false.get(name, 0) + distinct(of_one)

    after = plain.part(WARM_UP + REFERENCE, 10_000)
    count(followed(made, peers, after), (int(after.time[-1]) - int(after.time[0])) / DAY)
    report(f"no change: {false}")
    for name, change in CHANGES.items():
        alarms = followed(made, peers, of_table(change(table, at)).part(WARM_UP + REFERENCE, 10_000))
        delays[name] = {}
        for detector, of_one in alarms.items():
            noticed = [moment for moment in of_one if moment > at]
            delays[name][detector] = round((noticed[0] - at) / HOUR, 1) if noticed else None
        report(f"{name}: {delays[name]}")
    for seed in range(TOWNS):
        spec = SimulationSpec(seed=seed, users=1_500, merchants=2_000, start_ms=TOWN_START, days=TOWN_DAYS)
        town = of_table(with_label_times(simulate(spec), parse_labels_after("7d", labelled=True)))
        past = town.part(WARM_UP, WARM_UP + REFERENCE)
        of_town = reference(V1.names, past.vectors, past.time, unwatched=made_of_labels(V1))
        count(followed(of_town, Peers(of_town, past), town.part(WARM_UP + REFERENCE, TOWN_DAYS)), TOWN_DAYS - WARM_UP - REFERENCE)
        report(f"town {seed}: {false}")
    return {
        "changes": delays,
        "in_control_days": round(quiet, 1),
        "false_alarms": false,
        "detectors": {name: summary([of_one.get(name) for of_one in delays.values()], false[name], quiet) for name in false},
    }


def summary(delays: Sequence[float | None], false: int, quiet: float) -> dict[str, float | None]:
    """The share missed, the mean delay (hours) of what wasn't, false alarms in 30 days, and the mean time ratio (Bifet, 2017): days between
    false alarms (or all of them) over days of delay, times the share that was noticed."""
    noticed = [delay for delay in delays if delay is not None]
    missed = 1 - len(noticed) / len(delays)
    delay = float(np.mean(noticed)) if noticed else None
    ratio = quiet / max(1, false) / (delay / 24) * (1 - missed) if delay else 0.0
    return {
        "missed": round(missed, 3),
        "delay_h": delay and round(delay, 1),
        "false_in_30_days": round(30 * false / quiet, 2),
        "mtr": round(ratio, 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.drift_detection")
    parser.add_argument("--json", type=Path, required=True)
    arguments = parser.parse_args()
    made_on = provenance(["python", "-m", "tests.benchmarks.drift_detection", *sys.argv[1:]])
    table = read_transactions(Path(os.environ["TIDEMARK_HANDBOOK"]), parse_mapping("handbook", None), "7d")
    found = {**made_on, **measure(table, partial(print, flush=True))}
    arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    for name, figures in found["detectors"].items():
        print(name, figures)


if __name__ == "__main__":
    main()
