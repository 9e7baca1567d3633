"""SCORE: INGEST's batches, what is known of the merchants, and the model → decisions, dead letters and the scoring log.

A pure function of its partition of ``transactions.by-merchant`` and the model. ``advance`` alone brings the state on, for recovery.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.definitions import FeatureSet
from features.state import EntityState
from features.vector import assemble
from features.windows import LATE, TOO_LATE, Float32, Int64
from models.reasons import Reason, reasons
from models.scoring import Scorer, Scores
from streams import answer, scoring_log
from streams.batches import REFUSED, TRANSACTION, Batch
from streams.events import RISK_LEVELS, VERDICTS, Decision, Source, encode
from streams.topics import TRANSACTIONS


@dataclass
class ScoreState:
    """All that a partition of ``transactions.by-merchant`` has taught: merchants, and the last offset applied of each source partition."""

    feature_set: FeatureSet
    merchants: EntityState = field(init=False)
    high_water: dict[int, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.merchants = EntityState(self.feature_set, "merchant")


@dataclass(frozen=True)
class Variant:
    """The model a transaction is assigned to, and by which revision of the control topic."""

    scorer: Scorer
    name: str = "champion"
    control_revision: int = 0


@dataclass(frozen=True)
class Observed:
    """The transactions of some batches with their vectors (float32, n × names), and the refused records' (key, dead letter)."""

    rows: pa.RecordBatch
    source: tuple[Int64, Int64]
    position: tuple[Int64, Int64]
    vectors: Float32
    refused: list[bytes]


@dataclass(frozen=True)
class Outcome:
    """What SCORE says to the outside: (key, message) pairs, and Arrow streams for the scoring log."""

    decisions: list[tuple[bytes, bytes]]
    dead_letters: list[bytes]
    log: list[bytes]


def advance(state: ScoreState, records: Sequence[Batch], counts: Counter[str]) -> Observed:
    """Applies the batches to the state; returns each new transaction with its vector as of before it.

    Rows already applied are left out; a batch that leaves a gap behind the last one applied comes from a former owner of the source
    partition and is left out too, for the present owner says it again. ``counts`` gains repeated, gaps, late, too_late.
    """
    admitted = [piece for record in records for piece in _admit(state, record, counts)]
    schema = records[0].rows.schema
    rows = _one_batch([piece.rows for piece in admitted], schema)
    lengths = [len(piece.rows) for piece in admitted]
    source = _spread([piece.source_partition for piece in admitted], lengths), rows["offset"].to_numpy()
    position = _spread([piece.position[0] for piece in admitted], lengths), _spread([piece.position[1] for piece in admitted], lengths)

    refused: list[bytes] = []
    kind = rows["kind"].to_numpy()
    if (kind == REFUSED).any():
        refused = rows.filter(pa.array(kind == REFUSED))["payload"].to_pylist()
        rows, source, position = _where(kind != REFUSED, rows, source, position)
        kind = rows["kind"].to_numpy()

    slots = state.merchants.slots(rows["merchant_id"].to_pylist())
    time, amount = rows["event_time"].to_numpy(), rows["amount"].to_numpy()
    fraud = rows["fraud"].to_numpy().astype(np.int64)
    of_merchant, lateness = state.merchants.apply(kind, slots, time, amount, fraud, np.zeros(len(kind), np.int64))
    counts["late"] += int(np.count_nonzero(lateness == LATE))
    counts["too_late"] += int(np.count_nonzero(lateness == TOO_LATE))

    asked = kind == TRANSACTION
    if not asked.all():
        rows, source, position = _where(asked, rows, source, position)
        of_merchant = of_merchant[asked]
    of_user = rows["user_features"].flatten().to_numpy().reshape(len(rows), -1) if len(rows) else _no_users(state.feature_set)
    vectors = assemble(state.feature_set, rows["event_time"].to_numpy(), rows["amount"].to_numpy(), of_user, of_merchant)
    return Observed(rows, source, position, vectors, refused)


def join(observed: Sequence[Observed]) -> Observed:
    """What was observed on several partitions, one after the other."""
    if len(observed) == 1:
        return observed[0]
    return Observed(
        _one_batch([one.rows for one in observed], observed[0].rows.schema),
        _joined([one.source for one in observed]),
        _joined([one.position for one in observed]),
        np.concatenate([one.vectors for one in observed]),
        [letter for one in observed for letter in one.refused],
    )


