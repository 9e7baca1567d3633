"""A deployment on services that run already: emptied, which takes a second, where a broker of its own takes ten and is slow at first.

For tests that need all of a deployment's topics to themselves, and leave its services alone: who stops or kills one wants ``deployed``.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import redis
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from features.online.feast_repo_writer import write as write_feast_repo
from infra.local import services
from streams.config import DeploymentConfig
from streams.control import kafka_facts
from streams.kafka.admin import create_missing
from streams.kafka.client import KafkaClients
from streams.messages.topics import TOPICS
from tests.made.seal import ANSWER_KEY, SEAL
from tests.run.deployment import Deployment, eventually

PARTITIONS = 4


@dataclass
class Emptied(Deployment):
    """Its home is its own; broker and Redis are another's, which commands learn from their environment."""

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **_outside(self.config)}


@contextmanager
def emptied(of: Deployment, home: Path, partitions: int = PARTITIONS, features: str = "fraud_v1") -> Iterator[Deployment]:
    """The services of a deployment with topics anew, of so many partitions, an empty Redis, no group, no model; emptied afterwards too."""
    tracking = f"sqlite:///{home / 'mlflow.db'}"
    config = DeploymentConfig(
        kafka=of.config.kafka,
        redis=of.config.redis,
        mlflow=tracking,
        feast_repo=str(home / "feast"),
        features=features,
        answer_key=ANSWER_KEY,
    )
    with mock.patch.dict(os.environ, {**_outside(config), "TIDEMARK_MLFLOW": tracking}):
        _empty(config, partitions)
        services.up(home)
        services.record(home, features=features, currency=config.currency)
        (home / "answer.key").write_text(ANSWER_KEY)
        write_feast_repo(config.feast_path, config.redis)
        try:
            yield Emptied(home, config)
        finally:
            _empty(of.config, PARTITIONS)


def _outside(config: DeploymentConfig) -> dict[str, str]:
    return {"TIDEMARK_KAFKA": config.kafka, "TIDEMARK_REDIS": config.redis}


def _empty(config: DeploymentConfig, partitions: int) -> None:
    admin = AdminClient({"bootstrap.servers": config.kafka})
    groups = [found.group_id for found in admin.list_consumer_groups().result(10).valid if found.group_id.startswith(config.application)]
    for done in admin.delete_consumer_groups(groups).values() if groups else ():
        with suppress(KafkaException):
            done.result(10)
    ours = {topic.name for topic in TOPICS}
    present = ours & set(admin.list_topics(timeout=10).topics)
    for done in admin.delete_topics(list(present)).values() if present else ():
        done.result(10)
    eventually(lambda: not ours & set(admin.list_topics(timeout=10).topics), 30, "the topics' end")

    def made() -> bool:
        # One that is still on its way out counts as there to whoever creates.
        create_missing(KafkaClients.of(config), partitions)
        return ours <= set(admin.list_topics(timeout=10).topics)

    eventually(made, 30, "the topics")
    kafka_facts.settle(KafkaClients.of(config), SEAL, config.features, config.currency)
    with redis.Redis.from_url(config.redis) as client:
        client.flushall()
