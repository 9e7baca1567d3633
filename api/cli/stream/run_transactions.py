"""``tidemark transactions``: what open transactions of others hold back, and their end."""

import typer

from api.cli.kafka_failures import kafka_failures_in_words
from api.settings import Settings
from streams.health import kafka_held_back
from streams.health.findings import HeldBack, of_held_back
from streams.kafka.admin import partition_counts
from streams.kafka.client import KafkaClients
from streams.messages.topics import TOPICS


def run_list() -> None:
    """As ``tidemark transactions list`` promises."""
    held = _held(Settings.resolve(require_services=False).require_kafka())
    for one in held:
        found = of_held_back(one)
        typer.echo(f"{found.detail}; {found.fix}")
    if held:
        raise typer.Exit(1)
    typer.echo("no transaction holds anything back")


def run_abort(transactional_id: str) -> None:
    """As ``tidemark transactions abort`` promises."""
    kafka = Settings.resolve(require_services=False).require_kafka()
    kafka_held_back.abort(kafka, transactional_id, _held(kafka))
    typer.echo(f"the transaction of {transactional_id} is aborted")


def _held(kafka: KafkaClients) -> list[HeldBack]:
    counts = partition_counts(kafka)
    with kafka_failures_in_words(kafka.servers):
        return kafka_held_back.held_back(kafka, [(topic.name, number) for topic in TOPICS for number in range(counts.get(topic.name, 0))])
