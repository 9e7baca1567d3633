"""What is true of a deployment as a whole, its feature set and its currency, as every command reads it."""

import os
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from features.definitions import FEATURE_SETS, FeatureSet
from features.errors import UserError
from infra.local import deployment_file, services

_REVISION = "facts_revision"


@dataclass(frozen=True)
class Facts:
    """``features`` names the feature set that workers compute, ``currency`` is the one settlement currency (ISO 4217).

    The defaults are those of a deployment from before 0.2.0, which has recorded neither.
    """

    features: str = "fraud_v1"
    currency: str = "EUR"

    @classmethod
    def resolve(cls, home: Path, features: str | None = None, currency: str | None = None) -> "Facts":
        """Each fact as given here (by an option), else TIDEMARK_FEATURES and TIDEMARK_CURRENCY, else as recorded in the home, else the
        default. Raises UserError, which says where it stands, for what can't be one; ServiceError if the home's file can't be used.
        """
        recorded = recorded_facts(home)
        found = {}
        for name, option in (("features", features), ("currency", currency)):
            if option is not None:
                value, source = option, f"--{name} {option}"
            elif value := os.environ.get(variable(name), ""):
                source = f"{variable(name)}={value}"
            elif name in recorded:
                value, source = recorded[name], f"{name} = {recorded[name]!r} in {deployment_file.path(home)}"
            else:
                continue
            found[name] = _checked(name, value, source)
        return cls(**found)


def variable(fact: str) -> str:
    """The environment variable that counts before what is recorded."""
    return f"TIDEMARK_{fact.upper()}"


def recorded_facts(home: Path) -> dict[str, str]:
    """What the home's file says of the facts, by name; {} if it says nothing. Raises UserError if it names one without the other."""
    content = deployment_file.read(home)
    names = [field.name for field in fields(Facts)]
    recorded = {name: content[name] for name in names if name in content}
    if len(recorded) == 1:
        (missing,) = set(names) - recorded.keys()
        example = getattr(Facts(), missing)
        raise UserError(f'{deployment_file.path(home)} names no {missing}; add a line such as {missing} = "{example}"')
    return recorded


def recorded_revision(home: Path) -> int:
    """The highest revision of the facts that the home has seen with the topics, 0 if none."""
    found = deployment_file.read(home).get(_REVISION, "")
    return int(found) if isinstance(found, str) and found.isdecimal() else 0


def record(home: Path, facts: Facts, revision: int) -> None:
    """Makes these the deployment's facts, as they are on record with its topics in that revision."""
    services.record(home, **asdict(facts), **{_REVISION: str(revision)})


def settlement_currency() -> str:
    """That of the deployment whose home the environment names. Raises UserError for what can't be one."""
    return Facts.resolve(services.home_from_environment()).currency


def feature_set_of(option: str | None) -> FeatureSet:
    """The feature set of ``--features``, else the deployment's. Raises as ``Facts.resolve``."""
    return FEATURE_SETS[Facts.resolve(services.home_from_environment(), option).features]


def _checked(name: str, value: str, source: str) -> str:
    if name == "features" and value not in FEATURE_SETS:
        raise UserError(f"{source} is not a feature set; use one of {', '.join(FEATURE_SETS)}")
    if name == "currency" and not re.fullmatch("[A-Z]{3}", value):
        capitals = (
            f"write it in capitals, {value.upper()}" if re.fullmatch("[A-Za-z]{3}", value) else "use its three capital letters, such as EUR"
        )
        raise UserError(f"{source} is not a currency; {capitals} (ISO 4217)")
    return value
