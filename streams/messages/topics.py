"""Every topic: what it carries, its key, how long it keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from streams.messages.events import Alert, AlertAction, DeadLetter, Decision, UserRisk
from streams.messages.wire import LabelMessage, TransactionMessage, UserMessage

_DAY_MS = 86_400_000
_MAX_MESSAGE_BYTES = 8 << 20


@dataclass(frozen=True)
class Topic:
    """One topic. ``partitions`` None means the deployment's default; ``schema`` is a JSON topic's message type, None for what only we read.

    ``retention_ms`` None: compacted, the newest record of each key is kept. ``beside`` names a topic that has as many partitions.
    """

    name: str
    key: str
    about: str
    schema: type | None
    retention_ms: int | None
    partitions: int | None = None
    beside: str | None = None
    config: dict[str, str] = field(default_factory=dict)

    def settings(self) -> dict[str, str]:
        """The broker's settings of this topic."""
        if self.retention_ms is None:
            return {"cleanup.policy": "compact", **self.config}
        return {"cleanup.policy": "delete", "retention.ms": str(self.retention_ms), **self.config}

    def required(self) -> dict[str, str]:
        """Those without which records of it would be lost or misread; the rest is the operator's to choose."""
        return {name: value for name, value in self.settings().items() if name in ("cleanup.policy", STAMPING[0])}


@dataclass(frozen=True)
class TopicState:
    """A topic as its broker has it: how many partitions, on how many brokers each at least, and its settings, {} where one may not look."""

    partitions: int
    replicas: int
    settings: Mapping[str, str] = field(default_factory=dict)


DEFAULT_PARTITIONS = 4

# The broker stamps these, so that "event_time lies in the future" has one meaning for every reader of the log.
STAMPING = ("message.timestamp.type", "LogAppendTime")
_STAMPED_BY_BROKER = {STAMPING[0]: STAMPING[1], "max.message.bytes": str(_MAX_MESSAGE_BYTES)}
# A recovery reads all of a partition: what is overwritten should go soon, and the active segment is never compacted.
_COMPACTED_SOON = {
    "segment.bytes": str(32 << 20),
    "segment.ms": "600000",
    "min.cleanable.dirty.ratio": "0.1",
    "max.compaction.lag.ms": "600000",
}
_LARGE = {"max.message.bytes": str(_MAX_MESSAGE_BYTES)}

TRANSACTIONS = Topic(
    "transactions",
    "user_id",
    "transactions to score and, copied by Tidemark, labels: everything about a user in one order",
    TransactionMessage,
    90 * _DAY_MS,
    config=_STAMPED_BY_BROKER,
)
LABELS = Topic(
    "labels",
    "user_id",
    "what transactions turned out to be; copied onto transactions",
    LabelMessage,
    90 * _DAY_MS,
    config=_STAMPED_BY_BROKER,
)
USERS = Topic(
    "users",
    "user_id",
    "what is known of each user, the newest record of each",
    UserMessage,
    None,
    config=_COMPACTED_SOON | _STAMPED_BY_BROKER,
)
BY_MERCHANT = Topic(
    "transactions.by-merchant",
    "merchant_id",
    "transactions with their user's features, as Arrow batches",
    None,
    90 * _DAY_MS,
    config=_LARGE,
)
DECISIONS = Topic("decisions", "user_id", "one decision for each valid transaction", Decision, 90 * _DAY_MS)
DEAD_LETTERS = Topic("dead-letters", "none", "one for each input that could not be taken", DeadLetter, 90 * _DAY_MS, config=_LARGE)
SCORING_LOG = Topic(
    "scoring-log",
    "none",
    "what each decision rested on: vector, probability, positions, as Arrow batches",
    None,
    90 * _DAY_MS,
    config=_LARGE,
)
USER_RISK = Topic("user-risk", "user_id", "the newest risk of each user, sent once a day", UserRisk, None, config=_COMPACTED_SOON)

MONITOR_HOURS = Topic(
    "monitor.hours",
    "none",
    "what MONITOR has counted, hour by hour",
    None,
    90 * _DAY_MS,
    partitions=1,
    config=_LARGE,
)
ALERTS_DRIFT = Topic("alerts.drift", "alert_id", "inputs that are no longer what a model was made of", Alert, 90 * _DAY_MS, partitions=1)
ALERTS_QUALITY = Topic("alerts.quality", "alert_id", "values that are missing or unknown", Alert, 90 * _DAY_MS, partitions=1)
ALERTS_PERFORMANCE = Topic("alerts.performance", "alert_id", "models that decide worse than they should", Alert, 90 * _DAY_MS, partitions=1)
ACTIONS = Topic("actions", "alert_id", "what was done for which alert", AlertAction, 90 * _DAY_MS, partitions=1)

STATE_USERS = Topic(
    "state.users",
    "user_id",
    "what INGEST knows of each user, for its recovery",
    None,
    None,
    beside=TRANSACTIONS.name,
    config=_COMPACTED_SOON | _LARGE,
)
STATE_MERCHANTS = Topic(
    "state.merchants",
    "merchant_id",
    "what SCORE knows of each merchant, for its recovery",
    None,
    None,
    beside=BY_MERCHANT.name,
    config=_COMPACTED_SOON | _LARGE,
)

STATE_MONITOR = Topic(
    "state.monitor",
    "one",
    "what MONITOR has counted and not reported yet",
    None,
    None,
    beside=SCORING_LOG.name,
    config=_COMPACTED_SOON | _LARGE,
)
STATE_ALERTS = Topic("state.alerts", "one", "what alerts rest on", None, None, partitions=1, config=_COMPACTED_SOON | _LARGE)

DEPLOYMENT = Topic(
    "deployment", "what it is", "the deployment's currency and feature set", None, None, partitions=1, config=_COMPACTED_SOON
)

TOPICS = (
    *(TRANSACTIONS, LABELS, USERS, BY_MERCHANT, DECISIONS, DEAD_LETTERS, SCORING_LOG, USER_RISK, STATE_USERS, STATE_MERCHANTS),
    *(MONITOR_HOURS, ALERTS_DRIFT, ALERTS_QUALITY, ALERTS_PERFORMANCE, ACTIONS, STATE_MONITOR, STATE_ALERTS, DEPLOYMENT),
)

STAMPED = frozenset(topic.name for topic in TOPICS if STAMPING in topic.config.items())
"""The topics whose records the broker stamps."""
