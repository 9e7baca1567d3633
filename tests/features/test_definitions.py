"""Feature sets as data: what they name, what they refuse, and when their digest changes."""

from dataclasses import replace

import pytest

from features.definitions import DAY, FEATURE_SETS, HOUR, MINUTE, SECOND, FeatureSet, Window

V1, V2 = FEATURE_SETS["fraud_v1"], FEATURE_SETS["fraud_v2"]

TABLE = {
    "5m": (5 * 60_000, 5_000),
    "1h": (3_600_000, 60_000),
    "24h": (86_400_000, 1_800_000),
    "7d": (7 * 86_400_000, 3 * 3_600_000),
    "14d": (14 * 86_400_000, 3 * 3_600_000),
    "30d": (30 * 86_400_000, 12 * 3_600_000),
}
DELAYED = {
    "1d": (86_400_000, 3 * 3_600_000, 7 * 86_400_000),
    "7d": (7 * 86_400_000, 3 * 3_600_000, 7 * 86_400_000),
    "30d": (30 * 86_400_000, 12 * 3_600_000, 7 * 86_400_000),
}


def names_of(entity: str) -> list[str]:
    names = [f"{entity}_{measure}_{window}" for window in TABLE for measure in ("tx_count", "mean_amount", "amount_ratio")]
    names += [f"{entity}_{measure}" for measure in ("seconds_since_last", "age_seconds", "last_amount")]
    names += [f"{entity}_{measure}_{window}" for window in DELAYED for measure in ("matured_count", "fraud_count", "fraud_rate")]
    return names


def test_fraud_v1_has_exactly_these_features_in_this_order() -> None:
    assert list(V1.names) == ["amount", "hour", "weekday", "night", "weekend", *names_of("user"), *names_of("merchant")]


def test_fraud_v2_adds_the_users_devices() -> None:
    assert [name for name in V2.names if name not in V1.names] == ["user_new_device", "user_device_age_seconds", "user_device_count"]
    assert V2.has_devices("user")
    assert not V2.has_devices("merchant")


def test_fraud_v3_tells_longer_habits_frauds_by_the_week_and_large_amounts() -> None:
    v3 = FEATURE_SETS["fraud_v3"]
    assert [window.name for window in v3.activity] == ["24h", "3d", "7d", "14d", "30d", "60d", "90d"]
    assert v3.outcome == tuple(Window(f"{days}d", days * DAY, 3 * HOUR, delay=7 * DAY) for days in (1, 3, 7, 14, 21, 28))
    assert [feature.name for feature in v3.features if feature.measure == "large_count"] == [
        f"user_large_count_{percent}pct_{window}" for percent in (250, 400) for window in ("3d", "7d", "14d")
    ]
    assert v3.hops == V1.hops[2:]


@pytest.mark.parametrize("feature_set", [V1, V2], ids=lambda feature_set: feature_set.name)
def test_the_windows_are_those_of_the_design(feature_set: FeatureSet) -> None:
    assert {w.name: (w.length, w.hop) for w in feature_set.activity} == TABLE
    assert {w.name: (w.length, w.hop, w.delay) for w in feature_set.outcome} == DELAYED
    assert feature_set.hops == (5 * SECOND, MINUTE, 30 * MINUTE, 3 * HOUR, 12 * HOUR)


def test_the_features_of_the_entities_make_up_the_vector() -> None:
    parts = [*V2.of("request"), *V2.of("user"), *V2.of("merchant")]
    assert tuple(feature.name for feature in parts) == V2.names


@pytest.mark.parametrize(
    ("length", "hop", "delay"),
    [(HOUR, 7 * MINUTE, 0), (HOUR, 2 * HOUR, 0), (HOUR, 0, 0), (HOUR, -MINUTE, 0), (0, MINUTE, 0), (-HOUR, MINUTE, 0), (HOUR, MINUTE, -1)],
)
def test_a_window_that_is_none_is_refused_by_name(length: int, hop: int, delay: int) -> None:
    with pytest.raises(ValueError, match="window odd"):
        Window("odd", length, hop, delay)


@pytest.mark.parametrize(
    ("activity", "outcome", "sentence"),
    [
        ((Window("1h", HOUR, MINUTE, delay=DAY),), (), "outcome windows need a delay, activity windows must have none"),
        ((), (Window("1d", DAY, 3 * HOUR),), "outcome windows need a delay, activity windows must have none"),
        ((Window("9m", 9 * MINUTE, 3 * MINUTE), Window("1h", HOUR, 20 * MINUTE)), (), "must divide hop 1200000 ms, so that tiles nest"),
        ((Window("1h", HOUR, MINUTE),), (Window("1d", DAY, HOUR, delay=90 * SECOND),), "multiples of the finest hop, 60000 ms"),
        ((Window("1m", MINUTE, 4 * SECOND),), (), "the finest hop must be at least 5000 ms"),
        ((Window("1h", HOUR, MINUTE), Window("1h", HOUR, 5 * MINUTE)), (), "two features share a name"),
    ],
)
def test_windows_that_do_not_go_together_are_refused(activity: tuple[Window, ...], outcome: tuple[Window, ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"feature set odd.*{sentence}"):
        FeatureSet("odd", activity, outcome)


@pytest.mark.parametrize(
    ("large", "sentence"),
    [
        (((220, Window("2h", 2 * HOUR, MINUTE)),), "counted in its own activity windows"),
        (((0, V1.activity[0]),), "at most 2 percentages, each above 0"),
        (tuple((percent, V1.activity[0]) for percent in (200, 300, 400)), "at most 2 percentages, each above 0"),
    ],
)
def test_amounts_that_cannot_be_counted_are_refused(large: tuple[tuple[int, Window], ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"feature set odd.*{sentence}"):
        FeatureSet("odd", V1.activity, (), large=large)


def test_large_amounts_are_counted_of_users_only() -> None:
    counting = replace(V1, large=((220, V1.activity[-1]), (300, V1.activity[0])))
    assert [name for name in counting.names if name not in V1.names] == ["user_large_count_220pct_30d", "user_large_count_300pct_5m"]


def changes() -> list[FeatureSet]:
    """The set with each figure of each window changed, a window more, one less, two exchanged, and with devices."""
    changed = [V2, *(replace(V1, large=((percent, V1.activity[-1]),)) for percent in (220, 300))]
    changed += [replace(V1, activity=(*V1.activity, Window("2h", 2 * HOUR, MINUTE)))]
    for kind in ("activity", "outcome"):
        windows: tuple[Window, ...] = getattr(V1, kind)
        changed.append(replace(V1, **{kind: windows[::-1]}))
        for i, window in enumerate(windows):
            figures = [replace(window, length=window.length * 2), replace(window, name="other")]
            figures += [replace(window, delay=window.delay + DAY)] if window.delay else [replace(window, hop=window.length)]
            changed += [replace(V1, **{kind: (*windows[:i], other, *windows[i + 1 :])}) for other in figures if _nests(other)]
            changed.append(replace(V1, **{kind: (*windows[:i], *windows[i + 1 :])}))
    return changed


def _nests(window: Window) -> bool:
    return all(window.hop % hop == 0 or hop % window.hop == 0 for hop in V1.hops)


def test_the_digest_changes_with_any_window() -> None:
    digests = [feature_set.digest for feature_set in (V1, *changes())]
    assert len(digests) > 30
    assert len(set(digests)) == len(digests)


def test_the_digest_tells_the_meaning_and_not_the_name() -> None:
    assert replace(V1, name="another name").digest == V1.digest
    assert len(bytes.fromhex(V1.digest)) == 32
