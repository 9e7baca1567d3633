"""SCORE: INGEST's batches, what is known of the merchants, and the model → decisions, dead letters and the scoring log.

A pure function of its partitions of ``transactions.by-merchant`` and the model. ``advance`` alone brings the state on, for recovery.
"""

import base64
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise

import numpy as np
import pyarrow as pa

from features.arrays import Bool, Float32, Int64, RecordKind
from features.state import count_lateness
from features.vector import assemble
from features.windows import SEEN
from models.experiments.variant import Variant
from models.reasons import reasons
from streams.blame import is_the_processes
from streams.messages import answer, scoring_log
from streams.messages.batches import Batch, batch_schema
from streams.messages.code_digest import code_digest
from streams.messages.decisions import encode_decisions
from streams.messages.events import DeadLetter, Source, encode
from streams.messages.record import SourcePosition
from streams.messages.topics import TRANSACTIONS
from streams.state.merchants import ScoreState


@dataclass(frozen=True)
class Observed:
    """The transactions of some batches with their vectors (float32, n × names), and the refused records' dead letters.

    ``position`` is each one's (partition, offset) on transactions.by-merchant, int64, n × 2.
    """

    rows: pa.RecordBatch
    position: Int64
    vectors: Float32
    refused: list[bytes]


@dataclass(frozen=True)
class Outcome:
    """What SCORE sends to the outside: (key, message) pairs, and Arrow streams for the scoring log."""

    decisions: list[tuple[bytes, bytes]]
    dead_letters: list[bytes]
    log: list[bytes]


def advance(turn: Sequence[tuple[ScoreState, Sequence[Batch]]], counts: Counter[str]) -> Observed:
    """Applies batches to the states of their partitions; returns each new transaction with its vector as of before it.

    Rows already applied are left out; rows of a source that leave a gap behind the last one applied come from a former owner of the source
    partition and are left out too, for the present owner sends them again; until it has, the state's ``gaps`` name them. ``counts`` gains
    repeated, gaps, late, too_late.
    """
    feature_set = turn[0][0].feature_set
    admitted = [[piece for piece in (admit(state, batch, counts) for batch in read) if len(piece.rows)] for state, read in turn]
    pieces = list(chain.from_iterable(admitted))
    rows = _one_batch([piece.rows for piece in pieces], batch_schema(feature_set))
    position = np.repeat(np.array([piece.position for piece in pieces], np.int64).reshape(-1, 2), [len(piece.rows) for piece in pieces], 0)
    part = np.repeat(np.arange(len(turn)), [sum(len(piece.rows) for piece in pieces) for pieces in admitted])

    refused: list[bytes] = []
    kind = rows["kind"].to_numpy()
    if (kind == RecordKind.REFUSED).any():
        refused = rows.filter(pa.array(kind == RecordKind.REFUSED))["payload"].to_pylist()
        taken = kind != RecordKind.REFUSED
        rows, position, part = rows.filter(pa.array(taken)), position[taken], part[taken]
        kind = rows["kind"].to_numpy()

    cuts = np.searchsorted(part, np.arange(len(turn) + 1)).tolist()
    of_merchant = _apply([state for state, _ in turn], cuts, rows, position[:, 1], counts)
    asked = kind == RecordKind.TRANSACTION
    if not asked.all():
        rows, position, of_merchant = rows.filter(pa.array(asked)), position[asked], of_merchant[asked]
    of_user = rows["user_features"].flatten().to_numpy().reshape(len(rows), len(feature_set.of("user")))
    vectors = assemble(feature_set, rows["event_time"].to_numpy(), rows["amount"].to_numpy(), of_user, of_merchant)
    return Observed(rows, position, vectors, refused)


def relearn(state: ScoreState, read: Sequence[Batch]) -> None:
    """Brings a state on by batches that may have been made for another feature set, for what merchants do is the same in all."""
    for batch in read:
        admitted = admit(state, batch, Counter())
        rows = admitted.rows.filter(pa.array(admitted.rows["kind"].to_numpy() != RecordKind.REFUSED))
        if len(rows):
            _apply([state], [0, len(rows)], rows, np.full(len(rows), batch.position[1], np.int64), Counter())


