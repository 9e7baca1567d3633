"""``bench handbook``: what the pipeline's own model is worth by the protocol of the Fraud Detection Handbook, without any service.

For each test week the recipe makes the model that would have served it; beside it stand the handbook's published figures and an XGBoost on
the handbook's own features.
"""

import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from features.arrays import Bool, Float64, Int64
from features.definitions import DAY, FEATURE_SETS
from features.errors import UserError
from features.history.columns import parse_mapping
from features.history.datafile import read_transactions, write_transactions
from features.history.log import HistoryLog, vectors
from models.evaluation.bootstrap import LEVEL, RESAMPLES, Interval
from models.learners.xgboost_learner import Trees, XGBoostLearner
from models.training.prequential import rows_between
from models.training.recipe import ROUNDS, THINNING, Recipe, RecipeResult, TooLittle, TreeCache, make
from models.training_set.rows import TrainingSet
from tests.benchmarks.handbook.handbook_features import NAMES, handbook_features
from tests.benchmarks.handbook.handbook_protocol import (
    BEST_PUBLISHED,
    DELAY_DAYS,
    PUBLISHED_MODELS,
    PUBLISHED_TEST_START,
    TEST_DAYS,
    TEST_STARTS,
    begin_of,
    judged_rows,
    training_rows,
)
from tests.benchmarks.handbook.handbook_weeks import Compared, Week, claims, compare

FEATURES = "fraud_v3"
OURS, THEIRS = "tidemark", "handbook's features"
# XGBoost's defaults, as the handbook's authors used it.
_THEIR_ROUNDS = 100
_LABELS_AFTER = DELAY_DAYS * DAY
# A week of fitting, one of delay and one to choose by, and one of delay before the test.
_LEAST_DAYS = 28


@dataclass(frozen=True)
class Spec:
    """Which ``test_starts`` (ms, midnight UTC) of which file, and where the scores go (None: nowhere)."""

    file: Path
    scores: Path | None = None
    test_starts: tuple[int, ...] = TEST_STARTS
    seed: int = 0
    threads: int = 2
    resamples: int = RESAMPLES
    recipe: Recipe = field(default_factory=Recipe)


@dataclass(frozen=True)
class _Data:
    """The file in time order: our vectors and theirs, ids, users, and what is needed to judge by."""

    ours: TrainingSet
    theirs: TrainingSet
    transaction_id: pa.ChunkedArray
    user: np.ndarray

    @property
    def event_time(self) -> Int64:
        return self.ours.event_time

    @property
    def is_fraud(self) -> Bool:
        return self.ours.is_fraud


