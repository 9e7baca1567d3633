"""Scoring logs of a made-up world: decisions with vectors of any features, as SCORE writes them, sealed; and a registered version with the
reference that belongs to them."""

from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlparse

import numpy as np
import pyarrow as pa

from features.definitions import DAY, FEATURE_SETS, FeatureSet
from models.monitoring.reference import Reference, reference
from models.registry import mlflow_client
from models.registry.record import MODEL_NAME, REFERENCE_FILE, Registered
from streams.messages import scoring_log
from streams.messages.topics import SCORING_LOG
from tests.made.seal import SEAL

FEATURES = FEATURE_SETS["fraud_v1"]
MONDAY = 20_089 * DAY  # 2025-01-01 is a Wednesday; this is the Monday after


class Rows(NamedTuple):
    """Vectors (float32, n × features), scores (0–1) and times (ms) in order."""

    vectors: np.ndarray
    scores: np.ndarray
    time: np.ndarray


class LogValue(NamedTuple):
    """A record for a partition of the scoring log."""

    partition: int
    key: None
    value: bytes
    headers: list[tuple[str, bytes]]


def rows(first: int, days: int, a_day: int, seed: int, shift: float = 0.0, features: FeatureSet = FEATURES) -> Rows:
    """Payments of ``days`` days from the ``first`` after ``MONDAY`` on, whose first feature is e^shift times what it would be."""
    rng = np.random.default_rng(seed)
    n = days * a_day
    time = MONDAY + first * DAY + np.sort(rng.integers(0, days * DAY, n))
    vectors = rng.lognormal(3, 1, (n, len(features.names))).astype(np.float32)
    vectors[:, 0] *= np.float32(np.exp(shift))
    return Rows(vectors, rng.beta(1, 30, n), time)


def reference_of(made: Rows, features: FeatureSet = FEATURES) -> Reference:
    """What a model would be kept with that was made of these."""
    return reference(features.names, made.vectors, made.time, made.scores, made.time)


def keep_with(registered: Registered, made: Reference, tracking_uri: str) -> None:
    """Puts a reference beside a registered version whose files lie in a folder."""
    uri = mlflow_client.connect(tracking_uri).get_model_version_download_uri(MODEL_NAME, registered.version)
    (Path(unquote(urlparse(uri).path)) / REFERENCE_FILE).write_bytes(made.to_json())


def records(made: Rows, registered: Registered, partitions: int, a_record: int = 200, features: FeatureSet = FEATURES) -> list[LogValue]:
    """The rows as records of so many decisions, in order, spread over the partitions by turns."""
    found = []
    for number, begin in enumerate(range(0, len(made.time), a_record)):
        part = slice(begin, begin + a_record)
        n, partition = len(made.time[part]), number % partitions
        ids = pa.array([f"t{begin + place}" for place in range(n)])
        batch = pa.RecordBatch.from_pydict(
            {
                **dict.fromkeys(("transaction_id", "user_id", "merchant_id"), ids),
                "event_time": pa.array(made.time[part]),
                "amount": pa.array(np.ones(n, np.int64)),
                "source": pa.array(np.zeros(n, np.int32)),
                "offset": pa.array(np.arange(begin, begin + n)),
            }
        )
        position = np.column_stack([np.zeros(n, np.int64), np.full(n, number)])
        shared = {
            "origin": "stream",
            "variant": "champion",
            "model_version": registered.version,
            "model_digest": registered.digests.model,
            "policy_digest": "p",
            "features_digest": features.digest,
            "code_digest": "c",
            "control_revision": 0,
        }
        found += [
            LogValue(partition, None, value, [SEAL.header(SCORING_LOG.name, partition, None, value)])
            for value in scoring_log.encode(batch, position, made.vectors[part], made.scores[part], shared, {})
        ]
    return found