def decide(observed: Observed, variant: Variant, currency: str, decided_at: int) -> Outcome:
    """Scores the observed transactions; one the API has answered keeps that answer. ``decided_at`` (ms) is stamped on the decisions."""
    rows, vectors, scorer = observed.rows, observed.vectors, variant.scorer
    scores = scorer.score(vectors)
    given = _given(rows)
    flagged = [i for i in np.flatnonzero(scores.decision).tolist() if i not in given]
    why = dict(zip(flagged, reasons(scorer, vectors[flagged]), strict=True)) if flagged else {}
    shared = {**variant.identity, "features_digest": scorer.features_digest, "origin": "stream"}
    messages = encode_decisions(rows, scores, why, {**shared, "currency": currency, "decided_at": decided_at, "degraded": False})
    for i, answered in given.items():
        answered.decision.source = Source(TRANSACTIONS.name, rows["source"][i].as_py(), rows["offset"][i].as_py())
        messages[i] = encode(answered.decision)
        scores.probability[i], vectors[i] = answered.decision.probability, np.frombuffer(answered.vector, np.float32)
    log = scoring_log.encode(rows, observed.position, vectors, scores.probability, {**shared, "code_digest": code_digest()}, given)
    return Outcome(list(zip(rows["user_id"].cast(pa.binary()).to_pylist(), messages, strict=True)), observed.refused, log)


def _given(rows: pa.RecordBatch) -> dict[int, answer.Answer]:
    """The answers that the API gave, by row."""
    payload = rows["payload"]
    if payload.null_count == len(rows):
        return {}
    return {i: answer.decode(value) for i, value in enumerate(payload.to_pylist()) if value is not None}


def decide_each(
    observed: Observed, variant: Variant, currency: str, decided_at: int, failed: Callable[[pa.RecordBatch, Exception], None]
) -> Outcome:
    """As ``decide``, but a transaction on which that raises becomes a dead letter, the rest being decided.

    ``failed`` gets each attempt that failed, with its rows: a single one is the one at fault. What is the process's fault is raised.
    """
    n = len(observed.rows)
    try:
        return decide(observed, variant, currency, decided_at)
    except Exception as error:
        if n == 0 or is_the_processes(error):
            raise
        failed(observed.rows, error)
    if n == 1:
        return Outcome([], [*observed.refused, gave_up(observed.rows, 0)], [])
    half = n // 2
    parts = [
        Observed(observed.rows.slice(begin, end - begin), observed.position[begin:end], observed.vectors[begin:end], refused)
        for begin, end, refused in ((0, half, observed.refused), (half, n, []))
    ]
    first, second = (decide_each(part, variant, currency, decided_at, failed) for part in parts)
    return Outcome(first.decisions + second.decisions, first.dead_letters + second.dead_letters, first.log + second.log)


def admit(state: ScoreState, batch: Batch, counts: Counter[str]) -> Batch:
    """The batch without the rows that were applied before or that leave a gap; notes the others as applied, and refuses those given up."""
    source, offset = batch.rows["source"].to_numpy(), batch.rows["offset"].to_numpy()
    rows = batch.rows
    if not _is_all_new(state, batch, source, offset):
        left_out = _known_or_gap(state, batch, source, offset, counts)
        rows = rows.filter(pa.array(~left_out)) if left_out.any() else rows
    if state.gaps:
        state.close_filled_gaps()
    return replace(batch, rows=_without_failed(rows, state.failed) if state.failed else rows)


def _is_all_new(state: ScoreState, batch: Batch, source: Int64, offset: Int64) -> bool:
    """Whether all was never applied and leaves no gap, as is nearly always so; then notes it as applied. To see that at once spares looking
    at each source."""
    if not batch.previous:
        return False
    applied = np.array([state.high_water.get(number, -1) for number in range(1 + max(batch.previous))], np.int64)
    if (offset <= applied[source]).any() or any(previous > applied[number] for number, previous in batch.previous.items()):
        return False
    applied[source] = offset  # the last of each source stands
    state.high_water |= {number: int(applied[number]) for number in batch.previous if applied[number] >= 0}
    return True


