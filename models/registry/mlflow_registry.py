"""The model registry: what training logs, and what scoring loads.

Every function takes the tracking URI, of a server (http…) or of a plain SQLite file; MLflow's global state stays untouched.
"""

import contextlib
import re
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from features.definitions import FeatureSet
from features.errors import UserError
from models.registry import long_tags, mlflow_client
from models.registry.mlflow_folder import MLMODEL_FILE, read_files, read_folder, write_folder
from models.registry.mlflow_record import log_run
from models.registry.model_copy import ModelCopy, digests_of
from models.registry.record import MODEL_NAME, Registered, Role, TrainingRecord
from models.scoring import Scorer

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from models.learners.trained import Trained

EXPERIMENT = "tidemark"
CHAMPION, CHALLENGER, SHADOW = "champion", "challenger", "shadow"

_ROLE, _CONTENDER = "role", "contender"
_UNOPPOSED = "champion without the gate: there was none, so nothing to compare it with, and nothing served that could be audited"
# How long another version that wants the free alias is waited for before it is taken for dead.
_CONTENTION_S = 30.0
_LONGEST_DESCRIPTION = 4_500


def register(
    trained: "Trained",
    feature_set: FeatureSet,
    tracking_uri: str,
    tags: Mapping[str, str] | None = None,
    record: TrainingRecord | None = None,
) -> Registered:
    """Log the model in one run (parameters, metrics, ``tags``, ``record``) and make it a version of ``tidemark``.

    It becomes the champion if there is none, and gets the tag ``unopposed``; else it is tagged as a candidate; of trainers that finish
    at once, the one with the lowest version number becomes champion. The version is made last, of what is whole: if anything fails
    before, there is none.
    """
    client = mlflow_client.connect(tracking_uri)
    run_id = create_run(client, tracking_uri, f"train {feature_set.name}")
    try:
        registered = _log(client, run_id, trained, feature_set, dict(tags or {}), record)
    except BaseException:
        # What made it fail may make this fail too, and is the better news.
        with contextlib.suppress(Exception):
            client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id)
    return registered


def create_run(client: "MlflowClient", tracking_uri: str, name: str) -> str:
    """The id of a new run of our experiment, which is made if need be."""
    return str(client.create_run(_experiment(client, tracking_uri), run_name=name).info.run_id)


def load(uri: str, tracking_uri: str) -> Scorer:
    """The scorer at ``uri``: ``models:/tidemark@champion``, ``models:/tidemark/3``, ``runs:/<run id>/<name>`` or a folder.

    Raises UserError if there is none, its files were altered, or its features are not those that this program computes.
    """
    if match := re.fullmatch(r"models:/([^/@]+)(@|/)([^/@]+)", uri):
        return _load_version(_version(match[1], match[2] == "@", match[3], tracking_uri), tracking_uri)
    if uri.startswith("runs:/"):
        return _load_version(_version_of_run(uri, tracking_uri), tracking_uri)
    folder = Path(uri.removeprefix("file://"))
    if not (folder / MLMODEL_FILE).is_file():
        raise UserError(
            f"{uri} is no model; give models:/{MODEL_NAME}@{CHAMPION}, models:/{MODEL_NAME}/<version>, runs:/<run id> or a folder"
        )
    mlflow_client.quiet()
    return read_folder(folder, MODEL_NAME, "unregistered")


def fetch(version: str, tracking_uri: str) -> tuple[Scorer, ModelCopy]:
    """The scorer of a version, and a copy of it that serves without the registry. Raises as ``load``."""
    return _fetch(_version(MODEL_NAME, False, version, tracking_uri), tracking_uri)


def load_digest(model_digest: str, tracking_uri: str) -> Scorer:
    """The scorer whose decisions name this digest. Raises UserError if the registry has none."""
    for version in mlflow_client.connect(tracking_uri).search_model_versions(f"name = '{MODEL_NAME}'"):
        if version.tags.get("model_digest") == model_digest:
            return _load_version(version, tracking_uri)
    raise UserError(
        f"the registry at {tracking_uri} has no model of digest {model_digest[:12]}, by which decisions were made; restore its version"
    )


