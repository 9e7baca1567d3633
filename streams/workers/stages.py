"""The stages: each reads one topic, partition by partition.

What a stage alone needs is imported when it is connected: a stage's process starts in a fraction of the time that all of it would take.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from features.errors import UserError
from streams.config import ALERTS, INGEST, LABELS_COPY, MONITOR, PROFILES, SCORE, DeploymentConfig
from streams.kafka.reader import Fetching
from streams.messages.topics import (
    ALERTS_DRIFT,
    ALERTS_QUALITY,
    BY_MERCHANT,
    DEAD_LETTERS,
    DECISIONS,
    LABELS,
    MONITOR_HOURS,
    SCORING_LOG,
    STATE_ALERTS,
    STATE_MERCHANTS,
    STATE_MONITOR,
    STATE_USERS,
    TRANSACTIONS,
    USERS,
    Topic,
)
from streams.workers.partitions import Limit, StageWorker

_MB = 1 << 20


@dataclass(frozen=True)
class Stage:
    """A stage by name. ``topic`` is what it reads turn by turn, ``others`` what else it reads or writes.

    ``fetching`` says how records are gathered at low rates. A turn costs as much as hundreds of records (a transaction, Arrow, hand-overs
    between threads and processes), so a short wait saves more time than it takes. ``limit``: what a turn takes of a partition.
    """

    name: str
    topic: Topic
    others: tuple[Topic, ...]
    connect: Callable[[DeploymentConfig], StageWorker]
    fetching: Fetching
    limit: Limit


def chosen(names: Sequence[str], online: bool) -> tuple[str, ...]:
    """Those of the stages that are run: profiles are kept for the online store alone. Raises UserError unless all are stages, and any."""
    unknown = [name for name in names if name not in STAGES]
    if unknown or not names:
        raise UserError(f"there is no stage {', '.join(unknown) or '(none given)'}; choose from {', '.join(STAGES)}")
    return tuple(name for name in names if online or name != PROFILES)


def _labels(config: DeploymentConfig) -> StageWorker:
    from streams.stages.kafka_labels import LabelsWorker

    return LabelsWorker(config)


def _ingest(config: DeploymentConfig) -> StageWorker:
    from streams.stages.kafka_ingest import IngestWorker

    return IngestWorker(config)


def _score(config: DeploymentConfig) -> StageWorker:
    from streams.stages.kafka_score import ScoreWorker

    return ScoreWorker(config)


def _monitor(config: DeploymentConfig) -> StageWorker:
    from streams.stages.kafka_monitor import MonitorWorker

    return MonitorWorker(config)


def _alerts(config: DeploymentConfig) -> StageWorker:
    from streams.stages.kafka_alerts import AlertsWorker

    return AlertsWorker(config)


def _profiles(config: DeploymentConfig) -> StageWorker:
    from streams.online.kafka_profiles import UsersWorker

    return UsersWorker(config)


STAGES = {
    stage.name: stage
    for stage in (
        Stage(LABELS_COPY, LABELS, (TRANSACTIONS, DEAD_LETTERS), _labels, fetching=Fetching(0.2, 5_000), limit=Limit(5_000, _MB)),
        Stage(INGEST, TRANSACTIONS, (STATE_USERS, BY_MERCHANT), _ingest, fetching=Fetching(0.015, 8_000), limit=Limit(8_000, 8 * _MB)),
        # A record here is a batch of one to some thousand transactions, of some 200 bytes each. INGEST has gathered them; what it sends in
        # a turn comes within a millisecond or two, a record a partition.
        Stage(
            SCORE,
            BY_MERCHANT,
            (STATE_MERCHANTS, TRANSACTIONS, DECISIONS, SCORING_LOG, DEAD_LETTERS),
            _score,
            fetching=Fetching(0.5, 2_000, worthwhile=1, gather_s=0.002),
            limit=Limit(2_000, 2 * _MB),
        ),
        Stage(PROFILES, USERS, (DEAD_LETTERS,), _profiles, fetching=Fetching(0.2, 5_000), limit=Limit(5_000, _MB)),
        # Nobody waits for it within a second; each turn keeps a state of some kilobytes.
        Stage(
            MONITOR, SCORING_LOG, (STATE_MONITOR, MONITOR_HOURS), _monitor, Fetching(1.0, 2_000, 4 * _MB, gather_s=0.2), Limit(500, 8 * _MB)
        ),
        Stage(ALERTS, MONITOR_HOURS, (STATE_ALERTS, ALERTS_DRIFT, ALERTS_QUALITY), _alerts, Fetching(0.5, 1_000), Limit(200, 8 * _MB)),
    )
}
