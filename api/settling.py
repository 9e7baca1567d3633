"""What `tidemark up` settles for good: feature set, currency, offline store and security of Kafka."""

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from api import offline_store as offline
from api.deployment import Facts, record, recorded_facts, recorded_revision, variable
from api.settings import SECURITY_VARIABLE
from features.errors import UserError
from infra.local import deployment_file, services


@dataclass(frozen=True)
class Record:
    """What stands with the topics of a deployment: the ``known`` facts by name, {} if there are none, and their ``revision``, whether it
    ``has_data``, that is has taken transactions, and how to ``settle`` other facts there, as a revision above one; it returns which."""

    known: Mapping[str, str]
    revision: int
    has_data: Callable[[], bool]
    settle: Callable[[Facts, int], int]


def settle(home: Path, features: str | None, currency: str | None, topics: Record) -> Facts:
    """Records the facts that `tidemark up` was given, or had been before, in the home and with the topics; returns them.

    What stands with the topics counts before what stands in the home, unless the home has seen a later revision, and stays once there is
    data. A deployment that has data but has recorded nothing, as one from before 0.2.0, records something only once it is given. Raises
    UserError if a fact would have to change, or if home and topics differ and nothing says which is right.
    """
    recorded, facts = recorded_facts(home), Facts.resolve(home, features, currency)
    seen = recorded_revision(home)
    # A former record that somebody has sent again says nothing.
    known = topics.known if topics.revision >= seen else {}
    options = {"features": features, "currency": currency}
    given = {name: bool(option or os.environ.get(variable(name))) for name, option in options.items()}
    kept = {name: value for name, value in known.items() if not given[name]}
    for name, value in kept.items():
        if recorded.get(name, value) != value:
            raise UserError(_contradiction(home, name, recorded[name], value))
    facts = replace(facts, **kept)
    before = known or recorded
    changed = [name for name, former in before.items() if getattr(facts, name) != former]
    if changed and topics.has_data():
        raise UserError(_refusal(home, changed[0], before[changed[0]], getattr(facts, changed[0])))
    if before or any(given.values()) or not topics.has_data():
        revision = topics.revision if known == asdict(facts) else topics.settle(facts, seen)
        if recorded != asdict(facts) or revision != seen:
            record(home, facts, revision)
    if os.environ.get(offline.VARIABLE):
        services.record(home, offline=offline.offline_store(home).url)
    if os.environ.get(SECURITY_VARIABLE):
        services.record(home, kafka_security=str(Path(os.environ[SECURITY_VARIABLE]).expanduser().resolve()))
    return facts


def _contradiction(home: Path, name: str, here: str, there: str) -> str:
    return (
        f"{name} is {here} in {deployment_file.path(home)}, but {there} for the deployment whose topics are in this Kafka; run "
        f"`tidemark up --{name} {there}` to work on that one, or name another Kafka in TIDEMARK_KAFKA"
    )


def _refusal(home: Path, name: str, before: str, now: str) -> str:
    if name == "features":
        return (
            f"this deployment computes {before} and has states of it in Kafka; stop its workers and build those of {now} with "
            f"`tidemark rebuild-state --features {now}`, or go on with {before}"
        )
    return (
        f"this deployment settles in {before} and has transactions in it in Kafka; go on with {before}, or give the one in {now} a "
        f"TIDEMARK_HOME, and a Kafka, of its own (this one's is {home})"
    )
