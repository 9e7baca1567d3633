"""A worker's stages stand each for itself: what a restart can fix is restarted, what only an operator can fix is said once."""

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from features.errors import UserError
from streams.config import INGEST, LABELS_COPY, PROFILES, SCORE, DeploymentConfig
from streams.workers import worker as module
from streams.workers.worker import Worker

CONFIG = DeploymentConfig(kafka="k", redis="r", mlflow="m", feast_repo="f")


class Script:
    """Stages that do what is written for each of their starts; those of which nothing is written come up and stay."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workers: list[Worker] = []

    def worker(self, stages: dict[str, list[str]], *, finite: bool = False) -> Worker:
        for stage, lines in stages.items():
            (self.folder / stage).write_text("\n".join(lines))
        made = Worker(CONFIG, tuple(stages), "tests.run.scripted_stage", (str(self.folder),), finite=finite)
        self.workers.append(made)
        made.start()
        return made

    def starts(self, stage: str) -> list[float]:
        file = self.folder / f"{stage}.starts"
        return [float(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Script]:
    made = Script(tmp_path)
    yield made
    for worker in made.workers:
        worker.stop()


def within(true: Callable[[], bool], seconds: float = 30) -> Callable[[], bool]:
    """Until it is true; fails after some time."""
    deadline = time.monotonic() + seconds

    def until() -> bool:
        assert time.monotonic() < deadline
        return true()

    return until


def test_a_stage_that_fails_is_started_again_by_itself_and_the_others_go_on(script: Script) -> None:
    worker = script.worker({INGEST: ["up"], SCORE: ["fail", "fail", "fail", "up"], LABELS_COPY: ["up"]})
    assert worker.run(within(worker.all_up))
    assert (len(script.starts(INGEST)), len(script.starts(SCORE)), len(script.starts(LABELS_COPY))) == (1, 4, 1)
    _, second, third, fourth = script.starts(SCORE)
    assert third - second > 1
    assert fourth - third > 2


def test_failures_are_counted_by_stage(script: Script) -> None:
    failing = ["fail", "fail", "up"]
    worker = script.worker({INGEST: failing, SCORE: failing, LABELS_COPY: failing, PROFILES: failing})
    assert worker.run(within(worker.all_up))


def test_an_outage_is_one_line_an_attempt_and_never_the_end(script: Script, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    worker = script.worker({INGEST: ["unavailable Kafka at k can't be reached"] * 3 + ["up"]})
    assert worker.run(within(worker.all_up), patient=False)
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"stage ingest: Kafka at k can't be reached; it is tried again {when}" for when in ("at once", "in 1 s", "in 2 s")]


@pytest.mark.parametrize("essential", [INGEST, SCORE])
def test_what_only_an_operator_can_fix_ends_the_worker_at_once_in_one_sentence(
    script: Script, caplog: pytest.LogCaptureFixture, essential: str
) -> None:
    worker = script.worker({LABELS_COPY: ["up"], essential: ["refuse the states are of fraud_v2; use --features fraud_v2"]})
    with pytest.raises(UserError, match=f"stage {essential} can't run: the states are of fraud_v2; use --features fraud_v2"):
        worker.run(within(lambda: False))
    assert len(script.starts(essential)) == 1
    assert caplog.records == []


def test_without_labels_or_profiles_the_others_go_on_and_the_log_repeats_why(
    script: Script, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_REMIND_EVERY_S", 0.5)
    worker = script.worker({INGEST: ["up"], SCORE: ["up"], PROFILES: ["refuse topic users is missing; create it with tidemark up"]})
    assert not worker.run(within(lambda: len(caplog.records) >= 3)), "a stage is down in the end"
    said = [record.getMessage() for record in caplog.records]
    assert said[0] == "stage profiles can't run, the others go on without it: topic users is missing; create it with tidemark up"
    assert set(said[1:]) == {"stage profiles is still down: topic users is missing; create it with tidemark up"}
    assert [len(script.starts(stage)) for stage in (INGEST, SCORE, PROFILES)] == [1, 1, 1]
    assert not worker.all_up()


def test_a_worker_of_which_every_stage_is_down_ends(script: Script) -> None:
    worker = script.worker({LABELS_COPY: ["refuse topic labels is missing"], PROFILES: ["refuse topic users is missing"]})
    with pytest.raises(UserError, match="is missing"):
        worker.run(within(lambda: False))


def test_where_the_end_of_the_work_is_waited_for_a_stage_that_never_comes_up_is_a_failure(script: Script) -> None:
    worker = script.worker({INGEST: ["up"], PROFILES: ["fail"]})
    assert not worker.run(within(worker.all_up, 120), patient=False)
    assert len(script.starts(PROFILES)) == 6


def test_where_the_end_of_the_work_is_waited_for_no_stage_may_be_down(script: Script) -> None:
    worker = script.worker({INGEST: ["up"], PROFILES: ["refuse topic users is missing"]})
    with pytest.raises(UserError, match="stage profiles can't run: topic users is missing"):
        worker.run(within(worker.all_up), patient=False)


def test_a_finite_stage_ends_with_its_work_or_its_refusal(script: Script) -> None:
    refused = script.worker({INGEST: ["refuse others run"]}, finite=True)
    assert not refused.run(within(lambda: False))
