"""The model's input: request features beside the user's and the merchant's."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from features.arrays import Float32, Int64
from features.definitions import DAY, HOUR, REQUEST_MEASURES, FeatureSet

_LAST_HOUR_OF_NIGHT = 6
_SATURDAY = 5
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday


def request_features(event_time: Int64, amount: Int64) -> Float32:
    """Amount (minor units), hour (0–23 UTC), weekday (Monday 0), night (hour ≤ 6) and weekend of each transaction: float32, n × 5."""
    out = np.empty((len(event_time), len(REQUEST_MEASURES)), np.float32)
    hour = event_time // HOUR % 24
    weekday = (event_time // DAY + _EPOCH_WEEKDAY) % 7
    out[:, 0], out[:, 1], out[:, 2] = amount, hour, weekday
    out[:, 3], out[:, 4] = hour <= _LAST_HOUR_OF_NIGHT, weekday >= _SATURDAY
    return out


def assemble(feature_set: FeatureSet, event_time: Int64, amount: Int64, user: Float32, merchant: Float32) -> Float32:
    """Vectors (float32, n × len(names), C order) in the order of ``feature_set.names``."""
    request = request_features(event_time, amount)
    vectors = np.empty((len(event_time), len(feature_set.names)), np.float32)
    split = request.shape[1] + user.shape[1]
    vectors[:, : request.shape[1]] = request
    vectors[:, request.shape[1] : split] = user
    vectors[:, split:] = merchant
    return vectors


def from_columns(feature_set: FeatureSet, columns: Mapping[str, ArrayLike]) -> Float32:
    """Vectors (float32, n × len(names), C order) from columns by feature name, such as the DataFrame that Feast returns.

    A missing value is NaN, whether it is NaN or null in the columns.
    """
    return np.ascontiguousarray(np.column_stack([np.asarray(columns[name], np.float32) for name in feature_set.names]))


@lru_cache(maxsize=1 << 16)
def _device_hash(device_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(device_id.encode(), digest_size=8).digest(), "little", signed=True) or 1


def device_hashes(device_ids: Sequence[str | None]) -> Int64:
    """A 64-bit hash for each device id (BLAKE2b), 0 where there is none."""
    return np.array([0 if device_id is None else _device_hash(device_id) for device_id in device_ids], np.int64)