def decide(observed: Observed, variant: Variant, currency: str, decided_at: int) -> Outcome:
    """Scores the observed transactions; one the API has answered keeps that answer. ``decided_at`` (ms) is stamped on the decisions."""
    rows, vectors = observed.rows, observed.vectors
    given = {i: answer.decode(payload) for i, payload in enumerate(rows["payload"].to_pylist()) if payload is not None}
    scores = variant.scorer.score(vectors)
    decisions = _decisions(observed, variant, scores, currency, decided_at, skip=given)
    for i, told in given.items():
        decisions[i] = told.decision
        decisions[i].source = Source(TRANSACTIONS.name, int(observed.source[0][i]), int(observed.source[1][i]))
        vectors[i] = np.frombuffer(told.vector, np.float32)
    log = scoring_log.encode(rows, observed.source, observed.position, vectors, decisions, given)
    messages = [(decision.user_id.encode(), encode(decision)) for decision in decisions]
    return Outcome(messages, observed.refused, log)


def _admit(state: ScoreState, record: Batch, counts: Counter[str]) -> list[Batch]:
    applied = state.high_water.get(record.source_partition, -1)
    offsets = record.offsets
    if record.previous > applied:
        counts["gaps"] += 1
        return []
    new = int(np.searchsorted(offsets, applied, side="right"))
    counts["repeated"] += new
    if new == len(offsets):
        return []
    state.high_water[record.source_partition] = int(offsets[-1])
    return [record if new == 0 else Batch(record.rows.slice(new), record.source_partition, record.previous, record.position)]


def _spread(values: list[int], lengths: list[int]) -> Int64:
    return np.repeat(np.array(values, np.int64), lengths)


def _one_batch(rows: Sequence[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    table = pa.Table.from_batches(rows, schema).combine_chunks()
    return table.to_batches()[0] if len(table) else pa.RecordBatch.from_pylist([], schema)


def _joined(columns: Sequence[tuple[Int64, Int64]]) -> tuple[Int64, Int64]:
    return np.concatenate([partition for partition, _ in columns]), np.concatenate([offset for _, offset in columns])


def _where(
    mask: npt.NDArray[np.bool_], rows: pa.RecordBatch, source: tuple[Int64, Int64], position: tuple[Int64, Int64]
) -> tuple[pa.RecordBatch, tuple[Int64, Int64], tuple[Int64, Int64]]:
    return rows.filter(pa.array(mask)), (source[0][mask], source[1][mask]), (position[0][mask], position[1][mask])


def _no_users(feature_set: FeatureSet) -> Float32:
    return np.empty((0, len(feature_set.of("user"))), np.float32)


def _decisions(
    observed: Observed, variant: Variant, scores: Scores, currency: str, decided_at: int, skip: dict[int, answer.Answer]
) -> list[Decision]:
    scorer, rows = variant.scorer, observed.rows
    flagged = [i for i in np.flatnonzero(scores.decision).tolist() if i not in skip]
    why: dict[int, list[Reason]] = dict(zip(flagged, reasons(scorer, observed.vectors[flagged]), strict=True)) if flagged else {}
    return [
        Decision(
            transaction_id,
            event_time,
            user_id,
            merchant_id,
            amount,
            currency,
            VERDICTS[verdict],
            risk_score,
            RISK_LEVELS[level],
            probability,
            why.get(i, []),
            scorer.model_name,
            scorer.model_version,
            scorer.model_digest,
            scorer.policy.digest,
            variant.name,
            variant.control_revision,
            scorer.features_digest,
            Source(TRANSACTIONS.name, partition, offset),
            "stream",
            decided_at,
        )
        for i, (
            transaction_id,
            event_time,
            user_id,
            merchant_id,
            amount,
            verdict,
            risk_score,
            level,
            probability,
            partition,
            offset,
        ) in enumerate(
            zip(
                rows["transaction_id"].to_pylist(),
                rows["event_time"].to_pylist(),
                rows["user_id"].to_pylist(),
                rows["merchant_id"].to_pylist(),
                rows["amount"].to_pylist(),
                scores.decision.tolist(),
                scores.risk_score.tolist(),
                scores.risk_level.tolist(),
                scores.probability.tolist(),
                observed.source[0].tolist(),
                observed.source[1].tolist(),
                strict=True,
            )
        )
    ]
