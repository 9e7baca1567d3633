"""What `tidemark up` settles for good: feature set, currency, offline store and security of Kafka."""

import os
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path

from api import offline_store as offline
from api.deployment import Facts, record, recorded_facts, variable
from api.settings import SECURITY_VARIABLE
from features.errors import UserError
from infra.local import services


def settle(home: Path, features: str | None, currency: str | None, has_data: Callable[[], bool]) -> Facts:
    """Records the facts that `tidemark up` was given, or had been before; returns them.

    ``has_data`` says whether the deployment has taken transactions: then what is recorded stays. A deployment that has data but has
    recorded nothing, as one from before 0.2.0, records something only once it is given. Raises UserError if a fact would have to change.
    """
    recorded, facts = recorded_facts(home), Facts.resolve(home, features, currency)
    changed = [name for name, before in recorded.items() if getattr(facts, name) != before]
    if changed and has_data():
        raise UserError(_refusal(home, changed[0], recorded[changed[0]], getattr(facts, changed[0])))
    given = features or currency or any(os.environ.get(variable(field.name)) for field in fields(Facts))
    if recorded != asdict(facts) and (given or not has_data()):
        record(home, facts)
    if os.environ.get(offline.VARIABLE):
        services.record(home, offline=offline.offline_store(home).url)
    if os.environ.get(SECURITY_VARIABLE):
        services.record(home, kafka_security=str(Path(os.environ[SECURITY_VARIABLE]).expanduser().resolve()))
    return facts


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
