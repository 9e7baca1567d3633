"""One model as a folder that MLflow can log: ``model.ubj``, ``policy.json``, ``features.json`` and MLflow's own ``MLmodel``.

The digests of the three files are in the ``MLmodel``'s metadata; a folder whose files don't match them is refused. Nothing is pickled.
"""

import errno
import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from features.definitions import FEATURE_SETS, FeatureSet
from features.errors import UserError
from models.policy import Policy
from models.registry.record import Digests
from models.scoring import Scorer, feature_difference
from models.xgboost_import import xgb

MODEL_FILE, POLICY_FILE, FEATURES_FILE, MLMODEL_FILE = "model.ubj", "policy.json", "features.json", "MLmodel"
_TRAIN_ANEW = "train one anew with tidemark train"


class FeaturesFile(msgspec.Struct, frozen=True):
    """The content of ``features.json``: the feature set's name, its digest, and the names in vector order."""

    feature_set: str
    digest: str
    names: tuple[str, ...]


def write_folder(
    folder: Path,
    booster: xgb.Booster,
    policy: Policy,
    feature_set: FeatureSet,
    model_id: str,
    run_id: str,
    beside: Mapping[str, bytes] = MappingProxyType({}),
) -> Digests:
    """Write the folder, which must not exist yet, for the logged model ``model_id`` of a run; ``beside`` are more files, by name."""
    digests = Digests(hashlib.sha256(booster.save_raw("ubj")).hexdigest(), policy.digest, feature_set.digest)
    _save_flavor(folder, booster, digests, model_id, run_id)
    for name, content in beside.items():
        (folder / name).write_bytes(content)
    (folder / POLICY_FILE).write_bytes(policy.to_json())
    features = FeaturesFile(feature_set.name, feature_set.digest, feature_set.names)
    (folder / FEATURES_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(features), indent=2) + b"\n")
    return digests


def read_folder(folder: Path, name: str, version: str, registered: dict[str, str] | None = None) -> Scorer:
    """The scorer of a folder, to be called model ``name`` ``version``.

    ``registered`` are the tags of the registry's version, whose digests must match too. Raises UserError if a file is missing or altered,
    or its features are not those that this program computes.
    """
    title = f"model {name} {version}"
    return scorer_of(read_files(folder, title), name, version, _metadata(folder, title), registered)


def read_files(folder: Path, title: str) -> dict[str, bytes]:
    """What makes the model, by file. Raises UserError if a file is missing."""
    return {file: _read(folder / file, title) for file in (MODEL_FILE, POLICY_FILE, FEATURES_FILE)}


def scorer_of(contents: Mapping[str, bytes], name: str, version: str, *stated: Mapping[str, Any] | None) -> Scorer:
    """The scorer of these files, whose digests must be those ``stated`` anywhere. Raises as ``read_folder``."""
    title = f"model {name} {version}"
    try:
        policy = Policy.from_json(contents[POLICY_FILE])
        features = msgspec.json.decode(contents[FEATURES_FILE], type=FeaturesFile)
    except (ValueError, RecursionError) as error:
        raise UserError(f"the policy or the features of {title} can't be read ({error}); {_TRAIN_ANEW}") from None
    found = Digests(hashlib.sha256(contents[MODEL_FILE]).hexdigest(), policy.digest, features.digest).as_tags()
    for source in stated:
        if source is not None:
            _require_equal(found, source, title)
    _require_known(features, title)
    booster = xgb.Booster()
    booster.load_model(bytearray(contents[MODEL_FILE]))
    if difference := feature_difference(tuple(booster.feature_names or ()), features.names):
        raise UserError(f"the trees of {title} were grown on other features than its {FEATURES_FILE} names: {difference}; {_TRAIN_ANEW}")
    return Scorer(booster, policy, features.names, name, version, found["model_digest"], features.digest)


def _save_flavor(folder: Path, booster: xgb.Booster, digests: Digests, model_id: str, run_id: str) -> None:
    import mlflow.xgboost
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, Schema

    # What MLflow's own loaders check: every feature by name, none missing. The probability comes out as XGBoost's float.
    inputs = Schema([ColSpec("float", name) for name in booster.feature_names or ()])
    try:
        mlflow.xgboost.save_model(
            booster,
            str(folder),
            model_format="ubj",
            signature=ModelSignature(inputs, Schema([ColSpec("float")])),
            mlflow_model=Model(run_id=run_id, model_id=model_id),
            # Stated, for inferring them loads the model in another process.
            pip_requirements=[f"xgboost=={xgb.__version__}"],
            metadata=digests.as_tags(),
        )
    except xgb.core.XGBoostError as error:
        # XGBoost writes the file itself, and reports a full disk in its own way.
        raise OSError(errno.EIO, f"the trees can't be written to {folder}") from error


def _metadata(folder: Path, title: str) -> dict[str, Any]:
    from mlflow.models import Model

    _read(folder / MLMODEL_FILE, title)
    return dict(Model.load(str(folder)).metadata or {})


def _read(file: Path, title: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{title} has no readable {file.name} ({error.strerror}); give a model that tidemark train has made") from None


def _require_equal(found: dict[str, str], stated: Mapping[str, Any], title: str) -> None:
    for key, digest in found.items():
        if stated.get(key) != digest:
            part = key.removesuffix("_digest")
            was = str(stated.get(key))
            raise UserError(f"the {part} of {title} was altered after training: its digest is {digest[:12]}, not {was[:12]}; {_TRAIN_ANEW}")


def _require_known(features: FeaturesFile, title: str) -> None:
    known = FEATURE_SETS.get(features.feature_set)
    if known is None:
        raise UserError(f"{title} wants the feature set {features.feature_set}, which is none of {', '.join(FEATURE_SETS)}; {_TRAIN_ANEW}")
    if difference := feature_difference(features.names, known.names):
        raise UserError(f"{title} was trained on another {known.name}: {difference}; {_TRAIN_ANEW}")
    if features.digest != known.digest:
        raise UserError(f"{title} was trained on another {known.name} ({features.digest[:12]}, not {known.digest[:12]}); {_TRAIN_ANEW}")