def _known_or_gap(state: ScoreState, batch: Batch, source: Int64, offset: Int64, counts: Counter[str]) -> Bool:
    """Which rows to leave out; notes the others as applied."""
    left_out = np.zeros(len(source), np.bool_)
    for number, previous in batch.previous.items():
        applied = state.high_water.get(number, -1)
        here = source == number
        if not here.any():
            continue
        if previous > applied:
            counts["gaps"] += 1
            left_out |= here
            state.note_gap(number, int(offset[here][-1]))
            continue
        repeated = here & (offset <= applied)
        counts["repeated"] += int(np.count_nonzero(repeated))
        left_out |= repeated
        state.high_water[number] = max(applied, int(offset[here][-1]))
    return left_out


def _without_failed(rows: pa.RecordBatch, failed: Collection[SourcePosition]) -> pa.RecordBatch:
    """The rows, those of records that were given up being refused."""
    places = list(zip(rows["source"].to_pylist(), rows["offset"].to_pylist(), strict=True))
    here = [i for i, place in enumerate(places) if place in failed]
    if not here:
        return rows
    kind, payload = rows["kind"].to_numpy().copy(), rows["payload"].to_pylist()
    for i in here:
        kind[i], payload[i] = RecordKind.REFUSED, gave_up(rows, i)
    names = rows.schema.names
    columns = {**dict(zip(names, rows.columns, strict=True)), "kind": pa.array(kind), "payload": pa.array(payload, pa.binary())}
    return pa.RecordBatch.from_arrays([columns[name] for name in names], schema=rows.schema)


def gave_up(rows: pa.RecordBatch, i: int) -> bytes:
    """The dead letter of a valid transaction, or label, that SCORE can't process; its bytes lie at its place in the log."""
    return encode(
        DeadLetter(
            topic=TRANSACTIONS.name,
            partition=rows["source"][i].as_py(),
            offset=rows["offset"][i].as_py(),
            reason="processing_failed",
            sentence="SCORE failed on this record again and again; see its log for why",
            key_base64=base64.b64encode(rows["user_id"][i].as_py().encode()).decode(),
            value_base64=None,
            value_bytes=0,
            value_digest=None,
        )
    )


def _apply(states: Sequence[ScoreState], cuts: Sequence[int], rows: pa.RecordBatch, offset: Int64, counts: Counter[str]) -> Float32:
    """Applies the rows, those between two cuts to the state of that number; returns the merchants' features as of before each, NaN for
    rows that were applied before. ``offset`` is each row's on transactions.by-merchant."""
    names = rows["merchant_id"].to_pylist()
    kind, time, amount = (rows[name].to_numpy() for name in ("kind", "event_time", "amount"))
    fraud, source = (rows[name].to_numpy().astype(np.int64) for name in ("fraud", "source"))
    features = np.full((len(names), states[0].merchants.width), np.nan, np.float32)
    for state, (begin, end) in zip(states, pairwise(cuts), strict=True):
        here, of_state = slice(begin, end), kind[begin:end]
        if state.ahead:
            seen = [offset[i] < state.ahead.get(names[i], -1) for i in range(begin, end)]
            of_state = np.where(seen, of_state + SEEN, of_state).astype(np.int8)
        slots, no_device = state.merchants.slots(names[here]), np.zeros(end - begin, np.int64)
        features[here], lateness = state.merchants.apply(of_state, slots, time[here], amount[here], fraud[here], no_device, source[here])
        counts.update(count_lateness(lateness))
    return features


def _one_batch(rows: Sequence[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    if len(rows) == 1:
        return rows[0]
    table = pa.Table.from_batches(rows, schema).combine_chunks()
    return table.to_batches()[0] if len(table) else pa.RecordBatch.from_pylist([], schema)
