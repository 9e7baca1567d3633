"""How much of the past to learn from: short histories forget, long ones remember what is no longer so."""

from collections.abc import Mapping
from dataclasses import dataclass

from features.definitions import DAY
from features.errors import UserError
from models.metrics import average_precision
from models.training import PARAMETERS, booster_of, probability_of
from models.training_set import TrainingSet

VALIDATION_DAYS = 7
_ROUNDS = 200
_FEWEST_FRAUDS = 20


@dataclass(frozen=True)
class HistoryChoice:
    """The ``days`` that did best; ``tried``: the average precision (0–1) on the validation days of each length that could be tried."""

    days: int
    tried: Mapping[int, float]

    def newest(self, rows: TrainingSet) -> TrainingSet:
        """The rows of the newest ``days``."""
        return rows.where(rows.event_time > int(rows.event_time.max()) - self.days * DAY)


def choose_history(
    rows: TrainingSet, names: tuple[str, ...], histories: tuple[int, ...], label_delay: int, seed: int = 0, threads: int = 1
) -> HistoryChoice:
    """Of the lengths (days) the one whose model ranks the newest week best, fitted on rows that end ``label_delay`` (ms) before it.

    A length that reaches beyond the rows, or has too few frauds, isn't tried. Raises UserError if none can be.
    """
    newest = int(rows.event_time.max())
    validation = rows.where(rows.event_time > newest - VALIDATION_DAYS * DAY)
    cut = int(validation.event_time.min()) - label_delay
    first = int(rows.event_time.min())
    tried: dict[int, float] = {}
    for days in sorted(histories):
        fitting = rows.where((rows.event_time <= cut) & (rows.event_time > cut - days * DAY))
        reaches_back = first <= cut - days * DAY + DAY
        if not reaches_back or fitting.frauds < _FEWEST_FRAUDS or not 0 < validation.frauds < len(validation.is_fraud):
            continue
        booster = booster_of(fitting, names, {**PARAMETERS, "seed": seed, "nthread": threads}, _ROUNDS)
        tried[days] = average_precision(validation.is_fraud, probability_of(booster, validation.vectors))
    if not tried:
        raise UserError(
            f"none of the histories of {', '.join(map(str, sorted(histories)))} days can be tried: with {label_delay / DAY:g} days for "
            f"labels and {VALIDATION_DAYS} for validation, the rows' {(newest - first) / DAY:.0f} days are too few, or have fewer than "
            f"{_FEWEST_FRAUDS} frauds; "
            "widen --from and --to, or say shorter ones"
        )
    best = max(tried, key=lambda days: (tried[days], -days))
    return HistoryChoice(best, tried)
