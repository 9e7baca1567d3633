"""The facts of a deployment on a real broker: with its topics, whatever else lies there."""

import logging
import os
import sys
from collections.abc import Iterator

import pytest
from confluent_kafka.admin import AdminClient
from msgspec import structs

from features.errors import UserError
from streams.control import kafka_facts
from streams.kafka.admin import create_missing
from streams.kafka.client import KafkaClients
from streams.messages.facts import KEY
from streams.messages.record import LogRecord
from streams.messages.topics import DEPLOYMENT
from streams.workers import handover
from streams.workers.stages import STAGES
from tests.made.seal import SEAL, sealed
from tests.run.deployment import Deployment, eventually
from tests.run.emptied import emptied


@pytest.fixture(scope="module")
def deployment(shared: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with emptied(shared, tmp_path_factory.mktemp("facts") / "home", partitions=2) as it:
        yield it


@pytest.fixture
def kafka(deployment: Deployment) -> KafkaClients:
    return KafkaClients.of(deployment.config)


def put(deployment: Deployment, *values: bytes | None) -> None:
    deployment.send(
        [sealed(DEPLOYMENT.name, LogRecord(0, 0, KEY, value, [])) for value in values], DEPLOYMENT.name, partitioner="consistent"
    )


def test_it_is_one_partition_that_keeps_the_newest_for_good(kafka: KafkaClients) -> None:
    assert len(kafka.admin().list_topics().topics[DEPLOYMENT.name].partitions) == 1
    assert DEPLOYMENT.settings()["cleanup.policy"] == "compact"


def test_malformed_records_are_left_out_with_a_warning(
    deployment: Deployment, kafka: KafkaClients, caplog: pytest.LogCaptureFixture
) -> None:
    kafka_facts.require(kafka, SEAL, "EUR", "fraud_v1")
    put(deployment, b"{", None, b'{"features":"fraud_v1","currency":"dollars"}', b"[" * 5_000)
    with caplog.at_level(logging.WARNING):
        kafka_facts.require(kafka, SEAL, "EUR", "fraud_v1")
    assert [line for line in caplog.messages if "says nothing about currency and feature set" in line]
    with pytest.raises(UserError, match="settles in USD"):
        kafka_facts.require(kafka, SEAL, "USD", "fraud_v1")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_of_another_currency_ends_before_it_does_anything(
    deployment: Deployment, stage: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """However it was started: a worker that began before the facts were settled anew starts its stages again."""
    other = structs.replace(deployment.config, currency="USD")
    process = handover.start([sys.executable, "-m", "streams.workers.stage_process", str(os.getpid()), stage], other)
    assert process.wait(60) != 0
    (line,) = (line for line in capfd.readouterr().err.splitlines() if " says nothing about " not in line)
    assert f"{stage}: this command settles in USD, but the deployment on Kafka at {other.kafka} in EUR" in line
    groups = [found.group_id for found in KafkaClients.of(other).admin().list_consumer_groups().result(10).valid]
    assert other.group(stage) not in groups


def test_facts_settled_anew_count(kafka: KafkaClients) -> None:
    kafka_facts.settle(kafka, SEAL, "fraud_v2", "EUR")
    with pytest.raises(UserError, match=r"computes fraud_v1, but .* fraud_v2"):
        kafka_facts.require(kafka, SEAL, "EUR", "fraud_v1")
    kafka_facts.require(kafka, SEAL, "EUR", None)


def test_without_a_record_nobody_works(deployment: Deployment, kafka: KafkaClients) -> None:
    """As with the topics of 0.2.0, and with topics that somebody has made by hand."""
    admin = AdminClient({"bootstrap.servers": deployment.config.kafka})
    admin.delete_topics([DEPLOYMENT.name])[DEPLOYMENT.name].result(10)
    eventually(lambda: DEPLOYMENT.name not in admin.list_topics(timeout=10).topics, 30)
    with pytest.raises(UserError, match="run `tidemark up` once"):
        kafka_facts.require_of(deployment.config)
    assert DEPLOYMENT.name not in admin.list_topics(timeout=10).topics, "asking must not make it"

    def made() -> bool:
        create_missing(kafka)
        return DEPLOYMENT.name in admin.list_topics(timeout=10).topics

    eventually(made, 30)
    with pytest.raises(UserError, match="run `tidemark up` once"):
        kafka_facts.require_of(deployment.config)
    put(deployment, b"{")
    with pytest.raises(UserError, match="run `tidemark up` once"):
        kafka_facts.require_of(deployment.config)
