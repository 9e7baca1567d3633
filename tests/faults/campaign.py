"""The campaign: faults of all kinds under load, then the oracle. ``python -m tests.faults.campaign`` runs all of it and prints a table."""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import msgspec

from streams.messages.seal import Seal
from tests.benchmarks.report.provenance import provenance
from tests.faults.fleet import Fleet
from tests.faults.injections.operators import moved_models, offsets_moved, refuses_lost_topics, scaling, terminations, topics_lost
from tests.faults.injections.processes import crash_points, kills, memory_limits, zombies
from tests.faults.injections.records import bursts, culprits, hostile_bytes, takes_hostile_bytes
from tests.faults.injections.services import broker, flapping, full_disk, online_store
from tests.faults.oracle import FaultVerdict, Oracle
from tests.faults.stage import FAILING
from tests.faults.traffic import Sender
from tests.faults.world import Inject, World
from tests.run.deployment import champion, deployed
from tests.run.flaky_kafka import flaky


@dataclass(frozen=True)
class Scenario:
    """One row of the table.

    ``flaky``: the workers reach the broker through a network that can fail. ``afterwards`` is tried once all is judged and no worker runs.
    """

    inject: Inject
    times: int
    rate: float = 2_500
    sabotage: str = ""
    flaky: bool = False
    afterwards: Callable[[World], None] | None = None

    @property
    def name(self) -> str:
        """What it is called."""
        return self.inject.__name__.replace("_", " ")


@dataclass
class Row:
    """What came of a scenario; seconds."""

    fault: str
    injected: int
    verdict: FaultVerdict
    recoveries: list[float]
    notes: list[str]
    seconds: float
    failed: str = ""

    @property
    def holds(self) -> bool:
        """Whether it came to its end and every promise was kept."""
        return self.verdict.holds and not self.failed


def run(scenario: Scenario, home: Path, seed: int = 0) -> Row:
    """Runs a scenario on a deployment of its own, and judges."""
    began = time.monotonic()
    with ExitStack() as stack:
        behind = stack.enter_context(flaky(home)) if scenario.flaky else None
        deployment = stack.enter_context(deployed(home)) if behind is None else behind.deployment
        champion(deployment.config)
        fleet = Fleet(deployment.config if behind is None else behind.config, home / "fleet", scenario.sabotage)
        try:
            fleet.add()
            with Sender(deployment.config.kafka, seed, Seal(deployment.config.answer_key), scenario.rate) as sender:
                world = World(deployment, fleet, sender, Random(seed), scenario.times, behind.network if behind else None)
                world.recover()
                world.recoveries.clear()
                injected = scenario.inject(world)
            world.settle()
            took = fleet.stop()
            assert took < 10, f"a worker took {took:.1f} s to end"
        finally:
            fleet.kill()
        failing = FAILING if scenario.sabotage == "fail_on_some" else None
        verdict = Oracle(deployment.config, world.versions, failing).judge()
        if scenario.afterwards is not None:
            scenario.afterwards(world)
    return Row(scenario.name, injected, verdict, world.recoveries, world.notes, time.monotonic() - began)


FULL = (
    Scenario(kills, 90, rate=1_500),
    Scenario(crash_points, 46, rate=1_500),
    Scenario(zombies, 8, rate=1_500),
    Scenario(terminations, 8),
    Scenario(scaling, 3, rate=1_500),
    Scenario(broker, 4, rate=1_000),
    Scenario(online_store, 8),
    Scenario(bursts, 3),
    Scenario(moved_models, 5),
    Scenario(culprits, 2, sabotage="fail_on_some"),
    Scenario(memory_limits, 9, rate=1_500),
    Scenario(full_disk, 3, rate=1_000),
    Scenario(flapping, 11, rate=500, flaky=True),
    Scenario(offsets_moved, 10, rate=1_000),
    Scenario(topics_lost, 2, rate=1_000, afterwards=refuses_lost_topics),
    Scenario(hostile_bytes, 1_000_000, rate=1_000, afterwards=takes_hostile_bytes),
)

_COUNTED = ("transactions", "lost", "duplicated", "wrong", "wrong_state", "wrong_online")


def cells(row: Row) -> tuple[str, ...]:
    """A row of the table as text."""
    if row.failed:
        return (row.fault, f"{row.injected:,}", *("failed" for _ in _COUNTED), "")
    recovery = f"{statistics.median(row.recoveries):.1f}, {max(row.recoveries):.1f}" if row.recoveries else ""
    numbers = (row.injected, *(getattr(row.verdict, name) for name in _COUNTED))
    return (row.fault, *(f"{number:,}" for number in numbers), recovery)


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown, with their sum."""
    total = FaultVerdict()
    for row in rows:
        for name in _COUNTED:
            setattr(total, name, getattr(total, name) + getattr(row.verdict, name))
    everything = Row("all", sum(row.injected for row in rows), total, [], [], 0.0)
    columns = ("fault", "times injected", *(name.replace("_", " ") for name in _COUNTED), "recovery s (median, max)")
    lines = [columns, tuple("---" for _ in columns), *map(cells, [*rows, everything])]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def chosen_of(names: str | None) -> list[Scenario]:
    """The scenarios that have one of these comma-separated names, or a part of one (bytes: hostile_bytes); all of them for None.

    Raises SystemExit for a name that none has.
    """
    wanted = [name.strip() for name in names.split(",")] if names else [""]
    for name in wanted:
        if not any(name in scenario.inject.__name__ for scenario in FULL):
            raise SystemExit(f"there is no scenario {name!r}; choose from {', '.join(scenario.inject.__name__ for scenario in FULL)}")
    return [scenario for scenario in FULL if any(name in scenario.inject.__name__ for name in wanted)]


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="scenarios, comma-separated, such as kills,zombies")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies how often each fault is injected")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--keep", action="store_true", help="keep the deployments' folders")
    arguments = parser.parse_args()
    chosen = chosen_of(arguments.only)
    made_on = provenance(["python", "-m", "tests.faults.campaign", *sys.argv[1:]])
    rows = []
    for scenario in chosen:
        folder = Path(tempfile.mkdtemp(prefix="tidemark-faults-"))
        times = max(1, round(scenario.times * arguments.scale))
        try:
            row = run(replace(scenario, times=times), folder / "home", arguments.seed)
        except Exception as error:  # the other scenarios are to run all the same
            row = Row(scenario.name, times, FaultVerdict(), [], [], 0.0, failed="".join(traceback.format_exception(error)))
        if not arguments.keep:
            shutil.rmtree(folder)
        rows.append(row)
        lines = [row.failed, *row.notes, *row.verdict.examples[:5]]
        print(" | ".join(cells(row)), f"| {row.seconds:.0f} s", *filter(None, lines), sep="\n  ", flush=True)
    print(table(rows))
    if arguments.json:
        figures = {**made_on, "seed": arguments.seed, "rows": [msgspec.to_builtins(row) for row in rows]}
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    if not all(row.holds for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    _main()
