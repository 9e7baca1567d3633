"""``tidemark up``: services, topics and Feast repository, and the facts of the deployment."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import typer

from api import pending_reset
from api.answer_key import answer_key, ensure, is_given
from api.deployment import Facts, recorded_facts
from api.offline_store import offline_store
from api.outside_kafka import ASKING
from api.settings import kafka_security
from api.settling import Record, settle
from features.errors import START_OVER, UserError, redacted
from features.online import feast_repo_writer
from infra.local import jars, services
from streams.control import kafka_facts
from streams.kafka.admin import create_missing, partition_count
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.messages.seal import Seal
from streams.messages.topics import BY_MERCHANT, DEFAULT_PARTITIONS, TRANSACTIONS, Topic


def run(partitions: int | None, features: str | None, currency: str | None, monitoring: bool = False) -> None:
    """As ``tidemark up`` promises."""
    home = services.home_from_environment()
    Facts.resolve(home, features, currency)  # before anything starts
    if pending_reset.of(home) is not None:
        # Which needs them up.
        services.up(home, report=lambda line: typer.echo(redacted(line)), asking=ASKING)
        pending_reset.require_none(home)
    kafka = _bring_up(home, partitions or DEFAULT_PARTITIONS)
    there = partition_count(kafka, TRANSACTIONS.name)
    if partitions is not None and partitions != there:
        typer.echo(f"note: the topics have {there} partitions already, --partitions {partitions} is ignored", err=True)
    facts = settle(home, features, currency, _record(kafka, home))
    typer.echo(f"feature set {facts.features}, currency {facts.currency}")
    if not recorded_facts(home):
        typer.echo(
            "its transactions came before either was recorded in this home or with the topics; no worker runs until you have run "
            "`tidemark up` once with the --features and --currency that its workers had, by default "
            f"--features {facts.features} --currency {facts.currency}",
            err=True,
        )
    if monitoring:
        for lacking in services.watch(home, typer.echo):
            typer.echo(f"note: {lacking}", err=True)


def bring_up_again(partitions: int, features: str, currency: str) -> None:
    """Makes the topics of a deployment whose own are gone, and settles what it was."""
    home = services.home_from_environment()
    facts = settle(home, features, currency, _record(_bring_up(home, partitions), home))
    typer.echo(f"feature set {facts.features}, currency {facts.currency}")


def is_of_another_key(kafka: KafkaClients, seal: Seal) -> bool:
    """Whether the topics have records of a deployment's processes, and none is sealed with this key."""
    return _has_records(kafka, BY_MERCHANT) and not kafka_facts.is_known(kafka, seal)


def _record(kafka: KafkaClients, home: Path) -> Record:
    """A home without a key gets one only where something is settled: one that is refused is left as it was."""
    seal = Seal(answer_key(home) if is_given(home) else "")
    known = kafka_facts.settled(kafka, seal)
    if known is None and is_of_another_key(kafka, seal):
        raise UserError(
            f"nothing on the topics on Kafka at {kafka.servers} is sealed with this home's key: they are those of a Tidemark before 0.3.0, "
            "or of a deployment with another key. Name that key's file in TIDEMARK_ANSWER_KEY_FILE, or another Kafka in TIDEMARK_KAFKA; "
            f"where there is no such key, {START_OVER} (an archive is read as before)"
        )
    return Record(
        {} if known is None else {"features": known.features, "currency": known.currency},
        0 if known is None else known.revision,
        lambda: _has_records(kafka, TRANSACTIONS),
        lambda facts, after: kafka_facts.settle(kafka, Seal(ensure(home)), facts.features, facts.currency, after),
    )


def _bring_up(home: Path, partitions: int) -> KafkaClients:
    """Services, topics and Feast repository, all ready for use when it returns what builds clients of Kafka. What is there already is left
    alone.

    Raises ServiceError or UserError.
    """
    offline = offline_store(home)
    # The jars are fetched by the first command that needs them.
    class_path = f"{jars.SPARK.folder()}/*" if offline.is_remote else ""

    def write_repository(endpoints: services.Endpoints) -> None:
        feast_repo_writer.write(endpoints.feast_repo, endpoints.redis, offline, class_path)

    with ThreadPoolExecutor(1) as meanwhile:
        written: list[Future[None]] = []
        endpoints = services.up(
            home,
            report=lambda line: typer.echo(redacted(line)),
            # Feast takes as long to import as the services take to come up.
            started=lambda early: written.append(meanwhile.submit(write_repository, early)),
            asking=ASKING,
        )
        kafka = KafkaClients(endpoints.kafka, kafka_security(home))
        create_missing(kafka, partitions)
        for writing in written:
            writing.result()
    write_repository(endpoints)  # in case Redis' port had to change; else it is there already
    return kafka


def _has_records(kafka: KafkaClients, topic: Topic) -> bool:
    """Whether any was ever sent, even if retention has removed it."""
    log = KafkaLog(kafka, "tidemark-up")
    try:
        return any(log.bounds(topic.name, number)[1] > 0 for number in range(partition_count(kafka, topic.name)))
    finally:
        log.close()
