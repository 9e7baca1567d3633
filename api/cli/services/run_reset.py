"""``tidemark reset``: topics, groups, online store, key and archive of a deployment, each removed or moved aside, then made anew.

What may fail is looked at before anything is removed. From then on the home has a note of what is to be made again: whatever breaks off,
the same command goes on where it was, and nothing else works meanwhile.
"""

import os
import shutil
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import typer

from api import pending_reset
from api.answer_key import FILE_VARIABLE, VARIABLE, answer_key, is_from_environment, is_given, move_aside
from api.cli.services import run_up
from api.deployment import Facts
from api.offline_store import offline_store
from api.pending_reset import PendingReset
from api.settings import Settings
from features.errors import UserError
from features.offline.storage import Storage
from features.online import feast_store
from features.online.feast_store import OnlineStoreError
from infra.local import mlflow
from streams.audit.arrow_saved_audits import audits_folder
from streams.config import DeploymentConfig
from streams.control import kafka_facts
from streams.delivery import kafka_reset
from streams.kafka.admin import partition_counts
from streams.kafka.client import KafkaClients
from streams.kafka.groups import Groups
from streams.messages.seal import Seal
from streams.messages.topics import DEFAULT_PARTITIONS, TRANSACTIONS
from streams.workers.stages import STAGES

_GROUPS_S = 15.0


def run(keep_models: bool, yes: bool) -> None:
    """As ``tidemark reset`` promises."""
    if not keep_models:
        raise UserError(
            "reset leaves the models in the registry alone; add --keep-models if that is meant, or, to remove everything, `tidemark down` "
            "and then the folder TIDEMARK_HOME"
        )
    settings = Settings.resolve(require_services=True, may_be_away=(mlflow.SERVICE,), resetting=True)
    kafka, home, place = settings.require_kafka(), settings.home, offline_store(settings.home)
    config = DeploymentConfig(kafka=settings.kafka, redis=settings.redis, mlflow=settings.mlflow, feast_repo=str(settings.feast_repo))
    groups = [config.group(stage) for stage in STAGES]
    Groups(kafka, _GROUPS_S).require_nobody(groups)
    counts = partition_counts(kafka)
    present = kafka_reset.present(counts)
    pending = pending_reset.of(home)
    if pending is None:
        facts = _facts(kafka, home)
        _require_possible(settings, kafka, place)
        if not (yes or _agreed(kafka, place, present)):
            raise UserError("nothing was removed; type yes, or add --yes")
        stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        pending = PendingReset(facts.features, facts.currency, counts.get(TRANSACTIONS.name, DEFAULT_PARTITIONS), stamp)
        pending_reset.begin(home, pending)
    kafka_reset.remove(kafka, groups)
    typer.echo(f"removed {len(present)} topics, and the stages' groups, from Kafka at {kafka.servers}")
    feast_store.clear(settings.feast_repo)
    typer.echo("removed Tidemark's keys from the online store")
    if (former := move_aside(home, pending.stamp)) is not None:
        typer.echo(f"the former key is {former}")
    # They are of topics that are gone, by a key that is.
    shutil.rmtree(audits_folder(home), ignore_errors=True)
    if not place.is_remote and Path(place.url).exists():
        aside = Path(place.url).rename(f"{place.url}-{pending.stamp}")
        typer.echo(f"the former archive is {aside}; models can be trained on it with --store")
    run_up.bring_up_again(pending.partitions, pending.features, pending.currency)
    pending_reset.done(home)
    typer.echo("now replay what history you have (`tidemark replay`), then start workers and API again")


def _facts(kafka: KafkaClients, home: Path) -> Facts:
    """What the deployment computes and settles in, by its topics or else by its home. Raises UserError if the topics are another one's."""
    if not is_given(home):
        return Facts.resolve(home)
    seal = Seal(answer_key(home))
    known = kafka_facts.settled(kafka, seal)
    if known is not None:
        return Facts(known.features, known.currency)
    if not is_from_environment() and run_up.is_of_another_key(kafka, seal):
        raise UserError(
            f"nothing on the topics on Kafka at {kafka.servers} is sealed with this home's key: they are another deployment's; name yours "
            f"in TIDEMARK_KAFKA, or, if they are to go all the same, first move {home / 'answer.key'} away"
        )
    return Facts.resolve(home)


def _require_possible(settings: Settings, kafka: KafkaClients, place: Storage) -> None:
    """Raises UserError for what would end this halfway."""
    # A key of the environment has to be another one already: it keeps records of the former topics from counting in the new ones.
    if is_from_environment() and kafka_facts.is_known(kafka, Seal(answer_key(settings.home))):
        raise UserError(
            f"{VARIABLE} or {FILE_VARIABLE} still gives the key of the present topics; give another one, of at least 32 random characters, "
            "so that copies of their records don't count in the new ones"
        )
    try:
        feast_store.clock(settings.feast_repo)
    except OnlineStoreError as error:
        raise UserError(f"the online store doesn't answer ({error}), and what it knows has to go too; see `tidemark doctor`") from None
    _require_movable(place)


def _require_movable(place: Storage) -> None:
    if place.is_remote:
        from streams.archive.served.parquet_tables import ServedArchive

        if ServedArchive.exists(place):
            raise UserError(
                f"the archive at {place.url} is of the present topics and can't be moved from here; name another place in "
                "TIDEMARK_OFFLINE, run `tidemark up`, then this again"
            )
        return
    folder = Path(place.url)
    if folder.exists() and (folder.is_mount() or not os.access(folder.parent, os.W_OK)):
        raise UserError(
            f"the archive {folder} is of the present topics and can't be moved aside, as a mount or in a folder that isn't yours; name "
            "another place in TIDEMARK_OFFLINE, run `tidemark up`, then this again"
        )


def _agreed(kafka: KafkaClients, place: Storage, present: list[str]) -> bool:
    if not sys.stdin.isatty():
        return False
    typer.echo(
        f"This removes from Kafka at {kafka.servers}, with all that is on them: {', '.join(present) or 'no topics, for none is there'}. "
        f"What of it isn't archived at {place.url} is lost. Workers, API, producers and `tidemark archive` have to be stopped."
    )
    with suppress(typer.Abort):
        return bool(typer.prompt("Type yes to go on") == "yes")
    return False
