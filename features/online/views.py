"""What the online store holds of a key, as data: the views, their features and types.

Feast's views are generated from this, and what is written to Redis follows it. The states that a vector is finished from lie in
``user_state`` and ``merchant_state``; the other views are for people and programs who look a user up.
"""

from dataclasses import dataclass
from typing import Literal

from features.definitions import FEATURE_SETS, Entity, FeatureSet, Window

PROJECT = "tidemark"

# The join key of each entity in Feast.
JOIN_KEYS: dict[Entity, str] = {"user": "user_id", "merchant": "merchant_id"}

# The window of ``transaction_stats``.
STATS_WINDOW = "30d"

Kind = Literal["bytes", "string", "int64", "float64"]


@dataclass(frozen=True, slots=True)
class OnlineFeature:
    """One value of a view."""

    name: str
    kind: Kind
    description: str


@dataclass(frozen=True, slots=True)
class OnlineView:
    """One feature view: what is kept of each key of an entity. ``table``: that of the offline store with its past values, if it has any."""

    name: str
    entity: Entity
    description: str
    features: tuple[OnlineFeature, ...]
    table: str | None = None


def state_view(entity: Entity) -> OnlineView:
    """The view that holds an entity's encoded states and where in the log each stands.

    Its feature names carry the entity, for a request that joins both entities must distinguish them by bare name.
    """
    return OnlineView(
        f"{entity}_state",
        entity,
        f"The {entity}'s state, from which its features are finished at the time of a request.",
        (
            OnlineFeature(f"{entity}_state", "bytes", "The encoded state."),
            OnlineFeature(f"{entity}_partition", "int64", "The partition of the source topic that the state was computed from."),
            OnlineFeature(f"{entity}_offset", "int64", "The offset of the last source record that is in the state."),
            OnlineFeature(f"{entity}_digest", "string", "The digest of the feature set that the state was kept for."),
        ),
    )


TRANSACTION_STATS = OnlineView(
    "transaction_stats",
    "user",
    f"The user's last {STATS_WINDOW} as of the last transaction, that one included.",
    (
        OnlineFeature("avg_transaction_amount", "float64", "Mean amount, minor units."),
        OnlineFeature("transaction_count", "int64", "Number of transactions."),
    ),
    table="transaction_stats",
)

USER_TRANSACTION_STATS = OnlineView(
    "user_transaction_stats",
    "user",
    "All transactions of the user so far.",
    (
        OnlineFeature("avg_amount", "float64", "Mean amount, minor units."),
        OnlineFeature("count", "int64", "Number of transactions."),
    ),
    table="user_transaction_stats",
)

USER_PROFILE = OnlineView(
    "user_profile",
    "user",
    "The user as last sent on the topic users; the event timestamp is the moment since which this holds.",
    (
        OnlineFeature("created_at", "int64", "When the user was created, ms UTC."),
        OnlineFeature("country", "string", "The user's country."),
        OnlineFeature("segment", "string", "The user's segment."),
    ),
    table="users",
)

VIEWS = (TRANSACTION_STATS, USER_TRANSACTION_STATS, USER_PROFILE, state_view("user"), state_view("merchant"))


def stats_window(feature_set: FeatureSet) -> Window:
    """The window of a feature set that ``transaction_stats`` shows. Raises ValueError if the set has no such window."""
    for window in feature_set.activity:
        if window.name == STATS_WINDOW:
            return window
    raise ValueError(f"feature set {feature_set.name} has no window {STATS_WINDOW}, which transaction_stats shows; add it to its activity")


def request_fields(feature_set: FeatureSet) -> tuple[OnlineFeature, ...]:
    """What a request must bring beside the two keys, for Feast takes no field as optional; ``device_id`` may be null."""
    fields = (
        OnlineFeature("event_time", "int64", "When the transaction happens, ms UTC."),
        OnlineFeature("amount", "int64", "Its amount, minor units."),
    )
    device = OnlineFeature("device_id", "string", "The device it comes from, null if unknown.")
    return (*fields, device) if feature_set.devices else fields


def feature_set_of(digest: str) -> FeatureSet:
    """The feature set with this digest. Raises ValueError if none has it."""
    for feature_set in FEATURE_SETS.values():
        if feature_set.digest == digest:
            return feature_set
    raise ValueError(
        f"the online states were kept for features with digest {digest[:12]}…, which this version doesn't know; run its own workers"
    )
