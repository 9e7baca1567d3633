"""``tidemark rebuild-online`` and ``tidemark rebuild-state``: states written again, to the online store or for other features."""

import os
import time
from collections.abc import Sequence
from dataclasses import replace

import typer

from api.cli.kafka_failures import kafka_failures_in_words
from api.deployment import record, recorded_revision, variable
from api.settings import Settings
from features.errors import UserError
from features.online.feast_store import OnlineStoreError, OnlineWriter, forget
from streams.config import PROJECTING, DeploymentConfig
from streams.control import kafka_facts
from streams.delivery.kafka_rebuild import rebuild
from streams.kafka.admin import partition_count
from streams.kafka.client import KafkaClients
from streams.kafka.groups import Groups
from streams.kafka.log import KafkaLog
from streams.messages.seal import Seal
from streams.workers.stages import STAGES

_LOOK_EVERY_S = 0.5


def run_online(timeout: float) -> None:
    """As ``tidemark rebuild-online`` promises."""
    config = Settings.resolve(require_services=True).agreed_config()
    with kafka_failures_in_words(config.kafka):
        _run_online(config, timeout)


def _run_online(config: DeploymentConfig, timeout: float) -> None:
    def with_records(stage: str) -> set[int]:
        """The partitions of which a worker has processed anything."""
        kafka, topic = KafkaClients.of(config), STAGES[stage].topic.name
        partitions = range(partition_count(kafka, topic))
        log = KafkaLog(kafka, config.group(stage))
        try:
            return {number for number in partitions if (log.committed(topic, number) or 0) > log.bounds(topic, number)[0]}
        finally:
            log.close()

    wanted = {stage: with_records(stage) for stage in PROJECTING}
    _require_writers([config.group(stage) for stage, numbers in wanted.items() if numbers], KafkaClients.of(config))
    writers = {stage: OnlineWriter(config.feast_path, config.application, stage, config.feature_set.digest) for stage in wanted}
    try:
        forget(config.feast_path)
        deadline, left = time.monotonic() + timeout, wanted
        while left := {stage: missing for stage, numbers in left.items() if (missing := numbers - set(writers[stage].projected()))}:
            if time.monotonic() > deadline:
                which = ", ".join(f"{STAGES[stage].topic.name} {sorted(numbers)}" for stage, numbers in left.items())
                raise UserError(f"not written again within {timeout:.0f} s: partitions of {which}; see whether a tidemark worker runs")
            time.sleep(_LOOK_EVERY_S)
    except OnlineStoreError as error:
        raise UserError(str(error)) from error
    finally:
        for writer in writers.values():
            writer.close()
    typer.echo(f"every key of {sum(map(len, wanted.values()))} partitions is written again")


def _require_writers(groups: Sequence[str], kafka: KafkaClients) -> None:
    """Raises UserError if any of the groups that would write states again has no member, before anything is forgotten."""
    found = Groups(kafka)
    if idle := [group for group in groups if found.members(group) <= len(found.strangers(group, kafka.client_id))]:
        raise UserError(
            f"nobody would write {' and '.join(idle)}'s part again: the stages of a worker do that; start `tidemark worker`, then "
            "give this command again"
        )


def run_state(features: str) -> None:
    """As ``tidemark rebuild-state`` promises."""
    settings = Settings.resolve(require_services=True)
    config = settings.agreed_config(features)
    rebuild(config, typer.echo)
    after = recorded_revision(settings.home)
    revision = kafka_facts.settle(KafkaClients.of(config), Seal(config.answer_key), features, config.currency, after)
    record(settings.home, replace(settings.facts, features=features), revision)
    typer.echo(f"states of {features} are built, and it is this deployment's feature set now; start the workers and the API again")
    overriding = os.environ.get(variable("features"), features)
    if overriding not in ("", features):
        typer.echo(f"note: {variable('features')}={overriding} counts before that; unset it, or set it to {features}", err=True)
