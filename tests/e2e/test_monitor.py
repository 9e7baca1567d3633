"""MONITOR on a real broker: what it says of a drift, whoever is killed while it counts and judges."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features.definitions import DAY
from features.history.moments import moment
from features.offline.storage import Storage
from models.monitoring.layout import Layout
from models.monitoring.reference import SCORE, Reference
from models.registry import mlflow_client
from models.registry.record import MODEL_NAME, Registered
from streams.config import ALERTS, MONITOR
from streams.messages import scoring_log
from streams.messages.events import Alert, AlertAction
from streams.messages.topics import (
    ALERTS_DRIFT,
    ALERTS_PERFORMANCE,
    ALERTS_QUALITY,
    MONITOR_HOURS,
    SCORING_LOG,
    STATE_ALERTS,
    STATE_MONITOR,
)
from streams.monitor.judge import Judge
from streams.monitor.tally import Place, Tally
from streams.workers.kafka_idle import IdleWatch
from tests.faults.fleet import Fleet
from tests.faults.stage import Order
from tests.made.history import simulated
from tests.made.scoring_logs import FEATURES, MONDAY, LogValue, keep_with, records, reference_of, rows
from tests.made.served_decisions import T0, archive_served, decided, label
from tests.run.deployment import Deployment, champion
from tests.run.emptied import emptied

STAGES = (MONITOR, ALERTS)
DAYS, CHANGED, LAST = 35, 40, 46
PARTITIONS, USED = 3, 2
MADE = reference_of(rows(0, DAYS, 500, 1))


@pytest.fixture
def deployment(shared: Deployment, tmp_path: Path) -> Iterator[tuple[Deployment, Registered]]:
    """One whose champion has a reference of 35 days."""
    with emptied(shared, tmp_path / "home", partitions=PARTITIONS) as found:
        registered = champion(found.config)
        keep_with(registered, MADE, found.config.mlflow)
        yield found, registered


def log_of(registered: Registered) -> list[LogValue]:
    """Eleven days that follow the reference's, in the last six of which amounts double."""
    before, after = rows(DAYS, CHANGED - DAYS, 500, 2), rows(CHANGED, LAST - CHANGED, 500, 3, 0.7)
    return [*records(before, registered, USED, 25), *records(after, registered, USED, 25)]


def alerts(deployment: Deployment) -> list[Alert]:
    return [alert for topic in (ALERTS_DRIFT, ALERTS_QUALITY, ALERTS_PERFORMANCE) for alert in deployment.messages(topic.name, Alert)]


def judged(log: Sequence[LogValue], reference: Reference) -> list[Alert]:
    """What follows from the log, one record after the other, without Kafka."""
    tallies, judge, layout = [Tally() for _ in range(USED)], Judge(lambda _: reference), Layout.of(reference)
    found = []
    for position, record in enumerate(log, 1):
        decided = scoring_log.decode(record.value)
        values = scoring_log.vectors(decided)
        columns = {**dict(zip(FEATURES.names, values.T, strict=True)), SCORE: decided["probability"].to_numpy()}
        version, digest = (decided[name].cast(pa.string())[0].as_py() for name in ("model_version", "model_digest"))
        tally = tallies[record.partition]
        tally.add(digest, version, decided["event_time"].to_numpy(), lambda columns=columns: columns, layout)
        report = tally.report(Place("", record.partition, USED, position))
        found += judge.apply(report) if report is not None else []
    return found


