"""Services of a benchmark's own: real Kafka and Redis in a temporary folder, MLflow on SQLite, and workers."""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
from confluent_kafka import ConsumerGroupState, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from msgspec import structs

from api.answer_key import ensure
from features.errors import UserError
from features.online.feast_repo_writer import write as write_feast_repo
from infra.local import mlflow, processes, services
from streams.config import INGEST, SCORE, DeploymentConfig
from streams.control import kafka_facts
from streams.kafka.admin import create_missing
from streams.kafka.client import KafkaClients
from streams.messages.seal import Seal
from streams.workers.worker import Worker
from tests.benchmarks.figures.stage_sampling import NOT_YET

_ASSIGNED_WITHIN_S = 60.0
_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Deployment:
    """Where a benchmark's services are, and their process ids by name."""

    home: Path
    config: DeploymentConfig
    partitions: int

    def of(self, online: bool) -> "Deployment":
        """The same for workers that write to the online store or leave it alone."""
        return replace(self, config=structs.replace(self.config, online=online))

    @property
    def services(self) -> dict[str, int]:
        """The process ids of the embedded broker and store."""
        found = {
            service.name: processes.running_pid(service.slot(self.home)) for service in services.SERVICES if service is not mlflow.SERVICE
        }
        return {name: pid for name, pid in found.items() if pid is not None}

    @property
    def environment(self) -> dict[str, str]:
        """For commands run on it."""
        own = {"TIDEMARK_HOME": str(self.home), "TIDEMARK_KAFKA": self.config.kafka, "TIDEMARK_REDIS": self.config.redis}
        facts = {"TIDEMARK_FEATURES": self.config.features, "TIDEMARK_CURRENCY": self.config.currency}
        return {**os.environ, **own, **facts, "TIDEMARK_MLFLOW": self.config.mlflow}


@contextmanager
def deployed(partitions: int, registry: str | None = None) -> Iterator[Deployment]:
    """Services up and topics made, in a folder that is gone after the block, as are they.

    Models come from an MLflow store (tracking URI) that is there already, or from a new one. Raises ServiceError or UserError.
    """
    with tempfile.TemporaryDirectory(prefix="tidemark-bench-") as folder:
        home = Path(folder).resolve()
        tracking = registry or mlflow.database(home)
        with _environment({**dict.fromkeys(services.OUTSIDE_VARIABLES.values(), ""), "TIDEMARK_MLFLOW": tracking}):
            try:
                endpoints = services.up(home)
                kafka = KafkaClients(endpoints.kafka)
                create_missing(kafka, partitions)
                kafka_facts.settle(kafka, Seal(ensure(home)), "fraud_v1", "EUR")
                write_feast_repo(endpoints.feast_repo, endpoints.redis)
                yield Deployment(
                    home,
                    DeploymentConfig(
                        kafka=endpoints.kafka,
                        redis=endpoints.redis,
                        mlflow=tracking,
                        feast_repo=str(endpoints.feast_repo),
                        answer_key=ensure(home),
                    ),
                    partitions,
                )
            finally:
                services.down(home)


@contextmanager
def working(deployment: Deployment, workers: int = 1) -> Iterator[dict[str, int]]:
    """So many workers, each with all stages, run during the block; yields the process ids by stage ("score", that of the second "score 2").

    Raises UserError if a stage ended meanwhile: what was measured is then void.
    """
    running: list[Worker] = []
    pids: dict[str, int] = {}
    try:
        for number in range(1, workers + 1):
            worker = Worker(deployment.config)
            running.append(worker)
            worker.start()
            pids |= {stage if number == 1 else f"{stage} {number}": pid for stage, pid in worker.pids().items()}
        yield pids
        require_alive(pids)
    finally:
        for worker in running:
            worker.stop()


def require_alive(pids: Mapping[str, int]) -> None:
    """Raises UserError if one of these processes has ended."""
    for name, pid in pids.items():
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            raise UserError(f"{name} ended while it was being measured; fix what its messages above say and measure again")


def wait_until_assigned(deployment: Deployment, pids: Mapping[str, int]) -> None:
    """Returns once the stages own all their partitions. Raises UserError if one of them ends, or it takes longer than a minute."""
    admin = KafkaClients.of(deployment.config).admin()
    groups = [deployment.config.group(stage) for stage in (INGEST, SCORE)]
    deadline = time.monotonic() + _ASSIGNED_WITHIN_S
    while True:
        require_alive(pids)
        owned = {group: _owned(admin, group) for group in groups}
        if all(count == deployment.partitions for count in owned.values()):
            return
        if time.monotonic() > deadline:
            raise UserError(f"the stages own {owned} partitions after {_ASSIGNED_WITHIN_S:.0f} s; see their messages above")
        time.sleep(0.2)


def _owned(admin: AdminClient, group: str) -> int:
    """How many partitions the group's members own, 0 while it is rebalancing or the broker, just started, doesn't know it yet."""
    try:
        found = admin.describe_consumer_groups([group], request_timeout=_TIMEOUT_S)[group].result()
    except KafkaException as error:
        if error.args[0].code() not in (*NOT_YET, KafkaError._TIMED_OUT):
            raise
        return 0
    stable = found.state == ConsumerGroupState.STABLE
    return sum(len(member.assignment.topic_partitions) for member in found.members) if stable else 0


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """These variables during the block, and what they were before after it."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
