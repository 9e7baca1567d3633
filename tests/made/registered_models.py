"""Models that tests put into a registry."""

from pathlib import Path

from features.definitions import DAY
from models.costs import Costs
from models.evaluation.judgement import evaluate
from models.evaluation.scored_rows import KnownFrauds
from models.learners.trained import Trained
from models.monitoring.reference import reference
from models.registry import mlflow_registry
from models.registry.record import TrainingRecord
from models.training_set.snapshot import DataSnapshot, Provenance
from tests.made.models import POLICY, V1, booster
from tests.made.scored_rows import scored


def trained(seed: int = 0) -> Trained:
    return Trained(booster(seed), POLICY, {"max_depth": 5, "seed": seed}, {"validation_auc": 0.9})


def sqlite(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


def register_one(uri: str, seed: int) -> tuple[str, str]:
    registered = mlflow_registry.register(trained(seed), V1, uri)
    return registered.version, registered.role


def large_record(size: int) -> TrainingRecord:
    """A record with a plot of so many bytes."""
    rows = scored(500)
    known = KnownFrauds.of(rows.event_time, rows.user, rows.is_fraud, 7 * DAY)
    data = DataSnapshot(("made",), 500, 0, 1, "0" * 64)
    drift = reference(("a",), rows.probability[:, None].astype("float32"), rows.event_time)
    found = evaluate(rows, POLICY, Costs(), known, resamples=0)
    return TrainingRecord(data, Provenance("ada", "2026-01-01", "c0de"), found, drift, "# a card", {"large.png": bytes(size)})
