"""The model's input vector: request features, its order, and device ids as hashes."""

from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from features.definitions import DAY, FEATURE_SETS, HOUR, REQUEST_MEASURES
from features.vector import assemble, device_hashes, request_features

V1 = FEATURE_SETS["fraud_v1"]


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def seen(event_time: int, amount: int = 0) -> dict[str, float]:
    vector = request_features(np.array([event_time]), np.array([amount]))
    assert vector.shape == (1, 5)
    assert vector.dtype == np.float32
    return dict(zip(REQUEST_MEASURES, vector[0].tolist(), strict=True))


def test_a_sunday_night() -> None:
    assert seen(at("2018-06-24T03:15:00"), 12_34) == {"amount": 1234, "hour": 3, "weekday": 6, "night": 1, "weekend": 1}


def test_the_night_ends_with_the_hour_of_six() -> None:
    assert seen(at("2018-06-25T06:59:59.999"))["night"] == 1
    assert seen(at("2018-06-25T07:00:00"))["night"] == 0
    assert seen(at("2018-06-25T23:59:59.999"))["night"] == 0


def test_the_weekend_is_saturday_and_sunday_utc() -> None:
    assert [seen(at("2018-06-18T00:00:00") + day * DAY)["weekend"] for day in range(7)] == [0, 0, 0, 0, 0, 1, 1]
    assert seen(at("2018-06-22T23:59:59.999"))["weekend"] == 0
    assert seen(at("2018-06-25T00:00:00"))["weekend"] == 0


@given(st.integers(10**11, 10**13))
def test_hours_and_weekdays_are_the_calendars(event_time: int) -> None:
    moment = datetime.fromtimestamp(event_time // 1000, tz=UTC)
    features = seen(event_time)
    assert (features["hour"], features["weekday"]) == (moment.hour, moment.weekday())


def test_a_vector_is_request_then_user_then_merchant() -> None:
    width = len(V1.of("user"))
    user, merchant = np.full((2, width), 1, np.float32), np.full((2, width), 2, np.float32)
    vectors = assemble(V1, np.array([0, HOUR]), np.array([10, 20]), user, merchant)
    assert vectors.shape == (2, len(V1.names))
    assert vectors.dtype == np.float32
    assert vectors.flags.c_contiguous
    by_name = dict(zip(V1.names, vectors[1].tolist(), strict=True))
    assert (by_name["amount"], by_name["hour"]) == (20, 1)
    assert all(value == (1 if name.startswith("user_") else 2) for name, value in by_name.items() if "_" in name)


def test_no_transactions_make_an_empty_matrix() -> None:
    nothing = np.empty((0, len(V1.of("user"))), np.float32)
    assert assemble(V1, np.empty(0, np.int64), np.empty(0, np.int64), nothing, nothing).shape == (0, len(V1.names))


def test_device_hashes_are_stable_and_zero_only_without_a_device() -> None:
    hashes = device_hashes(["phone", None, "tablet", "phone", ""])
    assert hashes.dtype == np.int64
    assert hashes[1] == 0
    assert hashes[0] == hashes[3]
    assert len({int(value) for value in hashes}) == 4
    # States hold them: the hash of an id must not change from release to release.
    assert hashes[0] == -884596916215804441
