"""A user's risk: what the champion would say if the user's latest payments were made again as the day begins.

    risk = max over the user's payments p of the last 14 days of P(fraud | p made again, what is known as the day begins)

Each payment is taken again with its amount, merchant, device and time of day, on the day that begins, and is judged by user and merchant
as they stand then: with all payments since and all chargebacks known by then. A user without a payment in those days is judged by the last
one. So whoever paid at a merchant that has turned bad since, or does now what isn't like the user, comes to the top, and the payment that
did it is named. It ranks; it isn't the probability that the user is a victim.

Chosen over a probability of some neutral "typical" payment, and over the highest probability as it was given at the time, because it finds
more: ``docs/batch.md`` has the figures.
"""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.arrays import Float32
from features.backfill.repeated_payments import RepeatingMerchantStage, RepeatingUserStage
from features.definitions import DAY, FeatureSet
from models.policy import RISK_LEVELS
from models.scoring import Scorer

LOOKBACK = 14 * DAY

# A payment made again, with what the champion says of it.
JUDGED = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("transaction_id", pa.string(), nullable=False),
        pa.field("event_time", pa.int64(), nullable=False),
        pa.field("probability", pa.float64(), nullable=False),
    ]
)
# A user's risk; ``transaction_id`` and ``event_time`` (ms) are those of the riskiest payment, ``payments`` how many were made again.
USER_RISK = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("as_of", pa.int64(), nullable=False),
        pa.field("probability", pa.float64(), nullable=False),
        pa.field("risk_score", pa.int8(), nullable=False),
        pa.field("risk_level", pa.string(), nullable=False),
        pa.field("payments", pa.int64(), nullable=False),
        pa.field("transaction_id", pa.string(), nullable=False),
        pa.field("event_time", pa.int64(), nullable=False),
        *(pa.field(name, pa.string(), nullable=False) for name in ("model_name", "model_version", "model_digest", "policy_digest")),
        pa.field("features_digest", pa.string(), nullable=False),
    ]
)
_RECORDS_AT_ONCE = 1 << 16


def user_risk(records: pa.Table, feature_set: FeatureSet, scorer: Scorer, moment: int) -> pa.Table:
    """USER_RISK of every user with a transaction in RECORDS, all before the ``moment`` (ms) and in replay order; by user_id."""
    users, merchants = RepeatingUserStage(feature_set, moment, LOOKBACK), RepeatingMerchantStage(feature_set, moment)
    for batch in records.to_batches(max_chunksize=_RECORDS_AT_ONCE):
        merchants.apply(users.apply(batch))
    return riskiest([judge(*merchants.apply(batch), scorer) for batch in users.again()], scorer, moment)


def judge(again: pa.RecordBatch, vectors: Float32, scorer: Scorer) -> pa.RecordBatch:
    """JUDGED of payments made again, one a row of the vectors."""
    columns = [again["user_id"], again["transaction_id"], again["seq"], pa.array(scorer.score(vectors).probability)]
    return pa.RecordBatch.from_arrays(columns, schema=JUDGED)


def riskiest(judged: Iterable[pa.RecordBatch], scorer: Scorer, moment: int) -> pa.Table:
    """USER_RISK of the users whose payments these are, all of each, by user_id; of equally risky payments the latest is named."""
    rows = pa.Table.from_batches(judged, JUDGED).combine_chunks()
    order = [("user_id", "ascending"), *((name, "descending") for name in ("probability", "event_time", "transaction_id"))]
    rows = rows.take(pc.sort_indices(rows, order))
    users = rows["user_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    first = np.flatnonzero(np.diff(users, prepend=-1))
    worst = rows.take(pa.array(first))
    scores = scorer.judged(worst["probability"].to_numpy())
    n = len(worst)
    columns = {name: worst[name] for name in ("user_id", "probability", "transaction_id", "event_time")}
    columns |= {
        "as_of": pa.array(np.full(n, moment, np.int64)),
        "risk_score": pa.array(scores.risk_score),
        "risk_level": pa.array(np.array(RISK_LEVELS)[scores.risk_level], pa.string()),
        "payments": pa.array(np.diff(np.append(first, len(rows)))),
    }
    origin = {
        "model_name": scorer.model_name,
        "model_version": scorer.model_version,
        "model_digest": scorer.model_digest,
        "policy_digest": scorer.policy.digest,
        "features_digest": scorer.features_digest,
    }
    columns |= {name: pa.array([value] * n, pa.string()) for name, value in origin.items()}
    return pa.table({name: columns[name] for name in USER_RISK.names}, schema=USER_RISK)
