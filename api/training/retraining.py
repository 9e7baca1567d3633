"""Training anew: a candidate is validated on weeks it hasn't seen, then refitted on them too. Asked again for the same, it does nothing."""

import hashlib
from dataclasses import dataclass

import msgspec

from api.training.data import LabelledData, moment
from api.training.summary import training_summary
from api.training.trials import trial_of
from features.definitions import DAY, FeatureSet
from features.errors import UserError
from models import mlflow_promotion, mlflow_registry
from models.costs import Costs
from models.data_snapshot import Provenance
from models.mlflow_pipeline import Candidate, TrainingPlan, train_and_register
from models.mlflow_promotion import Verdict
from models.mlflow_record import refusing_in_words
from models.mlflow_registry import CHAMPION, Registered
from models.training_set import TrainingSet


@dataclass(frozen=True)
class RetrainingPlan:
    """Why, and how: see ``TrainingPlan``; ``weeks`` of the newest matured rows are held back to compare with the champion on."""

    reason: str
    feature_set: FeatureSet
    seed: int
    histories: tuple[int, ...]
    weeks: int
    costs: Costs
    capacity: float

    def key(self, given: LabelledData, code: str) -> str:
        """Hex SHA-256 of all that the outcome follows from; the reason is none of it."""
        followed = (
            given.snapshot.digest,
            given.begin,
            given.end,
            given.as_of,
            given.labels_after,
            code,
            self.feature_set.digest,
            self.seed,
            self.histories,
            self.weeks,
            msgspec.to_builtins(self.costs),
            self.capacity,
        )
        return hashlib.sha256(msgspec.json.encode(followed)).hexdigest()


def retrain_once(given: LabelledData, plan: RetrainingPlan, provenance: Provenance, tracking_uri: str) -> dict[str, object]:
    """The report: ``status`` is ``trained``, ``refused`` (worse than the champion; the candidate stays registered for a look) or
    ``unchanged`` (the same was trained before), ``model`` and ``version`` the candidate.

    Raises UserError if there is too little to learn from, or the registry fails.
    """
    key = plan.key(given, provenance.code)
    head = {"reason": plan.reason, "key": key, "author": provenance.author, "at": provenance.date}
    with refusing_in_words(tracking_uri, "reaching the registry"):
        before = mlflow_registry.version_tagged("retrain", key, tracking_uri)
        champion = mlflow_registry.champion_version(tracking_uri)
    if before is not None:
        told = "the same data and settings gave it before"
        return {**head, "status": "unchanged", "model": f"models:/{mlflow_registry.MODEL_NAME}/{before}", "version": before, "told": told}
    run = _Run(given, plan, provenance, tracking_uri)
    if champion is None:
        found, registered = run.train(given.end, plan.histories, {"retrain": key, "retrain_reason": plan.reason})
        told = "there was no champion to compare with"
        return {**head, "status": "trained", "told": told, **run.summary(found, registered), "validated": None}
    # Matured weeks that the validated candidate must not know, and a label's delay before them.
    held_back = min(given.as_of - given.labels_after + 1, given.end) - plan.weeks * 7 * DAY
    found, validated = run.train(held_back - given.labels_after, plan.histories, {"retrain_reason": plan.reason})
    verdict = mlflow_promotion.judge(validated.version, CHAMPION, trial_of(given, plan.weeks), tracking_uri)
    mlflow_promotion.put_on_record(verdict, tracking_uri)
    if not verdict.passed:
        mlflow_registry.tag(validated.version, {"retrain": key}, tracking_uri)
        told = f"not as good as the champion, version {champion}: {'; '.join(verdict.objections)}"
        return {**head, "status": "refused", "told": told, **run.summary(found, validated), "validated": _told(verdict)}
    histories = () if found.choice is None else found.choice.days
    refit, registered = run.train(given.end, histories, {"retrain": key, "retrain_reason": plan.reason, "refit_of": validated.version})
    told = f"no worse than the champion, version {champion}, as version {validated.version}, of which it is a refit on all rows"
    return {**head, "status": "trained", "told": told, **run.summary(refit, registered), "validated": _told(verdict)}


@dataclass(frozen=True)
class _Run:
    given: LabelledData
    plan: RetrainingPlan
    provenance: Provenance
    tracking_uri: str

    def train(self, end: int, histories: tuple[int, ...], tags: dict[str, str]) -> tuple[Candidate, Registered]:
        period = {"from": moment(self.given.begin), "to": moment(end), "as_of": moment(self.given.as_of)}
        try:
            return train_and_register(
                self._rows, self._plan(end, histories), self.given.snapshot, self.provenance, self.tracking_uri, {**period, **tags}
            )
        except UserError as error:
            raise UserError(f"retraining on rows up to {moment(end)} failed: {error}") from error

    def summary(self, found: Candidate, registered: Registered) -> dict[str, object]:
        return training_summary(found, registered, self._plan(int(found.rows.event_time.max()) + 1, ()))

    def _plan(self, end: int, histories: tuple[int, ...]) -> TrainingPlan:
        given, plan = self.given, self.plan
        return TrainingPlan(
            plan.feature_set,
            given.begin,
            end,
            given.as_of,
            given.labels_after,
            plan.seed,
            histories=histories,
            costs=plan.costs,
            capacity=plan.capacity,
        )

    def _rows(self, plan: TrainingPlan) -> TrainingSet:
        return self.given.rows_of(plan.feature_set, plan.begin, plan.end)


def _told(verdict: Verdict) -> dict[str, object]:
    return {**msgspec.to_builtins(verdict), "passed": verdict.passed}
