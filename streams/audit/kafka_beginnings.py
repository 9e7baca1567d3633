"""From where an audit of a deployment begins: where the last one ended that found nothing, or with the logs."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from msgspec import structs

from features.errors import START_OVER, UserError
from streams.audit.arrow_saved_audits import Found, SavedAudits
from streams.audit.saved_audit import AuditedSoFar, Beginning, SavedAudit, beginning_of_logs, created_again, differs_in
from streams.config import DeploymentConfig
from streams.kafka.log import KafkaLog
from streams.kafka.out_of_range import require_within
from streams.messages.topics import BY_MERCHANT, DECISIONS, SCORING_LOG, TRANSACTIONS, Topic

AUDITED = (TRANSACTIONS, BY_MERCHANT, SCORING_LOG, DECISIONS)


@dataclass(frozen=True)
class Logs:
    """The audited topics of a deployment: how many partitions each has, by name."""

    log: KafkaLog
    partitions: Mapping[str, int]

    def topic_ids(self) -> dict[str, str]:
        """What tells each from others of its name; "" where the broker can't."""
        return {topic.name: self.log.topic_id(topic.name) or "" for topic in AUDITED}

    def are_kept_from(self, positions: Mapping[str, list[int]]) -> bool:
        """Whether no partition has lost anything from there on."""
        return all(
            self.log.bounds(topic, partition)[0] <= offset
            for topic, offsets in positions.items()
            for partition, offset in enumerate(offsets)
        )

    def require_kept(self, topic: Topic, positions: Mapping[int, int], aside: str = "") -> int:
        """How many offsets there are from these positions on, by partition. Raises UserError if some of them are gone; ``aside`` says why
        no saved audit helps."""
        also = f" ({aside})" if aside else ""
        total = 0
        for partition, position in positions.items():
            begin, end = self.log.bounds(topic.name, partition)
            where = f"{topic.name}[{partition}]"
            if position:
                require_within(where, "the audit", position, lambda where=partition: self.log.bounds(topic.name, where))  # type: ignore[misc]
            elif begin > 0:
                raise UserError(
                    f"{where} begins at offset {begin}: the log has lost what an audit must look at{also}; raise retention.ms, run "
                    "`tidemark audit --all` more often than that, since it goes on from the one before, and to audit what comes from now "
                    f"on {START_OVER}"
                )
            total += max(0, end - position)
        return total


class Start(NamedTuple):
    """Where to begin. ``aside`` says why the last that is saved isn't gone on from, "" if it is or if there is none."""

    since: SavedAudit | None
    beginnings: list[Beginning]
    aside: str = ""


def start(config: DeploymentConfig, logs: Logs, saved: SavedAudits | None) -> Start:
    """Where to begin: with the logs if there is no ``saved`` audit of these topics.

    What was changed, or is of topics that are gone, is left aside.
    """
    recomputed = {topic.name: logs.partitions[topic.name] for topic in (TRANSACTIONS, BY_MERCHANT)}
    whole = beginning_of_logs(*recomputed.values())
    found, unusable = ([], []) if saved is None else saved.found()
    if not found:
        return Start(None, [whole], "; ".join(unusable))
    ids = logs.topic_ids()
    differs = [differs_in(one.so_far, config.feature_set.digest, config.currency, recomputed, ids) for one in found]
    if differs[0]:
        return Start(None, [whole], "; ".join([*unusable, f"the saved audit is left aside, for {differs[0]}"]))
    fitting = [one for one, why in zip(found, differs, strict=True) if not why]
    since = fitting[0].load()
    beginnings = [_beginning(one, since if one is fitting[0] else None) for one in fitting if logs.are_kept_from(_read(one.so_far))]
    if logs.are_kept_from({topic: [0] * count for topic, count in recomputed.items()}):
        beginnings.append(whole)
    return Start(since._replace(so_far=_on_what_is_there(since.so_far, ids, logs.partitions)), beginnings, "; ".join(unusable))


def _on_what_is_there(so_far: AuditedSoFar, ids: Mapping[str, str], partitions: Mapping[str, int]) -> AuditedSoFar:
    """The same, from the beginning of those topics that were created again: what they had and nobody has audited shows as missing."""
    begun = {topic: [0] * partitions[topic] for topic in created_again(so_far, ids)}
    return structs.replace(so_far, positions={**so_far.positions, **begun})


def _beginning(found: Found, loaded: SavedAudit | None) -> Beginning:
    positions = found.so_far.positions
    load = cache(lambda: (loaded or found.load()).recomputation)
    return Beginning(positions[TRANSACTIONS.name], positions[BY_MERCHANT.name], load)


def _read(so_far: AuditedSoFar) -> dict[str, list[int]]:
    """The positions from which a recomputation would read."""
    return {topic.name: so_far.positions[topic.name] for topic in (TRANSACTIONS, BY_MERCHANT)}
