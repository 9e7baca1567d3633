"""The short version of the campaign, and the proof that it would notice: each way to break a promise is found out, by its own sign."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.campaign import FULL, Row, Scenario, chosen_of, run, table
from tests.faults.fleet import logged_lines
from tests.faults.injections.processes import crash_points, kills
from tests.faults.injections.records import culprits, hostile_bytes
from tests.faults.injections.services import flapping
from tests.faults.oracle import FaultVerdict, letters
from tests.faults.world import World
from tests.run.deployment import eventually


def test_killed_at_any_moment_or_between_two_side_effects_nothing_is_lost_repeated_or_wrong(tmp_path: Path) -> None:
    def inject(world: World) -> int:
        at_random = kills(world)
        world.times = 3
        return at_random + crash_points(world)

    row = run(Scenario(inject, 5, rate=1_000), tmp_path / "home", seed=1)
    assert row.holds, row.verdict
    assert row.injected == 8
    assert row.verdict.transactions > 30_000
    assert row.verdict.dead_letters > 100


def test_records_that_cannot_be_processed_cost_no_other_its_decision(tmp_path: Path) -> None:
    found: list[str] = []

    def inject(world: World) -> int:
        count = culprits(world)
        found.extend(letter.reason for letter in letters(world.deployment.config) if letter.reason == "processing_failed")
        return count

    row = run(Scenario(inject, 1, rate=500, sabotage="fail_on_some"), tmp_path / "home")
    assert found == ["processing_failed"] * 3
    assert any("gave up transactions" in line for line in logged_lines(tmp_path / "home" / "fleet"))
    assert row.verdict.holds, row.verdict
    assert row.verdict.transactions > 1_000


@pytest.mark.slow
def test_memory_that_runs_out_costs_no_record_its_decision(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "fleet"

    def inject(world: World) -> int:
        world.pause(2.0, 2.0)
        world.sender.burst(20_000)
        eventually((folder / "was-short").exists, 60, "a turn of many records")
        world.recover("ingest")
        return 1

    row = run(Scenario(inject, 1, rate=500, sabotage="short_of_memory"), tmp_path / "home")
    lines = logged_lines(folder)
    assert any("MemoryError" in line for line in lines)
    assert not any("gave up" in line for line in lines)
    assert row.holds, row.verdict
    assert row.verdict.transactions > 15_000


@pytest.mark.slow
def test_a_network_that_fails_over_and_over_ends_no_worker(tmp_path: Path) -> None:
    row = run(Scenario(flapping, 2, rate=300, flaky=True), tmp_path / "home")
    assert row.holds, row.verdict
    assert row.verdict.transactions > 3_000


def undisturbed(world: World) -> int:
    """Nothing happens."""
    world.pause(3.0, 3.0)
    return 1


def killed_ingest(world: World) -> int:
    """INGEST dies four times: one kill may fall between two turns, when nothing is held back that was acknowledged."""
    for _ in range(4):
        world.pause(2.0, 2.0)
        world.fleet.kill_stage("ingest")
        world.recover("ingest")
    return 4


@pytest.mark.parametrize(
    ("sabotage", "inject", "sign"),
    [
        pytest.param("acknowledge_early", killed_ingest, "lost", marks=pytest.mark.slow),
        ("drop_one", undisturbed, "lost"),
        pytest.param("emit_twice", undisturbed, "duplicated", marks=pytest.mark.slow),
        pytest.param("double_count", undisturbed, "wrong_state", marks=pytest.mark.slow),
    ],
)
def test_a_broken_promise_is_found_out(tmp_path: Path, sabotage: str, inject: object, sign: str) -> None:
    row = run(Scenario(inject, 1, rate=500, sabotage=sabotage), tmp_path / "home")  # type: ignore[arg-type]
    verdict = row.verdict
    assert not verdict.holds
    assert getattr(verdict, sign) > 0, verdict
    others = {"lost", "duplicated", "wrong_state"} - {sign}
    assert all(getattr(verdict, other) == 0 for other in others), verdict


def test_the_table_adds_up_and_tells_what_did_not_come_to_its_end() -> None:
    rows = [
        Row("kills", 3, FaultVerdict(transactions=1_000, lost=1), [8.0, 9.0, 12.0], [], 60.0),
        Row("broker", 2, FaultVerdict(), [], [], 60.0, failed="score didn't go on within 90 s"),
    ]
    assert [row.holds for row in rows] == [False, False]
    assert table(rows).splitlines()[2:] == [
        "| kills | 3 | 1,000 | 1 | 0 | 0 | 0 | 0 | 9.0, 12.0 |",
        "| broker | 2 | failed | failed | failed | failed | failed | failed |  |",
        "| all | 5 | 1,000 | 1 | 0 | 0 | 0 | 0 |  |",
    ]


def test_bytes_of_all_kinds_on_all_topics_stop_nothing_and_deceive_nobody(tmp_path: Path) -> None:
    row = run(Scenario(hostile_bytes, 20_000, rate=500), tmp_path / "home", seed=3)
    assert row.holds, row.verdict
    assert row.injected > 20_000
    assert row.verdict.dead_letters > 5_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "times"), [("bytes", 20_000), ("full_disk", 1), ("offsets_moved", 2), ("topics_lost", 1), ("memory_limits", 3)]
)
def test_a_row_of_the_campaign_holds_with_what_is_tried_afterwards(tmp_path: Path, name: str, times: int) -> None:
    (scenario,) = chosen_of(name)
    row = run(replace(scenario, times=times), tmp_path / "home", seed=5)
    assert row.holds, row.verdict


def test_rows_are_chosen_by_a_part_of_their_names_that_some_row_has() -> None:
    assert [scenario.name for scenario in chosen_of("bytes, kills")] == ["kills", "hostile bytes"]
    assert chosen_of(None) == list(FULL)
    with pytest.raises(SystemExit, match=r"there is no scenario 'kill9'; choose from kills, crash_points, .*hostile_bytes"):
        chosen_of("bytes,kill9")


def test_a_reader_that_takes_what_others_wrote_for_ours_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="ended with status"):
        run(Scenario(hostile_bytes, 2_000, rate=500, sabotage="trust_everyone"), tmp_path / "home", seed=3)
