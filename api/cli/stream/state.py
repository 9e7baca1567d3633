"""``tidemark rebuild-online`` and ``tidemark backfill-state``: states written anew, to the online store or for other features."""

import time
from typing import Annotated

import typer

_LOOK_EVERY_S = 0.5


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(rebuild_online)
    app.command()(backfill_state)


def rebuild_online(
    features: Annotated[str, typer.Option(help="The feature set that the workers compute.")] = "fraud_v1",
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait until all is written.")] = 300.0,
) -> None:
    """Have the running workers write every key to the online store again, for example after somebody has changed it by hand.

    Reads go on meanwhile. Workers notice by themselves when Redis was restarted, wiped or restored; then this is not needed.
    """
    from api.settings import Settings
    from features.errors import UserError
    from features.online.feast_store import OnlineStoreError, OnlineWriter, forget
    from streams.config import INGEST, PROFILES, SCORE
    from streams.kafka.admin import partition_count
    from streams.kafka.client import KafkaClients
    from streams.kafka.log import KafkaLog
    from streams.workers.stages import STAGES

    config = Settings.resolve(require_services=True).stream_config(features)

    def with_records(stage: str) -> set[int]:
        """The partitions of which a worker has processed anything."""
        log, topic = KafkaLog(KafkaClients.of(config), config.group(stage)), STAGES[stage].topic.name
        try:
            partitions = range(partition_count(KafkaClients.of(config), topic))
            return {number for number in partitions if (log.committed(topic, number) or 0) > log.bounds(topic, number)[0]}
        finally:
            log.close()

    wanted = {stage: with_records(stage) for stage in (INGEST, SCORE, PROFILES)}
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


def backfill_state(
    features: Annotated[str, typer.Option(help="The feature set that workers are to compute from now on.")],
    currency: Annotated[str, typer.Option(help="The deployment's settlement currency, ISO 4217.")] = "EUR",
) -> None:
    """Build the states of another feature set from the logs, beside the present ones; no worker may run meanwhile.

    Then start all workers, and the API, with --features, once a model that was trained on it is champion.
    """
    from api.settings import Settings
    from streams.delivery.kafka_rebuild import backfill

    backfill(Settings.resolve(require_services=True).stream_config(features, currency), typer.echo)
    typer.echo(f"states of {features} are built; start the workers with --features {features}")