def champion_version(tracking_uri: str) -> str | None:
    """The version that the alias ``champion`` names, or None. One small query, fit to be polled."""
    from mlflow.exceptions import MlflowException

    try:
        return str(mlflow_client.connect(tracking_uri).get_model_version_by_alias(MODEL_NAME, CHAMPION).version)
    except MlflowException as error:
        if _is_absence(error):
            return None
        raise


def tags(version: str, tracking_uri: str) -> dict[str, str]:
    """The tags of a version, long ones whole. Raises UserError if there is no such version."""
    return long_tags.whole(_version(MODEL_NAME, False, version, tracking_uri).tags)


def run_tags(version: str, tracking_uri: str) -> dict[str, str]:
    """The tags of the run that has made a version. Raises UserError if there is no such version."""
    run_id = _version(MODEL_NAME, False, version, tracking_uri).run_id
    return dict(mlflow_client.connect(tracking_uri).get_run(run_id).data.tags) if run_id else {}


def tag(version: str, tags: Mapping[str, str], tracking_uri: str) -> None:
    """Add tags to a version, however long; ``tags`` reads them back. Raises UserError if there is no such version."""
    known = _version(MODEL_NAME, False, version, tracking_uri)
    client = mlflow_client.connect(tracking_uri)
    for name, value in long_tags.in_parts(tags).items():
        client.set_model_version_tag(MODEL_NAME, known.version, name, value)
    for name in long_tags.left_over(tags, known.tags):
        client.delete_model_version_tag(MODEL_NAME, known.version, name)


def version_tagged(name: str, value: str, tracking_uri: str) -> str | None:
    """The newest version that has this tag, None if there is none."""
    found = mlflow_client.connect(tracking_uri).search_model_versions(f"name = '{MODEL_NAME}' and tags.`{name}` = '{value}'")
    return max((str(version.version) for version in found), key=int, default=None)


def assign(version: str, alias: str, tracking_uri: str) -> None:
    """Let the alias (``challenger``, ``shadow``) name a version. Raises UserError if there is no such version."""
    known = _version(MODEL_NAME, False, version, tracking_uri)
    client = mlflow_client.connect(tracking_uri)
    client.set_registered_model_alias(MODEL_NAME, alias, known.version)
    if known.tags.get(_ROLE) != CHAMPION:
        client.set_model_version_tag(MODEL_NAME, known.version, _ROLE, alias)


def promote(version: str, tracking_uri: str) -> None:
    """Make a version the champion; workers and API follow within seconds. Raises UserError if there is no such version."""
    known = _version(MODEL_NAME, False, version, tracking_uri)
    former = champion_version(tracking_uri)
    client = mlflow_client.connect(tracking_uri)
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, known.version)
    if former is not None:
        client.set_model_version_tag(MODEL_NAME, former, _ROLE, "candidate")
    client.set_model_version_tag(MODEL_NAME, known.version, _ROLE, "champion")