def test_a_drift_is_said_within_two_days_and_with_its_evidence(deployment: tuple[Deployment, Registered]) -> None:
    tidemark, registered = deployment
    tidemark.send(log_of(registered), SCORING_LOG.name)
    tidemark.work_until_idle("--stages", ",".join(STAGES))
    first, *later = found = alerts(tidemark)
    assert (first.kind, first.subject, first.status, first.severity, first.action) == ("drift", "input", "opened", "warning", "investigate")
    assert (first.model_version, first.model_digest) == (registered.version, registered.digests.model)
    assert MONDAY + CHANGED * DAY < first.opened_at <= MONDAY + (CHANGED + 2) * DAY
    assert [drift.name for drift in first.drifts] == ["amount"]
    assert first.drifts[0].psi > 0.1
    assert {alert.alert_id for alert in later} == {first.alert_id}
    assert [alert.revision for alert in found] == list(range(1, len(found) + 1))
    assert {alert.status for alert in later} == {"updated"}
    # Nothing is said twice by who begins again.
    tidemark.work_until_idle("--stages", ",".join(STAGES))
    assert alerts(tidemark) == found
    # What others write to the topic is no alert.
    (record, *_) = tidemark.read(ALERTS_DRIFT.name)
    tidemark.send([LogValue(0, None, record.value.replace(b"inputs", b"nobody"), [])], ALERTS_DRIFT.name)
    acknowledge_and_list(tidemark, found[-1])


def acknowledge_and_list(tidemark: Deployment, alert: Alert) -> None:
    """The commands about an open alert."""
    listed = tidemark.tidemark("alerts", "list")
    assert listed.stdout.startswith(f"{alert.alert_id}  warning   since "), listed.stderr
    assert "nobody" not in listed.stdout
    noted = tidemark.tidemark("alerts", "ack", alert.alert_id, "--reason", "retrained", "--author", "Ada")
    assert noted.returncode == 0, noted.stderr
    shown = tidemark.tidemark("alerts", "show", alert.alert_id, "--json", "shown.json").stdout
    assert "acknowledged by Ada: retrained" in shown
    assert "amount: PSI" in shown
    summary = json.loads((tidemark.home / "shown.json").read_text())
    assert len(summary["history"]) == alert.revision
    assert summary["acknowledged"]["by"] == "Ada"
    refused = tidemark.tidemark("alerts", "ack", "nothing", "--reason", "retrained")
    assert (refused.returncode, refused.stderr.strip().splitlines()[-1]) == (
        2,
        "error: there is no alert nothing; `tidemark alerts list --all` names those there are",
    )


POINTS: dict[str, Sequence[str]] = {
    MONITOR: ("begin transaction", f"produce {MONITOR_HOURS.name}", f"produce {STATE_MONITOR.name}", "send offsets", "commit transaction"),
    ALERTS: (f"produce {ALERTS_DRIFT.name}", f"produce {STATE_ALERTS.name}", "send offsets", "begin transaction", "commit transaction"),
}


