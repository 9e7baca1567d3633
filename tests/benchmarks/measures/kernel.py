"""``bench kernel``: what the pure parts cost in one process, without broker or store: windows, model, both stages, and a whole backtest."""

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from features.arrays import Float64
from features.definitions import FEATURE_SETS, Entity, FeatureSet
from features.history.log import HistoryLog
from features.state import EntityState
from models.experiments.variant import Variant
from models.scoring import Scorer
from streams.ingest import Routed, ingest
from streams.messages import batches
from streams.messages.partitioner import partition_of
from streams.messages.topics import TRANSACTIONS
from streams.messages.validation import Validator
from streams.replay.backtest import Backtest
from streams.replay.encode import encode_transactions
from streams.score import advance, decide
from streams.state.merchants import ScoreState
from streams.state.users import IngestState
from tests.benchmarks.deployment import champion
from tests.benchmarks.figures import rates
from tests.benchmarks.load.workload import Source, Workload, workload

_FEATURES, _CURRENCY = "fraud_v1", "EUR"
_ENTITIES: tuple[Entity, ...] = ("user", "merchant")
BLOCK = 8_192
# Records that a turn takes of all partitions together, as under full load.
_TURN = 8_000
_NEWEST_MS = 10**13


@dataclass(frozen=True)
class Spec:
    """What to measure: ``transactions`` (None: all of the file) over so many ``partitions``, in ``runs`` whose medians count."""

    source: Source | None = None
    transactions: int | None = 1_400_000
    partitions: int = 4
    runs: int = 3

    def quick(self) -> "Spec":
        """The same within three minutes."""
        return Spec(self.source, min(self.transactions or 200_000, 200_000), self.partitions, runs=1)


class _Record(NamedTuple):
    """As a Kafka client hands it out."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


def run(spec: Spec, report: Callable[[str], None]) -> dict[str, Any]:
    """Measures and returns the figures: updates and rows a second of one core, CPU of the stages in µs a transaction, the backtest's wall
    time in s. ``report`` gets a line after each run. Raises UserError if the file can't be read or no fraud is known among the first.
    """
    feature_set = FEATURE_SETS[_FEATURES]
    with tempfile.TemporaryDirectory(prefix="tidemark-bench-") as folder:
        sent = workload(spec.source, spec.transactions, Path(folder))
        trained = champion.fit(sent, feature_set)
        scorer = Scorer(trained.booster, trained.policy, feature_set.names, "bench", "1", "", feature_set.digest)
        runs = []
        for _ in range(spec.runs):
            measured = _measure(sent, scorer, feature_set, spec.partitions)
            report("  ".join(f"{name} {value:,.2f}" for name, value in measured.items()))
            runs.append(measured)
    return {
        "transactions": len(sent),
        "data": sent.about,
        "partitions": spec.partitions,
        "features": _FEATURES,
        "model": {"trees": champion.TREES, "max_depth": champion.DEPTH},
        **{name: rates.spread([run[name] for run in runs]) for name in runs[0]},
    }


def _measure(sent: Workload, scorer: Scorer, feature_set: FeatureSet, partitions: int) -> dict[str, float]:
    log = HistoryLog.from_table(sent.table)
    began = time.monotonic()
    vectors = _backtest(sent, scorer)
    backtest = time.monotonic() - began
    clock = _Clock()
    with clock.of("model"):
        for begin in range(0, len(vectors), BLOCK):
            scorer.score(vectors[begin : begin + BLOCK])
    updates = {entity: float(update_costs(log, feature_set, entity).sum()) for entity in _ENTITIES}
    _stages(sent, scorer, feature_set, partitions, clock)
    n = len(sent)
    return {
        "backtest_s": round(backtest, 2),
        **{f"{entity}_updates_per_s": round(len(log.kind) / used) for entity, used in updates.items()},
        "scored_rows_per_s": round(n / clock.used["model"]),
        **{f"{stage}_us_per_tx": round(clock.used[stage] / n * 1e6, 2) for stage in ("ingest", "advance", "decide")},
    }


class _Clock:
    """CPU seconds of this process by name."""

    def __init__(self) -> None:
        self.used: Counter[str] = Counter()
        self._name, self._began = "", 0.0

    def of(self, name: str) -> "_Clock":
        """What is used in the block counts for this name."""
        self._name = name
        return self

    def __enter__(self) -> None:
        self._began = time.process_time()

    def __exit__(self, *_: object) -> None:
        self.used[self._name] += time.process_time() - self._began  # type: ignore[assignment]


def _backtest(sent: Workload, scorer: Scorer) -> np.ndarray:
    """Features and scores of everything, as ``tidemark backtest`` has them; returns the vectors."""
    backtest = Backtest(sent.table, scorer, 0, _NEWEST_MS)
    scored = [rows for _, rows in backtest.scores(backtest.log)]
    return np.concatenate([np.column_stack([rows[name].to_numpy() for name in scorer.feature_names]) for rows in scored])


def update_costs(log: HistoryLog, feature_set: FeatureSet, entity: Entity) -> Float64:
    """CPU seconds of the kernel for each block of all transactions and labels, as updates of one kind of key."""
    state = EntityState(feature_set, entity)
    codes, names = getattr(log, entity)
    slots = state.slots(names)[codes]
    used = []
    for begin in range(0, len(slots), BLOCK):
        here = slice(begin, begin + BLOCK)
        began = time.process_time()
        state.apply(log.kind[here], slots[here], log.time[here], log.amount[here], log.fraud[here], log.device[here])
        used.append(time.process_time() - began)
    return np.array(used)


def _stages(sent: Workload, scorer: Scorer, feature_set: FeatureSet, partitions: int, clock: _Clock) -> None:
    """From JSON to decisions, as INGEST and SCORE do it turn by turn."""
    ingesting = [
        IngestState(feature_set, Validator(TRANSACTIONS.name, number, partitions, _CURRENCY), partitions) for number in range(partitions)
    ]
    scoring = [ScoreState(feature_set, partitions, partitions, "EUR") for _ in range(partitions)]
    schema, variant, counts = batches.batch_schema(feature_set), Variant(scorer), Counter[str]()
    for turn in _turns(sent.table, partitions):
        with clock.of("ingest"):
            routed = ingest(list(zip(ingesting, turn, strict=True)), counts)
        with clock.of("advance"):
            read = [[_decoded(one, schema, feature_set) for one in routed if one.partition == number] for number in range(partitions)]
            observed = advance(list(zip(scoring, read, strict=True)), counts)
        with clock.of("decide"):
            decide(observed, variant, _CURRENCY, 0)


def _decoded(routed: Routed, schema: pa.Schema, feature_set: FeatureSet) -> batches.Batch:
    return batches.decode(routed.value, routed.headers, (routed.partition, 0), schema, feature_set)


def _turns(table: pa.Table, partitions: int) -> Iterator[Sequence[Sequence[_Record]]]:
    """The transactions as records, some of each partition at a time."""
    keys = table["user_id"].cast(pa.binary()).to_pylist()
    home = {key: partition_of(key, partitions) for key in set(keys)}
    logs: list[list[_Record]] = [[] for _ in range(partitions)]
    for key, value in zip(keys, encode_transactions(table), strict=True):
        log = logs[home[key]]
        log.append(_Record(len(log), _NEWEST_MS, key, value))
    each = _TURN // partitions
    for begin in range(0, max(map(len, logs)), each):
        yield [log[begin : begin + each] for log in logs]
