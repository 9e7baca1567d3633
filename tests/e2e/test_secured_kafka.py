"""A deployment whose Kafka wants SASL, and addresses with passwords: it decides, and no command line, log or error shows a secret."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest
from msgspec import structs

from features.online.feast_repo_writer import write as write_feast_repo
from infra.local import jars, java
from streams.config import DECIDING, INGEST, SCORE, DeploymentConfig
from streams.kafka.client import KafkaClients
from streams.kafka.groups import Groups
from streams.messages.events import Decision
from streams.messages.topics import DECISIONS
from streams.workers import handover
from tests.made.records import transaction
from tests.run.deployment import ROOT, champion, end_group, eventually
from tests.run.secured_kafka import MARKER, SecuredKafka, secured

WRONG = "plugh-4712"
WORKER = "import sys; from tests.e2e.test_secured_kafka import run_worker; run_worker()"


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    with secured(tmp_path_factory.mktemp("secured") / "home") as kafka:
        champion(kafka.deployment.config)
        yield kafka


def tidemark(kafka: SecuredKafka, environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", "from api.cli import main; main()", *arguments]
    return subprocess.run(
        command,
        env=environment,
        cwd=kafka.deployment.home,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=240,
        check=False,
    )


@pytest.mark.parametrize("way", [("SASL_PLAINTEXT", "SCRAM-SHA-512"), ("SASL_SSL", "PLAIN")])
def test_all_stages_decide_over_sasl(kafka: SecuredKafka, way: tuple[str, str]) -> None:
    before = len(kafka.deployment.read(DECISIONS.name))
    kafka.deployment.send([transaction(before + i, f"u{i % 7}", f"m{i % 3}", 1_700_000_000_000 + i * 60_000) for i in range(60)])
    done = tidemark(kafka, kafka.environment(*way), "worker", "--until-idle")
    assert done.returncode == 0, done.stderr[-4_000:]
    decided = kafka.deployment.messages(DECISIONS.name, Decision)[before:]
    assert len(decided) == 60
    assert MARKER not in done.stderr


def test_an_aligned_replay_and_its_own_ingest_speak_sasl(kafka: SecuredKafka) -> None:
    file = kafka.deployment.home / "history.parquet"
    environment = kafka.environment("SASL_PLAINTEXT")
    simulated = tidemark(kafka, environment, "simulate", "--out", str(file), "--users", "20", "--days", "2")
    assert simulated.returncode == 0, simulated.stderr
    done = tidemark(kafka, environment, "replay", str(file), "--columns", "tidemark", "--aligned")
    assert done.returncode == 0, done.stderr[-4_000:]


@pytest.mark.parametrize(
    "command", ["worker", "up", "status", "audit", "explain t1", "rebuild-online", "rebuild-state --features fraud_v2", "archive --once"]
)
def test_a_wrong_password_is_one_sentence_of_every_command(kafka: SecuredKafka, command: str) -> None:
    began = time.monotonic()
    done = tidemark(kafka, kafka.environment("SASL_PLAINTEXT", password=WRONG), *command.split())
    assert done.returncode == 2
    sentence, *others = done.stderr.splitlines()
    assert not others, done.stderr
    assert sentence.startswith(f"error: Kafka at {kafka.addresses['SASL_PLAINTEXT']} refused the user or its password")
    assert WRONG not in done.stdout + done.stderr
    assert time.monotonic() - began < 60


def test_the_doctor_reports_a_wrong_password_and_a_right_one(kafka: SecuredKafka) -> None:
    assert "BROKEN Kafka " in tidemark(kafka, kafka.environment("SASL_PLAINTEXT", password=WRONG), "doctor").stdout
    output = tidemark(kafka, kafka.environment("SASL_PLAINTEXT"), "doctor").stdout
    assert f"answers elsewhere, at {kafka.addresses['SASL_PLAINTEXT']}" in output


def test_a_stage_whose_password_is_wrong_says_so_in_one_line(kafka: SecuredKafka) -> None:
    command = [sys.executable, "-m", "streams.workers.stage_process", str(psutil.Process().pid), INGEST]
    process = handover.start(command, kafka.config("SASL_PLAINTEXT", password=WRONG), stderr=subprocess.PIPE, cwd=ROOT)
    _, said = process.communicate(timeout=60)
    (line,) = said.decode().splitlines()
    assert "ERROR ingest: Kafka at" in line
    assert "refused the user or its password" in line
    assert (process.returncode, WRONG in line) == (2, False)


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL", "SSL"])
def test_spark_reads_with_the_options_and_its_jvm_does_not_show_them(kafka: SecuredKafka, protocol: str) -> None:
    from features.offline import spark_session
    from features.offline.storage import Storage

    kafka.deployment.send([transaction(10_000, "u1")], "user-risk")
    session = spark_session.start("tests", java.for_spark().executable, jars.SPARK.paths(), Storage.of("."), "1g", 2)
    try:
        options = {**kafka.clients(protocol).spark_options(), "subscribe": "user-risk", "startingOffsets": "earliest"}
        assert session.read.format("kafka").options(**options).load().count() >= 1
        assert_nowhere_on_a_command_line(MARKER, "jaas")
    finally:
        session.stop()


@pytest.mark.timeout(300)
def test_no_command_line_and_no_log_shows_a_password(kafka: SecuredKafka, tmp_path: Path) -> None:
    """Redis and MLflow refuse what their addresses say, so that errors are written too."""
    redis = kafka.deployment.config.redis.replace("redis://", f"redis://someone:{MARKER}@")
    mlflow = f"http://someone:{MARKER}@127.0.0.1:1"
    write_feast_repo(tmp_path / "feast", redis)
    config = kafka.config("SASL_PLAINTEXT")
    config = structs.replace(config, application="marked", redis=redis, mlflow=mlflow, feast_repo=str(tmp_path / "feast"))
    written = tmp_path / "worker.log"
    with written.open("wb") as log:
        command = [sys.executable, "-c", WORKER]
        # An MLflow that isn't there is given up at once.
        environment = {**os.environ, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
        options = {"env": environment, "stdout": log, "stderr": subprocess.STDOUT, "cwd": ROOT, "start_new_session": True}
        worker = handover.start(command, config, **options)
    try:
        groups, partitions = Groups(KafkaClients.of(config)), {config.group(stage): 4 for stage in (INGEST, SCORE)}
        eventually(lambda: groups.own(partitions), 120, "every stage having its partitions")
        children = psutil.Process(worker.pid).children(recursive=True)
        assert len(children) == len(DECIDING)
        assert_nowhere_on_a_command_line(MARKER)
        mlflow_fails, redis_fails = "could not be loaded from http://someone:***@127.0.0.1:1", "the online store on Redis"
        eventually(lambda: mlflow_fails in written.read_text(), 60, mlflow_fails)
        eventually(lambda: redis_fails in written.read_text(), 60, redis_fails)
        worker.kill()
        worker.wait()
        eventually(lambda: not any(map(lives, children)), 30, "the stages' end")
    finally:
        end_group(worker.pid)
    for file in (written, *(kafka.deployment.home / "logs").iterdir()):
        assert MARKER not in file.read_text(errors="replace"), file


def assert_nowhere_on_a_command_line(*secrets: str) -> None:
    for process in psutil.process_iter():
        try:
            shown: Sequence[str] = process.cmdline()
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        assert not [secret for secret in secrets if any(secret in argument for argument in shown)], shown


def lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def run_worker() -> None:
    """A worker as the command runs it, of the configuration on standard input."""
    import logging
    import threading

    from streams.workers.logs import log_to_stderr
    from streams.workers.worker import Worker

    log_to_stderr(logging.INFO)
    worker = Worker(handover.receive(DeploymentConfig))
    worker.start()
    worker.run(threading.Event().is_set)