def run_killed(deployment: Deployment, log: Sequence[LogValue], folder: Path, points: dict[str, Sequence[str]], at_random: int) -> int:
    """Sends the log bit by bit, while the stages are killed at these points and so often besides; returns how often they were."""
    fleet, rng = Fleet(deployment.config, folder, stages=STAGES), np.random.default_rng(0)
    left = {stage: list(reversed(of_stage)) for stage, of_stage in points.items()}
    files: dict[str, Path] = {}
    killed, random_at = 0, time.monotonic() + 5

    def send() -> None:
        for begin in range(0, len(log), 4):
            deployment.send(log[begin : begin + 4], SCORING_LOG.name)
            time.sleep(0.3)

    sender = threading.Thread(target=send)
    try:
        fleet.add()
        sender.start()
        watch = IdleWatch(deployment.config, STAGES)
        while sender.is_alive() or not watch.idle():
            fleet.look_after()
            for stage, of_stage in left.items():
                if stage in files and not files[stage].exists():
                    del files[stage]
                    killed += 1
                if stage not in files and of_stage:
                    files[stage] = fleet.order(stage, Order(of_stage.pop()))
            if at_random and time.monotonic() > random_at:
                random_at += rng.uniform(2, 6)
                # All at once now and then, for another worker doesn't wait as long as one whose stages fail again and again.
                with suppress(IndexError, ProcessLookupError):
                    if at_random % 2:
                        fleet.kill_worker()
                    else:
                        os.kill(fleet.pids(STAGES[at_random // 2 % 2])[0], signal.SIGKILL)
                    killed, at_random = killed + 1, at_random - 1
            time.sleep(0.05)
        watch.close()
    finally:
        sender.join()
        fleet.kill()
    return killed


def test_killed_in_the_middle_of_a_commit_it_says_the_same(deployment: tuple[Deployment, Registered], tmp_path: Path) -> None:
    tidemark, registered = deployment
    log = log_of(registered)
    points: dict[str, Sequence[str]] = {MONITOR: ["commit transaction", "send offsets"], ALERTS: [f"produce {ALERTS_DRIFT.name}"]}
    assert run_killed(tidemark, log, tmp_path / "fleet", points, 0) == 3
    assert alerts(tidemark) == judged(log, MADE)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killed_between_any_two_side_effects_and_at_any_moment_it_says_the_same(
    deployment: tuple[Deployment, Registered], tmp_path: Path, seed: int
) -> None:
    tidemark, registered = deployment
    log = log_of(registered)
    points = {stage: np.random.default_rng(seed).permutation(of_stage).tolist() for stage, of_stage in POINTS.items()}
    assert run_killed(tidemark, log, tmp_path / "fleet", points, 10) >= 16
    assert alerts(tidemark) == judged(log, MADE)


def test_fraud_that_scores_do_not_explain_is_an_alert_once(shared: Deployment, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    served, labels = [], []
    for number in range(6_000):
        day = number / 100
        probability = float(rng.beta(0.5, 20))
        by = {"model_version": "1", "model_digest": "first", "variant": "champion", "probability": probability}
        served.append({**decided(f"t{number}", day, number, "approve", user_id=f"u{number}"), **by})
        if rng.random() < probability * (4 if day > 40 else 1):
            labels.append(label(f"t{number}", day, day + float(rng.uniform(0, 6))) | {"user_id": f"u{number}", "kind": "label"})
    with emptied(shared, tmp_path / "home") as deployment:
        archive_served(Storage.of(deployment.home / "offline"), served, labels, [])
        quiet = deployment.tidemark("monitor", "--alert", "--as-of", day_after(40))
        assert quiet.returncode == 0, quiet.stderr
        assert alerts(deployment) == []
        for _ in range(2):
            done = deployment.tidemark("monitor", "--alert", "--as-of", day_after(55))
            assert done.returncode == 0, done.stderr
        (alert,) = alerts(deployment)
        assert (alert.subject, alert.status, alert.revision) == ("missed_fraud", "opened", 1)
        assert f"{alert.alert_id}  critical" in deployment.tidemark("alerts", "list").stdout
        act(deployment, alert)


def act(deployment: Deployment, alert: Alert) -> None:
    """What an alert asks for is done until it succeeds, and then no more."""
    policy = deployment.home / "alerts.toml"
    policy.write_text('[retrain]\narguments = ["--data", "missing.parquet"]\n')
    failed = deployment.tidemark("alerts", "act", "--policy", "alerts.toml")
    assert (failed.returncode, failed.stdout) == (
        1,
        f"alert {alert.alert_id}: retrain failed; there is no file missing.parquet; name a CSV or Parquet file\n",
    )
    file = simulated(deployment.home / "history.parquet", 40)
    policy.write_text(f'[retrain]\narguments = ["--data", "{file}", "--columns", "tidemark"]\n')
    done = deployment.tidemark("alerts", "act", "--policy", "alerts.toml", "--json", "act.json")
    assert done.returncode == 0, done.stderr
    (action,) = json.loads((deployment.home / "act.json").read_text())["actions"]
    assert (action["status"], action["alert_id"]) == ("done", alert.alert_id)
    tags = mlflow_client.connect(deployment.config.mlflow).get_model_version(MODEL_NAME, action["model_version"]).tags
    assert tags["retrain_reason"] == f"alert {alert.alert_id}: {alert.sentence}"
    again = deployment.tidemark("alerts", "act", "--policy", "alerts.toml")
    assert again.stdout == "no open alert asks for anything that isn't done\n"
    assert [taken.status for taken in deployment.messages("actions", AlertAction)] == ["begun", "failed", "begun", "done"]


def day_after(days: int) -> str:
    return moment(T0 + days * DAY)
