"""Every feature, as data.

A feature set is a list of windows and scalars per entity; its feature names, its Feast views, its model's input columns and the
kernel's parameters all follow from it. Adding a window is one line here.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

Entity = Literal["request", "user", "merchant"]

# Raise it when the meaning of a feature changes under an unchanged name: models and states of the old meaning are then refused.
SEMANTICS = 2

REMEMBERED_DEVICES = 8

# Of a finer one, more than 2**31 lie between 1970 and 2286.
FINEST_HOP = 5 * SECOND

# By how many percentages an amount may be large.
MOST_LARGE = 2


@dataclass(frozen=True, slots=True)
class Window:
    """A sliding window in tiles of one hop.

    At anchor time q it covers the tiles ``floor(q/hop) - length/hop … floor(q/hop)``; with a delay it covers the ``length/hop`` whole
    tiles before ``floor((q - delay)/hop)``, so that labels have had time to arrive. All figures are milliseconds.
    """

    name: str
    length: int
    hop: int
    delay: int = 0

    def __post_init__(self) -> None:
        if self.hop <= 0 or self.length <= 0 or self.delay < 0:
            raise ValueError(f"window {self.name}: length and hop must be positive and the delay must not be negative")
        if self.length % self.hop:
            raise ValueError(f"window {self.name}: the hop ({self.hop} ms) must divide the length ({self.length} ms)")


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of the model's input: what is measured, for which entity, over which window (None for what needs none)."""

    name: str
    entity: Entity
    measure: str
    window: Window | None = None


REQUEST_MEASURES = ("amount", "hour", "weekday", "night", "weekend")
ACTIVITY_MEASURES = ("tx_count", "mean_amount", "amount_ratio")
SCALAR_MEASURES = ("seconds_since_last", "age_seconds", "last_amount")
LARGE_MEASURE = "large_count"
OUTCOME_MEASURES = ("matured_count", "fraud_count", "fraud_rate")
DEVICE_MEASURES = ("new_device", "device_age_seconds", "device_count")


@dataclass(frozen=True)
class FeatureSet:
    """What one model sees: request features, then the user's, then the merchant's.

    ``activity`` windows yield count, mean amount and the ratio of the amount at hand to that mean; ``outcome`` windows, delayed, yield
    the matured count, the frauds among it and their rate. ``devices`` adds what is known of the user's device. ``large`` counts, in an
    activity window, a user's amounts that were large when they came: above so many percent of the mean of all before them.
    """

    name: str
    activity: tuple[Window, ...]
    outcome: tuple[Window, ...]
    devices: bool = False
    large: tuple[tuple[int, Window], ...] = ()

    def __post_init__(self) -> None:
        if any(window.delay for window in self.activity) or not all(window.delay for window in self.outcome):
            raise ValueError(f"feature set {self.name}: outcome windows need a delay, activity windows must have none")
        if not self.activity:
            raise ValueError(f"feature set {self.name}: it needs at least one activity window")
        if self.hops[0] < FINEST_HOP:
            raise ValueError(f"feature set {self.name}: the finest hop must be at least {FINEST_HOP} ms, for starts of tiles have 32 bits")
        if any(window not in self.activity for _, window in self.large):
            raise ValueError(f"feature set {self.name}: large amounts are counted in its own activity windows")
        if any(percent <= 0 for percent, _ in self.large) or len({percent for percent, _ in self.large}) > MOST_LARGE:
            raise ValueError(f"feature set {self.name}: an amount can be large by at most {MOST_LARGE} percentages, each above 0")
        for finer, coarser in zip(self.hops, self.hops[1:], strict=False):
            if coarser % finer:
                raise ValueError(f"feature set {self.name}: hop {finer} ms must divide hop {coarser} ms, so that tiles nest")
        if any(window.delay % self.hops[0] for window in self.outcome):
            raise ValueError(f"feature set {self.name}: delays must be whole multiples of the finest hop, {self.hops[0]} ms")
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"feature set {self.name}: two features share a name")

    @cached_property
    def hops(self) -> tuple[int, ...]:
        """Distinct hops in ms, finest first; each divides the next."""
        return tuple(sorted({window.hop for window in (*self.activity, *self.outcome)}))

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """All features in vector order."""
        request = tuple(Feature(measure, "request", measure) for measure in REQUEST_MEASURES)
        return (*request, *self._of("user"), *self._of("merchant"))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Feature names in vector order."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 over everything that gives a vector its meaning; equal digests mean equal vectors."""
        meaning = {
            "semantics": SEMANTICS,
            "features": [[f.name, f.entity, f.measure, _figures(f.window)] for f in self.features],
        }
        return hashlib.sha256(json.dumps(meaning, separators=(",", ":")).encode()).hexdigest()

    def of(self, entity: Entity) -> tuple[Feature, ...]:
        """The features of one entity, in vector order."""
        return self._by_entity.get(entity, ())

    @cached_property
    def _by_entity(self) -> dict[str, tuple[Feature, ...]]:
        """Every score of the API asks for this."""
        entities = dict.fromkeys(feature.entity for feature in self.features)
        return {entity: tuple(feature for feature in self.features if feature.entity == entity) for entity in entities}

    def has_devices(self, entity: Entity) -> bool:
        """Whether the state of this entity remembers devices."""
        return self.devices and entity == "user"

    def large_of(self, entity: Entity) -> tuple[tuple[int, Window], ...]:
        """What makes an amount of this entity large, in percent, and in which window such are counted."""
        return self.large if entity == "user" else ()

    def _of(self, entity: Entity) -> Iterator[Feature]:
        for window in self.activity:
            for measure in ACTIVITY_MEASURES:
                yield Feature(f"{entity}_{measure}_{window.name}", entity, measure, window)
        for measure in SCALAR_MEASURES:
            yield Feature(f"{entity}_{measure}", entity, measure)
        for window in self.outcome:
            for measure in OUTCOME_MEASURES:
                yield Feature(f"{entity}_{measure}_{window.name}", entity, measure, window)
        for percent, window in self.large_of(entity):
            yield Feature(f"{entity}_{LARGE_MEASURE}_{percent}pct_{window.name}", entity, LARGE_MEASURE, window)
        if self.has_devices(entity):
            for measure in DEVICE_MEASURES:
                yield Feature(f"{entity}_{measure}", entity, measure)


