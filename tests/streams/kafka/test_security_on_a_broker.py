"""Each kind of client against a real broker that wants SASL, TLS or both; what is wrong is one sentence, soon."""

import asyncio
import time
import uuid
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaConsumer

from features.errors import UserError
from infra.local import kafka as broker
from streams.kafka.admin import create_missing, partition_count
from streams.kafka.client import KafkaClients
from streams.kafka.groups import Groups
from streams.kafka.log import KafkaLog
from streams.kafka.producer import StageProducer
from streams.kafka.reader import Fetching, PartitionReader
from streams.messages.topics import USER_RISK
from tests.run.deployment import eventually
from tests.run.secured_kafka import SecuredKafka, secured

WAYS = [("SASL_PLAINTEXT", "PLAIN"), ("SASL_PLAINTEXT", "SCRAM-SHA-512"), ("SASL_SSL", "PLAIN"), ("SASL_SSL", "SCRAM-SHA-512"), ("SSL", "")]
SOON_S = 10


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    with secured(tmp_path_factory.mktemp("secured") / "home") as kafka:
        yield kafka


@pytest.mark.parametrize(("protocol", "mechanism"), WAYS)
def test_every_client_is_taken(kafka: SecuredKafka, protocol: str, mechanism: str) -> None:
    clients = kafka.clients(protocol, mechanism)
    create_missing(clients)
    assert partition_count(clients, USER_RISK.name) == 4
    assert Groups(clients).members("nobody's") == 0
    mark = uuid.uuid4().bytes
    producer = StageProducer(clients, transactional_id=f"test-{uuid.uuid4()}")
    producer.fence()
    producer.begin()
    producer.send(USER_RISK.name, mark, b"key", partition=0)
    producer.commit()
    producer.close()
    log = KafkaLog(clients, "test")

    def read() -> bool:
        # A transaction's marker is written soon after its commit has been acknowledged.
        found = log.read(USER_RISK.name, 0, *log.bounds(USER_RISK.name, 0))
        return mark in [record.value for records in found for record in records]

    eventually(read, 20, "the committed record")
    begin, _ = log.bounds(USER_RISK.name, 0)
    log.close()
    reader = PartitionReader(clients, "test", USER_RISK.name, Fetching(0.01, 1_000))
    deadline, found = time.monotonic() + 20, []
    while mark not in found and time.monotonic() < deadline:
        found += [record.value for records in reader.read({0: begin}, 1.0, lambda: None).values() for record in records]
    reader.close()
    assert mark in found
    assert mark in asyncio.run(read_by_aiokafka(clients))


async def read_by_aiokafka(clients: KafkaClients) -> list[bytes | None]:
    consumer = AIOKafkaConsumer(USER_RISK.name, **clients.aiokafka_options(), group_id=f"test-{uuid.uuid4()}", auto_offset_reset="earliest")
    await consumer.start()
    try:
        found: list[bytes | None] = []
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            read = [record.value for records in (await consumer.getmany(timeout_ms=1_000)).values() for record in records]
            if found and not read:
                break
            found += read
        return found
    finally:
        await consumer.stop()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_wrong_password_is_one_sentence_and_soon(kafka: SecuredKafka, mechanism: str, capfd: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    with pytest.raises(
        UserError, match=r"refused the user or its password .*; correct sasl.username and sasl.password in the file"
    ) as raised:
        partition_count(kafka.clients("SASL_PLAINTEXT", mechanism, "wrong-one"), USER_RISK.name)
    assert time.monotonic() - began < SOON_S
    assert "wrong-one" not in str(raised.value)
    assert capfd.readouterr().err == ""


def test_an_authority_that_did_not_sign_the_broker_is_one_sentence(kafka: SecuredKafka) -> None:
    security = {**kafka.security("SASL_SSL"), "ssl.ca.location": str(kafka.folder / "client.pem")}
    with pytest.raises(UserError, match="can't agree on TLS"):
        partition_count(KafkaClients(kafka.addresses["SASL_SSL"], security), USER_RISK.name)


def test_a_client_without_a_certificate_is_refused_where_one_is_wanted(kafka: SecuredKafka) -> None:
    security = {name: value for name, value in kafka.security("SSL").items() if name in ("security.protocol", "ssl.ca.location")}
    with pytest.raises(UserError, match="Kafka at "):
        partition_count(KafkaClients(kafka.addresses["SSL"], security), USER_RISK.name)


def test_the_plain_probe_does_not_take_a_secured_listener_for_a_broker_that_answers(kafka: SecuredKafka) -> None:
    assert broker.answers(kafka.deployment.config.kafka, 5.0)
    assert not broker.answers(kafka.addresses["SASL_PLAINTEXT"], 5.0)
    assert not broker.answers(kafka.addresses["SASL_SSL"], 5.0)
