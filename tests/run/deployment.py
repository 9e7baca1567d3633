"""A whole deployment for tests: real Kafka and Redis in a folder of its own, MLflow on SQLite, a small champion."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import psutil
import xgboost as xgb
from confluent_kafka import Consumer, Producer, TopicPartition

from features.definitions import FEATURE_SETS
from features.online.feast_repo_writer import write as write_feast_repo
from infra.local import ports, services
from models.learners.trained import Trained
from models.policy import Policy
from models.registry import mlflow_registry
from models.registry.record import Registered
from streams.config import DeploymentConfig
from streams.control import kafka_facts
from streams.kafka.admin import create_missing
from streams.kafka.client import KafkaClients
from streams.messages.partitioner import PRODUCER_SETTING
from streams.workers.kafka_idle import IdleWatch
from tests.made.seal import ANSWER_KEY, SEAL

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Read:
    """A record read back; ``value`` as bytes."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]


@dataclass
class Deployment:
    """Where it all runs, and what tests do with it."""

    home: Path
    config: DeploymentConfig

    @property
    def environment(self) -> dict[str, str]:
        """For commands run on it."""
        without = {*services.OUTSIDE_VARIABLES.values(), "TIDEMARK_FEATURES", "TIDEMARK_CURRENCY", "TIDEMARK_OFFLINE"}
        return {
            **{name: value for name, value in os.environ.items() if name not in without},
            "TIDEMARK_HOME": str(self.home),
            "TIDEMARK_MLFLOW": self.config.mlflow,
            "PYTHONPATH": str(ROOT),
        }

    def tidemark(self, *arguments: str, timeout: float = 180) -> subprocess.CompletedProcess[str]:
        """Runs the command as a shell would."""
        return subprocess.run(
            [sys.executable, "-c", "from api.cli import main; main()", *arguments],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Runs a command in the background, in a process group of its own, until the block ends."""
        log = (self.home / f"{arguments[0]}-{time.monotonic_ns()}.log").open("wb")
        command = [sys.executable, "-c", "from api.cli import main; main()", *arguments]
        process = subprocess.Popen(
            command,
            env=self.environment,
            cwd=self.home,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            finally:
                end_group(process.pid)
                log.close()

    def settle(self, timeout: float = 120, unchanged_s: float = 0.3) -> None:
        """Waits until a worker that runs has nothing left to do."""
        watch = IdleWatch(self.config, unchanged_s=unchanged_s)
        try:
            eventually(watch.idle, timeout, "the worker's rest")
        finally:
            watch.close()

    def work_until_idle(self, *arguments: str, timeout: float = 240) -> None:
        """Runs a worker until everything that came in is done."""
        done = self.tidemark("worker", "--until-idle", *arguments, timeout=timeout)
        assert done.returncode == 0, done.stderr[-4_000:]

    def send(self, records: Sequence[Any], topic: str = "transactions", **settings: Any) -> None:
        """Produces records (anything with key, value and headers) in order, and waits until all are acknowledged."""
        failed: list[Any] = []
        base = {"bootstrap.servers": self.config.kafka, "enable.idempotence": True, "message.max.bytes": 8 << 20, **PRODUCER_SETTING}
        producer = Producer({**base, **settings})
        for record in records:
            partition = getattr(record, "partition", -1)
            producer.produce(
                topic,
                record.value,
                record.key,
                partition,
                headers=list(record.headers),
                on_delivery=lambda error, _: failed.append(error) if error else None,
            )
            producer.poll(0)
        assert producer.flush(60) == 0
        assert not failed, failed[0]

    def read(self, topic: str) -> list[Read]:
        """All committed records of a topic, partition by partition, by a consumer that has nothing to do with ours."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.config.kafka,
                "group.id": "test",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
            }
        )
        found: list[Read] = []
        try:
            partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
            left = set(partitions)
            while left:
                for message in consumer.consume(10_000, timeout=0.1):
                    if message.error():
                        left.discard(message.partition())
                        continue
                    found.append(
                        Read(
                            message.partition(),
                            message.offset(),
                            message.timestamp()[1],
                            message.key(),
                            message.value() or b"",
                            message.headers() or [],
                        )
                    )
        finally:
            consumer.close()
        return sorted(found, key=lambda record: (record.partition, record.offset))

    def messages(self, topic: str, kind: type) -> list[Any]:
        """All messages of a JSON topic, decoded."""
        decode = msgspec.json.Decoder(kind).decode
        return [decode(record.value) for record in self.read(topic)]


def end_group(group: int) -> None:
    """Fails if anything of the process group lives on for more than a moment; it is killed."""
    deadline = time.monotonic() + 3
    while left := [process for process in psutil.process_iter() if _belongs(process, group)]:
        if time.monotonic() > deadline:
            os.killpg(group, signal.SIGKILL)
            raise AssertionError(f"of process group {group} these outlived their leader: {left}")
        time.sleep(0.1)


def _belongs(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


def champion(config: DeploymentConfig, seed: int = 0) -> Registered:
    """Registers a small model that rises with the amount, for tests that need any model at all."""
    import numpy as np

    feature_set = FEATURE_SETS[config.features]
    rng = np.random.default_rng(seed)
    rows = rng.lognormal(8, 1, size=(2_000, len(feature_set.names))).astype(np.float32)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    data = xgb.DMatrix(rows, np.nan_to_num(rows[:, 0] + rows[:, 5]) > 10_000, feature_names=list(feature_set.names))
    booster = xgb.train({"objective": "binary:logistic", "max_depth": 4, "nthread": 1, "seed": seed}, data, 30)
    policy = Policy(review_threshold=0.8, block_threshold=0.95, elevated_threshold=0.5, highest_threshold=0.9)
    return mlflow_registry.register(Trained(booster, policy, {}, {}), feature_set, config.mlflow)


@contextmanager
def deployed(home: Path, partitions: int = 4, features: str = "fraud_v1", currency: str = "EUR") -> Iterator[Deployment]:
    """Services up, facts recorded, topics made, a Feast repository written; all ended after the block."""
    tracking = f"sqlite:///{home / 'mlflow.db'}"
    outside = dict.fromkeys(services.OUTSIDE_VARIABLES.values(), "")
    with mock.patch.dict(os.environ, {**outside, "TIDEMARK_MLFLOW": tracking}):
        try:
            _keep_off_the_usual_ports(home)
            endpoints = services.up(home)
            services.record(home, features=features, currency=currency)
            (home / "answer.key").write_text(ANSWER_KEY)
            kafka = KafkaClients(endpoints.kafka)
            create_missing(kafka, partitions)
            kafka_facts.settle(kafka, SEAL, features, currency)
            write_feast_repo(endpoints.feast_repo, endpoints.redis)
            config = DeploymentConfig(
                kafka=endpoints.kafka,
                redis=endpoints.redis,
                mlflow=tracking,
                feast_repo=str(endpoints.feast_repo),
                features=features,
                currency=currency,
                answer_key=ANSWER_KEY,
            )
            yield Deployment(home, config)
        finally:
            services.down(home)


def _keep_off_the_usual_ports(home: Path) -> None:
    """Any other deployment that starts while a broker of ours is down would take these."""
    home.mkdir(parents=True, exist_ok=True)
    taken: set[int] = set()
    for service in services.SERVICES:
        chosen = {}
        for name in service.usual_ports:
            chosen[name] = ports.choose([], taken)
            taken.add(chosen[name])
        services._remember(home, service, chosen)


def eventually(condition: Callable[[], bool], timeout: float = 60.0, what: str = "it") -> None:
    """Waits for a condition; fails after the timeout."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout:.0f} s"
        time.sleep(0.1)