def _figures(window: Window | None) -> list[int] | None:
    return None if window is None else [window.length, window.hop, window.delay]


ACTIVITY_WINDOWS = (
    Window("5m", 5 * MINUTE, 5 * SECOND),
    Window("1h", HOUR, MINUTE),
    Window("24h", DAY, 30 * MINUTE),
    Window("7d", 7 * DAY, 3 * HOUR),
    Window("14d", 14 * DAY, 3 * HOUR),
    Window("30d", 30 * DAY, 12 * HOUR),
)

# A chargeback takes about a week to arrive; younger transactions would all look legitimate.
OUTCOME = (
    Window("1d", DAY, 3 * HOUR, delay=7 * DAY),
    Window("7d", 7 * DAY, 3 * HOUR, delay=7 * DAY),
    Window("30d", 30 * DAY, 12 * HOUR, delay=7 * DAY),
)

_THREE_DAYS = Window("3d", 3 * DAY, 3 * HOUR)

# Of a user's habits.
_LONG = (Window("60d", 60 * DAY, 12 * HOUR), Window("90d", 90 * DAY, 12 * HOUR))

# Of how a merchant's frauds began and ended, which shows how long ago its terminal was compromised.
_OUTCOME_BY_WEEK = tuple(Window(f"{days}d", days * DAY, 3 * HOUR, delay=7 * DAY) for days in (1, 3, 7, 14, 21, 28))

# Of whether somebody pays with a user's card.
_LARGE = tuple((percent, window) for percent in (250, 400) for window in (_THREE_DAYS, *ACTIVITY_WINDOWS[3:5]))

# "Users of this device" is not among them: a device's users are spread over every partition, and neither stage is keyed by device.
FEATURE_SETS: dict[str, FeatureSet] = {
    "fraud_v1": FeatureSet("fraud_v1", ACTIVITY_WINDOWS, OUTCOME),
    "fraud_v2": FeatureSet("fraud_v2", ACTIVITY_WINDOWS, OUTCOME, devices=True),
    "fraud_v3": FeatureSet("fraud_v3", (ACTIVITY_WINDOWS[2], _THREE_DAYS, *ACTIVITY_WINDOWS[3:], *_LONG), _OUTCOME_BY_WEEK, large=_LARGE),
}