def run(spec: Spec, report: Callable[[str], None]) -> dict[str, Any]:
    """Scores the weeks and returns the figures; ``report`` gets a line after each step.

    Raises UserError if the file can't be used, or doesn't reach far enough for a week.
    """
    began = time.monotonic()
    data = _read(spec)
    seconds = {"features": round(time.monotonic() - began, 1)}
    report(f"{len(data.event_time):,} transactions, features after {seconds['features']:.0f} s")
    grown = TreeCache(data.ours, FEATURE_SETS[FEATURES].names, spec.recipe, seed=spec.seed, threads=spec.threads, report=report)
    models, scores, weeks = [], [], []
    for start in spec.test_starts:
        made, week, scored = _week(data, grown, start, spec)
        report(f"{_day(start)}: {' and '.join(map(str, made.choice.days))} days of history")
        models.append(made)
        weeks.append(week)
        scores.append(scored)
    seconds["models"] = round(time.monotonic() - began - seconds["features"], 1)
    if spec.scores is not None:
        # Of one week every row would say the same.
        tables = scores if len(scores) > 1 else [scores[0].drop_columns(["test_start"])]
        write_transactions(spec.scores, tables, tables[0].schema)
    compared = compare(weeks, np.random.default_rng(spec.seed), spec.resamples)
    seconds["whole"] = round(time.monotonic() - began, 1)
    return {
        "data": spec.file.name,
        "transactions": len(data.event_time),
        "features": FEATURES,
        "recipe": {**asdict(spec.recipe), "rounds": ROUNDS, "thinning": THINNING},
        "seed": spec.seed,
        "intervals": {"level": LEVEL, "resamples": spec.resamples, "clustered_by": "user"},
        "weeks": [_week_figures(number, *one, compared) for number, one in enumerate(zip(spec.test_starts, weeks, models, strict=True))],
        "mean": {model: _figures(figures) for model, figures in compared.mean.items()},
        "above_handbooks_features": _figures(compared.above[OURS, THEIRS]),
        "published": {model: asdict(figures) for model, figures in PUBLISHED_MODELS.items()},
        "seconds": seconds,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def _read(spec: Spec) -> _Data:
    table = read_transactions(spec.file, parse_mapping("handbook"), f"{DELAY_DAYS}d")
    if not table.num_rows or table["is_fraud"].null_count:
        raise UserError(f"{spec.file.name} must say of each of its transactions whether it was fraud; give a file whose TX_FRAUD is 0 or 1")
    log = HistoryLog.from_table(table)
    table = table.take(pa.array(log.order))
    event_time, amount, is_fraud = (table[name].to_numpy() for name in ("event_time", "amount", "is_fraud"))
    user, merchant = (table[name].combine_chunks().dictionary_encode().indices.to_numpy() for name in ("user_id", "merchant_id"))
    for start in spec.test_starts:
        _require_reach(event_time, start, spec.file)
    return _Data(
        TrainingSet(vectors(log, FEATURE_SETS[FEATURES]), is_fraud, event_time, amount),
        TrainingSet(handbook_features(event_time, user, merchant, amount, is_fraud), is_fraud, event_time, amount),
        table["transaction_id"],
        user,
    )


def _require_reach(event_time: Int64, start: int, file: Path) -> None:
    first, last = int(event_time.min()), int(event_time.max())
    if start - first < (_LEAST_DAYS - 1) * DAY or last < start + (TEST_DAYS - 1) * DAY:
        raise UserError(
            f"{file.name} reaches from {_day(first)} to {_day(last)}, not from {_LEAST_DAYS} days before --test-start {_day(start)} to "
            f"{TEST_DAYS} after; name a --test-start that lies within"
        )


def _week(data: _Data, grown: TreeCache, start: int, spec: Spec) -> tuple[RecipeResult, Week, pa.Table]:
    """The model of the week, the rows to judge it by, and the scores of all its transactions."""
    made = make(grown, start, _LABELS_AFTER)
    if isinstance(made, TooLittle):
        raise UserError(f"{made.reason}; give at least four weeks before {_day(start)}")
    tested = rows_between(data.event_time, start, start + TEST_DAYS * DAY)
    probability = Trees(made.fit.booster).predict(data.ours.vectors[tested])
    begin = begin_of(start)
    judged = judged_rows(data.event_time, data.user, data.is_fraud, begin)
    if not 0 < np.count_nonzero(data.is_fraud[judged]) < len(judged):
        raise UserError(f"the week from {_day(start)} has no frauds, or nothing else, to judge by; name another --test-start")
    place = np.searchsorted(tested, judged)
    week = Week(
        data.event_time[judged],
        data.user[judged],
        data.is_fraud[judged],
        {OURS: probability[place], THEIRS: _theirs(data, begin, judged, spec)},
    )
    scored = pa.table(
        {
            "transaction_id": data.transaction_id.take(pa.array(tested)).combine_chunks(),
            "probability": probability,
            "test_start": pa.repeat(pa.scalar(start // DAY, pa.int32()).cast(pa.date32()), len(tested)),
        }
    )
    return made, week, scored


def _theirs(data: _Data, begin: int, judged: Int64, spec: Spec) -> Float64:
    """What an untuned XGBoost says that learnt from the protocol's training week, with the handbook's own features."""
    learner = XGBoostLearner(NAMES, _THEIR_ROUNDS, seed=spec.seed, threads=spec.threads)
    return learner.fit(data.theirs.part(*_span(training_rows(data.event_time, begin)))).predict(data.theirs.vectors[judged])


def _span(rows: Int64) -> tuple[int, int]:
    return int(rows[0]), int(rows[-1]) + 1


def _week_figures(number: int, start: int, week: Week, made: RecipeResult, compared: Compared) -> dict[str, Any]:
    found = compared.figures[OURS][number]
    figures = {
        "test_start": _day(start),
        "transactions": len(week.event_time),
        "frauds": int(week.is_fraud.sum()),
        OURS: _figures(found),
        THEIRS: _figures(compared.figures[THEIRS][number]),
        "chosen": {"history_days": made.choice.days, "rounds": ROUNDS},
        "compared": [{**asdict(choice), "rounds": ROUNDS} for choice in made.compared],
        "calibration": asdict(made.calibration),
        "validation": made.fit.out_of_fold.metrics(),
    }
    if start == PUBLISHED_TEST_START:
        figures["beside_published"] = {"best_of_each_figure": asdict(BEST_PUBLISHED), "claims": claims(found, BEST_PUBLISHED)}
    return figures


def _figures(found: Mapping[str, Interval]) -> dict[str, Sequence[float] | Mapping[str, float]]:
    return {name: {"value": interval.value, "low": interval.low, "high": interval.high} for name, interval in found.items()}


def _day(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).date().isoformat()
