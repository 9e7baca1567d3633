"""Records as INGEST reads them, and a way to send them through both stages without a broker."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec
import xgboost as xgb

from features.definitions import FEATURE_SETS, FeatureSet
from models.policy import Policy
from models.scoring import Scorer
from streams.ingest import Routed, ingest
from streams.messages import batches
from streams.messages.batches import Batch
from streams.messages.record import LogRecord
from streams.messages.validation import Validator
from streams.score import Observed, advance
from streams.state.merchants import ScoreState
from streams.state.users import IngestState
from tests.made.seal import SEAL, copied

KAFKA_TIME = 1_800_000_000_000
FRAUD_V1 = FEATURE_SETS["fraud_v1"]


def transaction(
    offset: int, user: str = "u1", merchant: str = "m1", time: int = 1_700_000_000_000, amount: int = 1_000, **other: object
) -> LogRecord:
    """A valid transaction's record; ``other`` replaces or adds fields."""
    message = {
        "transaction_id": f"t{offset}",
        "event_time": time,
        "user_id": user,
        "merchant_id": merchant,
        "amount": amount,
        "currency": "EUR",
        **other,
    }
    return LogRecord(offset, KAFKA_TIME, str(message["user_id"]).encode(), msgspec.json.encode(message), [])


def label(offset: int, of: LogRecord, label_time: int, is_fraud: bool = True) -> LogRecord:
    """A label for a transaction's record."""
    message = msgspec.json.decode(of.value or b"")
    keep = {name: message[name] for name in ("transaction_id", "user_id", "merchant_id", "event_time")}
    value = msgspec.json.encode({**keep, "label_time": label_time, "is_fraud": is_fraud})
    return copied(LogRecord(offset, KAFKA_TIME, of.key, value, []))


def ingest_state(merchant_partitions: int = 1, partition: int = 0, partitions: int = 1, feature_set: FeatureSet = FRAUD_V1) -> IngestState:
    """An empty state of one source partition."""
    return IngestState(feature_set, Validator("transactions", partition, partitions, "EUR", SEAL), merchant_partitions)


def routed(state: IngestState, records: Sequence[LogRecord], cuts: Iterable[int] = (), counts: Counter[str] | None = None) -> list[Routed]:
    """What INGEST sends for the records, processed in batches that begin at the cuts."""
    borders = [0, *sorted(cut for cut in cuts if 0 < cut < len(records)), len(records)]
    counts = Counter() if counts is None else counts
    return [sent for begin, end in pairwise(borders) for sent in ingest([(state, records[begin:end])], counts)]


def received(sent: Sequence[Routed], partition: int = 0, feature_set: FeatureSet = FRAUD_V1) -> list[Batch]:
    """The batches as SCORE reads them from one merchant partition."""
    schema = batches.batch_schema(feature_set)
    here = [one for one in sent if one.partition == partition]
    return [batches.decode(one.value, one.headers, (partition, offset), schema, feature_set) for offset, one in enumerate(here)]


def advanced(state: ScoreState, read: Sequence[Batch], counts: Counter[str] | None = None) -> Observed:
    """What SCORE observes on one partition."""
    return advance([(state, read)], Counter() if counts is None else counts)


def score_state(feature_set: FeatureSet = FRAUD_V1) -> ScoreState:
    """An empty state of one merchant partition."""
    return ScoreState(feature_set, partitions=1, sources=1, currency="EUR")


def scorer(feature_set: FeatureSet = FRAUD_V1, review: float = 0.5) -> Scorer:
    """A small model that rises with the amount."""
    import numpy as np

    rng = np.random.default_rng(0)
    rows = rng.uniform(0, 2_000, size=(500, len(feature_set.names))).astype(np.float32)
    data = xgb.DMatrix(rows, rows[:, 0] > 1_500, feature_names=list(feature_set.names))
    booster = xgb.train({"objective": "binary:logistic", "max_depth": 2, "nthread": 1}, data, 20)
    policy = Policy(review_threshold=review, block_threshold=0.9, elevated_threshold=review, highest_threshold=0.9)
    return Scorer(booster, policy, feature_set.names, "tidemark", "1", "f" * 64, feature_set.digest)