def ensure_registered_model(client: "MlflowClient") -> None:
    """Make the registered model that versions, roles and audits belong to, if there is none."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(MODEL_NAME, description="Fraud probability of a card transaction; trained by tidemark train.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _log(
    client: "MlflowClient", run_id: str, trained: "Trained", feature_set: FeatureSet, tags: dict[str, str], record: TrainingRecord | None
) -> Registered:
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus

    log_run(client, run_id, trained.metrics, trained.parameters, tags, record)
    experiment_id = client.get_run(run_id).info.experiment_id
    logged = client.create_logged_model(experiment_id, name=MODEL_NAME, source_run_id=run_id, tags=tags, model_type="xgboost")
    with tempfile.TemporaryDirectory(prefix="tidemark-model-") as scratch:
        folder = Path(scratch) / "model"
        beside = record.beside_the_model() if record else {}
        digests = write_folder(folder, trained.booster, trained.policy, feature_set, logged.model_id, run_id, beside)
        client.log_model_artifacts(logged.model_id, str(folder))
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, 0)])
    own = {**digests.as_tags(), "feature_set": feature_set.name, **(record.tags() if record else {}), **tags}
    for name, value in own.items():
        client.set_tag(run_id, name, value)
    ensure_registered_model(client)
    own[_ROLE] = _CONTENDER
    card = record.card[:_LONGEST_DESCRIPTION] if record else None
    version = client.create_model_version(
        MODEL_NAME, logged.artifact_location, run_id, tags=own, model_id=logged.model_id, description=card
    )
    try:
        role = _settle_role(client, int(version.version))
    except BaseException:
        # Where a failure was reported, there must be no version.
        with contextlib.suppress(Exception):
            client.delete_model_version(MODEL_NAME, str(version.version))
        raise
    return Registered(str(version.version), role, run_id, digests)


def _settle_role(client: "MlflowClient", version: int) -> Role:
    """Champion if the alias is free and no contender came before, else candidate.

    The registry can't set an alias only if it is free. But it numbers versions in order, and each is a contender from its birth until its
    role is settled, so the one that sees no lower contender, and then no champion, is alone entitled. A contender that died is waited
    for only so long.
    """
    deadline = time.monotonic() + _CONTENTION_S
    while _is_contended(client, version) and time.monotonic() < deadline:
        time.sleep(0.1)
    # Looked at last: a lower contender sets the alias before it stops contending.
    role: Role = "candidate" if CHAMPION in client.get_registered_model(MODEL_NAME).aliases else "champion"
    if role == "champion":
        client.set_model_version_tag(MODEL_NAME, str(version), "unopposed", _UNOPPOSED)
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, str(version))
    client.set_model_version_tag(MODEL_NAME, str(version), _ROLE, role)
    return role


def _is_contended(client: "MlflowClient", version: int) -> bool:
    if CHAMPION in client.get_registered_model(MODEL_NAME).aliases:
        return False
    others = client.search_model_versions(f"name = '{MODEL_NAME}'")
    return any(int(other.version) < version and other.tags.get(_ROLE) == _CONTENDER for other in others)


def _load_version(version: "ModelVersion", tracking_uri: str) -> Scorer:
    return _fetch(version, tracking_uri)[0]


def _fetch(version: "ModelVersion", tracking_uri: str) -> tuple[Scorer, ModelCopy]:
    from mlflow.artifacts import download_artifacts

    source = mlflow_client.connect(tracking_uri).get_model_version_download_uri(version.name, version.version)
    with tempfile.TemporaryDirectory(prefix="tidemark-model-") as scratch:
        folder = Path(download_artifacts(source, dst_path=scratch, tracking_uri=tracking_uri))
        name, number, tags = version.name, str(version.version), dict(version.tags)
        scorer = read_folder(folder, name, number, tags)
        return scorer, ModelCopy(name, number, digests_of(tags), read_files(folder, f"model {name} {number}"))


def _version(name: str, is_alias: bool, which: str, tracking_uri: str) -> "ModelVersion":
    from mlflow.exceptions import MlflowException

    client = mlflow_client.connect(tracking_uri)
    try:
        return client.get_model_version_by_alias(name, which) if is_alias else client.get_model_version(name, which)
    except MlflowException as error:
        if not _is_absence(error):
            raise
        wanted = which if is_alias else f"version {which}"
        raise UserError(f"the registry at {tracking_uri} has no {wanted} of {name}; train one with tidemark train") from None


def _version_of_run(uri: str, tracking_uri: str) -> "ModelVersion":
    if run := re.fullmatch(r"runs:/([0-9a-f]{32})(/.*)?", uri):
        versions = mlflow_client.connect(tracking_uri).search_model_versions(f"run_id = '{run[1]}'")
        if versions:
            return versions[0]
    raise UserError(f"no model was registered by {uri} at {tracking_uri}; give a run that tidemark train has made")


def _is_absence(error: Exception) -> bool:
    # A missing alias is, of all things, an invalid parameter value to MLflow.
    return getattr(error, "error_code", "") in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


def _experiment(client: "MlflowClient", tracking_uri: str) -> str:
    from mlflow.exceptions import MlflowException

    known = client.get_experiment_by_name(EXPERIMENT)
    if known is not None:
        return str(known.experiment_id)
    try:
        return client.create_experiment(EXPERIMENT, artifact_location=mlflow_client.artifact_location(tracking_uri, EXPERIMENT))
    except MlflowException:
        made_meanwhile = client.get_experiment_by_name(EXPERIMENT)
        if made_meanwhile is None:
            raise
        return str(made_meanwhile.experiment_id)
