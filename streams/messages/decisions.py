"""A turn's decisions as messages: what they share is encoded once, for encoding is a large part of what a decision costs."""

from collections.abc import Mapping, Sequence

import pyarrow as pa
from msgspec import Struct

from models.policy import ACTIONS, RISK_LEVELS, Action, RiskLevel
from models.reasons import Reason
from models.scoring import Scores
from streams.messages.events import Source, encode
from streams.messages.topics import TRANSACTIONS


class DecisionFields(Struct, gc=False):
    """The fields of ``events.Decision`` that differ from one to the next."""

    transaction_id: str
    event_time: int
    user_id: str
    merchant_id: str
    amount: int
    source: Source
    decision: Action
    risk_score: int
    risk_level: RiskLevel
    probability: float
    reasons: Sequence[Reason]


def encode_decisions(
    rows: pa.RecordBatch, scores: Scores, reasons: Mapping[int, Sequence[Reason]], shared: Mapping[str, object]
) -> list[bytes]:
    """The decisions (JSON) on transactions, of which ``reasons`` has some by row; ``shared`` are the fields that ``DecisionFields``
    lacks."""
    tail = b"," + encode(shared)[1:]
    name = TRANSACTIONS.name
    columns = [rows[column].to_pylist() for column in ("transaction_id", "event_time", "user_id", "merchant_id", "amount")]
    sources = [
        Source(name, partition, offset) for partition, offset in zip(rows["source"].to_pylist(), rows["offset"].to_pylist(), strict=True)
    ]
    decisions = map(DecisionFields, *columns, sources, *in_words(scores), _by_row(reasons, len(rows)))
    return [encode(decision)[:-1] + tail for decision in decisions]


def in_words(scores: Scores) -> tuple[list[Action], list[int], list[RiskLevel], list[float]]:
    """What each row's scores are called in a decision: action, risk score (0–99), risk level and probability."""
    actions = [ACTIONS[code] for code in scores.decision.tolist()]
    levels = [RISK_LEVELS[code] for code in scores.risk_level.tolist()]
    return actions, scores.risk_score.tolist(), levels, scores.probability.tolist()


def _by_row(reasons: Mapping[int, Sequence[Reason]], n: int) -> list[Sequence[Reason]]:
    rows: list[Sequence[Reason]] = [()] * n
    for row, found in reasons.items():
        rows[row] = found
    return rows
