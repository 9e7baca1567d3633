"""A model's folder, and what the registry keeps of it."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import xgboost as xgb
from mlflow.models import Model

from models.costs import Costs
from models.evaluation.judgement import Evaluation, evaluate
from models.evaluation.scored_rows import KnownFrauds
from models.learners.trained import Trained
from models.monitoring.reference import Reference, reference
from models.policy import Policy, ThresholdChoice
from models.promotion import mlflow_audits
from models.promotion.mlflow_audits import AuditVerdict
from models.registry import mlflow_client, mlflow_registry
from models.registry.mlflow_folder import read_folder, write_folder
from models.registry.record import MODEL_NAME, TrainingRecord
from models.scoring import Scorer
from models.training_set.snapshot import DataSnapshot, Provenance
from tests.made.models import rows
from tests.made.scored_rows import scored
from tests.upgrade.given import FEATURE_SET, START
from tests.upgrade.golden import HERE, exact, versions

FOLDER = "model"
AUDIT = AuditVerdict(True, 12, 0, "2026-01-01T00:00:00+00:00")
# Longer than MLflow takes in one tag.
LONG = "sentence. " * 491
POLICY = Policy(
    review_threshold=0.25,
    block_threshold=0.75,
    elevated_threshold=0.125,
    highest_threshold=0.5,
    chosen=ThresholdChoice(
        capacity=0.005,
        block_share=0.001,
        block_precision=0.0,
        rows=1_000,
        frauds=20,
        fraud_amount=123_456,
        reviewed=4,
        blocked=1,
        blocked_frauds=1,
        caught=3,
        caught_amount=9_999,
        costs=Costs(),
        saved=777,
    ),
)


def record() -> TrainingRecord:
    """A whole record of a training, its pictures left out."""
    few = scored(600)
    known = KnownFrauds.of(few.event_time, few.user, few.is_fraud, 7 * 86_400_000)
    vectors = rows(200, feature_set=FEATURE_SET)[:, :4]
    drift = reference(FEATURE_SET.names[:4], vectors, START + np.arange(200) * 3_600_000, few.probability, few.event_time)
    return TrainingRecord(
        DataSnapshot(("file.csv",), 600, START, START + 1, "a" * 64),
        Provenance("ada", "2026-01-01T00:00:00+00:00", "c0de", "tidemark train"),
        evaluate(few, POLICY, Costs(), known, resamples=0),
        drift,
        "# A card\n",
    )


def files() -> dict[str, object]:
    """What this program writes, by file, but for the folder itself, which names a moment and an id."""
    return {
        "model.json": {
            "policy.json": POLICY.to_json().decode(),
            "policy_digest": POLICY.digest,
            "beside_the_run": {name: content.decode() for name, content in record().beside_the_run().items()},
            "audit": asdict(AUDIT),
        }
    }


def registry(scorer: Scorer, folder: Path) -> dict[str, object]:
    """The tags by which a registry, made in the folder, knows this model as its champion with an audit."""
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    trained = Trained(scorer.booster, POLICY, {"max_depth": 3}, {"validation_auc": 0.9})
    version = mlflow_registry.register(trained, FEATURE_SET, uri, {"trained_to": str(START)}, record()).version
    mlflow_registry.tag(version, {"report": LONG}, uri)
    mlflow_audits.record(FEATURE_SET.digest, AUDIT, uri)
    client = mlflow_client.connect(uri)
    return {
        "model_tags": dict(sorted(client.get_registered_model(MODEL_NAME).tags.items())),
        "version_tags": dict(sorted(client.get_model_version(MODEL_NAME, version).tags.items())),
    }


def write(folder: Path) -> None:
    """Trains a small model and writes its folder, with what it says of some rows beside it."""
    learnt = rows(1_000, feature_set=FEATURE_SET)
    data = xgb.DMatrix(learnt, np.nan_to_num(learnt[:, 0]) > 2_000, feature_names=list(FEATURE_SET.names))
    booster = xgb.train({"objective": "binary:logistic", "max_depth": 3, "nthread": 1, "eta": 0.5}, data, 8)
    write_folder(folder / FOLDER, booster, POLICY, FEATURE_SET, "m-0123456789abcdef", "0" * 32, record().beside_the_model())


def read(version: str, name: str = "tidemark", number: str = "1") -> Scorer:
    """The scorer of a version's folder."""
    return read_folder(HERE / version / FOLDER, name, number)


def newest() -> Scorer:
    return read(versions()[-1])


def scores(scorer: Scorer) -> dict[str, Any]:
    """What a scorer makes of some rows that nothing else made."""
    values = np.array([[(7 * i + 3 * j) % 23 * 25.0 for j in range(len(scorer.feature_names))] for i in range(20)], np.float32)
    values[::3, ::5] = np.nan
    found = scorer.score(values)
    return {
        "model_digest": scorer.model_digest,
        "features_digest": scorer.features_digest,
        "policy_digest": scorer.policy.digest,
        "probability": exact(found.probability),
        "risk_score": found.risk_score.tolist(),
        "decision": found.decision.tolist(),
        "risk_level": found.risk_level.tolist(),
    }


def metadata(folder: Path) -> dict[str, Any]:
    """What a folder's ``MLmodel`` says that doesn't depend on when it was written, or by which versions of libraries."""
    flavors, signature = (Model.load(str(folder)).to_dict()[name] for name in ("flavors", "signature"))
    xgboost = {name: value for name, value in flavors["xgboost"].items() if name != "xgb_version"}
    return {"metadata": Model.load(str(folder)).metadata, "xgboost": xgboost, "signature": signature, "flavors": sorted(flavors)}


def understood(kept: dict[str, Any]) -> dict[str, object]:
    """The texts of a golden record as this program understands them."""
    beside = kept["beside_the_run"]
    return {
        "policy": Policy.from_json(kept["policy.json"].encode()),
        "reference": Reference.from_json(beside["reference.json"].encode()),
        "evaluation": msgspec.json.decode(beside["evaluation.json"], type=Evaluation),
        "data": msgspec.json.decode(beside["data.json"], type=DataSnapshot),
        "audit": AuditVerdict(**kept["audit"]),
    }
