"""Training anew: a candidate is validated on weeks it hasn't seen, then refitted on them too. Asked again for the same, it does nothing."""

import hashlib
from dataclasses import dataclass, replace

import msgspec

from features.definitions import DAY
from features.errors import UserError
from features.history.moments import moment
from models.promotion import mlflow_promotion
from models.promotion.gate import GateVerdict
from models.promotion.trials import trial_of
from models.registry import mlflow_registry
from models.registry.mlflow_record import refusing_in_words
from models.registry.record import MODEL_NAME, Registered
from models.training.history_choice import HistoryChoice
from models.training.mlflow_training import train_and_register
from models.training.pipeline import Candidate, TrainingPlan
from models.training.summary import history_summary, training_summary
from models.training_set.labelled_data import LabelledData
from models.training_set.rows import TrainingSet
from models.training_set.snapshot import Provenance


@dataclass(frozen=True)
class RetrainingPlan:
    """Why, and how: the ``training`` on the newest data, of which ``weeks`` of the newest matured rows are held back to compare with the
    champion on."""

    reason: str
    training: TrainingPlan
    weeks: int

    def key(self, given: LabelledData, code: str) -> str:
        """Hex SHA-256 of all that the outcome follows from; the reason is none of it."""
        plan = self.training
        followed = (
            given.snapshot.digest,
            plan.begin,
            plan.end,
            plan.as_of,
            plan.labels_after,
            code,
            plan.feature_set.digest,
            plan.seed,
            plan.histories,
            self.weeks,
            msgspec.to_builtins(plan.costs),
            plan.capacity,
            plan.weighting,
            None if plan.search is None else (plan.search.tries, plan.search.seconds),
        )
        return hashlib.sha256(msgspec.json.encode(followed)).hexdigest()

    def validated(self, *, relabelled: bool) -> TrainingPlan:
        """The training of the candidate that is compared: as it would have been as the weeks held back began, or a label's delay before, so
        that it knows neither them nor the delay before them; by labels known at that time, if that can be had again (``relabelled``).
        """
        plan = self.training
        held_back = min(plan.as_of - plan.labels_after + 1, plan.end) - self.weeks * 7 * DAY
        end = held_back - plan.labels_after
        if not relabelled:
            return replace(plan, end=end)
        # With immature rows it learns up to the very day.
        return replace(plan, end=end, as_of=held_back if plan.immature == "left-out" else end)

    def refit(self, found: Candidate) -> TrainingPlan:
        """The training on all rows, by what was chosen for the candidate."""
        histories = found.history.days if isinstance(found.history, HistoryChoice) else ()
        return replace(self.training, histories=histories, search=None, parameters=found.parameters)


def retrain_once(given: LabelledData, plan: RetrainingPlan, provenance: Provenance, tracking_uri: str) -> dict[str, object]:
    """The report: ``status`` is ``trained``, ``refused`` (worse than the champion; the candidate stays registered for a look),
    ``not_compared`` (likewise, for the data has no weeks to tell by) or ``unchanged`` (the same was trained before), ``sentence`` why,
    ``model`` and ``version`` the candidate.

    Raises UserError if there is too little to learn from, or the registry fails.
    """
    key = plan.key(given, provenance.code)
    head = {"reason": plan.reason, "key": key, "author": provenance.author, "at": provenance.date}
    with refusing_in_words(tracking_uri, "reaching the registry"):
        before = mlflow_registry.version_tagged("retrain", key, tracking_uri)
        champion = mlflow_registry.champion_version(tracking_uri)
    if before is not None:
        sentence = "the same data and settings gave it before"
        return {**head, "status": "unchanged", "model": f"models:/{MODEL_NAME}/{before}", "version": before, "sentence": sentence}
    run = _Run(given, plan.reason, provenance, tracking_uri)
    if champion is None:
        found, registered = run.train(plan.training, {"retrain": key})
        sentence = "there was no champion to compare with"
        return {**head, "status": "trained", "sentence": sentence, **training_summary(found, registered, plan.training), "validated": None}
    trial = plan.validated(relabelled=given.relabelled)
    found, validated = run.train(trial, {})
    verdict = mlflow_promotion.validate(validated.version, trial_of(given, plan.weeks), tracking_uri)
    mlflow_promotion.put_on_record(verdict, tracking_uri)
    if not verdict.passed:
        mlflow_registry.tag(validated.version, {"retrain": key}, tracking_uri)
        compared = verdict.comparison is not None
        how = "not as good as" if compared else "not compared with"
        sentence = f"{how} the champion, version {champion}: {'; '.join(verdict.objections)}"
        return {
            **head,
            "status": "refused" if compared else "not_compared",
            "sentence": sentence,
            **training_summary(found, validated, trial),
            "validated": _validated(verdict, found),
        }
    refit = plan.refit(found)
    made, registered = run.train(refit, {"retrain": key, "refit_of": validated.version})
    sentence = f"no worse than the champion, version {champion}, as version {validated.version}, of which it is a refit on all rows"
    return {
        **head,
        "status": "trained",
        "sentence": sentence,
        **training_summary(made, registered, refit),
        "validated": _validated(verdict, found),
    }


@dataclass(frozen=True)
class _Run:
    given: LabelledData
    reason: str
    provenance: Provenance
    tracking_uri: str

    def train(self, plan: TrainingPlan, tags: dict[str, str]) -> tuple[Candidate, Registered]:
        period = {"from": moment(plan.begin), "to": moment(plan.end), "as_of": moment(plan.as_of)}
        try:
            return train_and_register(
                self._rows,
                plan,
                self.given.snapshot,
                self.provenance,
                self.tracking_uri,
                {**period, "data": self.given.name, "retrain_reason": self.reason, **tags},
            )
        except UserError as error:
            raise UserError(f"retraining on rows up to {moment(plan.end)} failed: {error}") from error

    def _rows(self, plan: TrainingPlan) -> TrainingSet:
        return self.given.rows_of(plan.feature_set, plan.begin, plan.end, plan.as_of)


def _validated(verdict: GateVerdict, found: Candidate) -> dict[str, object]:
    """The verdict on the candidate that was compared, and how its history was chosen: the refit, if there is one, had no such choice."""
    return {**msgspec.to_builtins(verdict), "passed": verdict.passed, "history": history_summary(found)}
