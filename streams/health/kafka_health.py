"""What Kafka shows of a deployment: its topics, where its stages stand, what holds them back, and what came of the last hour's records."""

import time
from collections import Counter
from collections.abc import Iterator
from itertools import chain

from features.errors import UserError
from streams.config import INGEST, SCORE, DeploymentConfig
from streams.control import kafka_facts
from streams.delivery.kafka_marks import sent_replays
from streams.delivery.kafka_offsets import StageOffset, StageOffsets
from streams.health import findings
from streams.health.findings import Finding, PartitionSeen, StageSeen
from streams.health.kafka_held_back import held_back
from streams.kafka.admin import ClusterState, cluster_state
from streams.kafka.client import KafkaClients
from streams.kafka.groups import Groups
from streams.kafka.log import KafkaLog
from streams.messages.dead_letters import letter_in
from streams.messages.headers import mark_of
from streams.messages.record import LogRecord
from streams.messages.seal import Seal
from streams.messages.topics import BY_MERCHANT, DEAD_LETTERS, DECISIONS, STAMPED, STATE_MERCHANTS, STATE_USERS, TOPICS, TRANSACTIONS, Topic
from streams.state.saved_state import source_in

_TIMEOUT_S = 10.0
_HOUR_MS = 3_600_000
# So many offsets a partition tell how much goes wrong, and what.
_SAMPLE = 2_000
_FIRST_LOOK = 100


class KafkaHealth:
    """Looks at a deployment's Kafka. Close it after use. Raises UserError if it can't be reached."""

    def __init__(self, config: DeploymentConfig) -> None:
        self._config, self._kafka, self._seal = config, KafkaClients.of(config), Seal(config.answer_key)
        self._cluster: ClusterState = cluster_state(self._kafka)
        self._stable, self._all = (KafkaLog(self._kafka, f"{config.application}-health", committed_only=only) for only in (True, False))

    def close(self) -> None:
        """Lets go of the connections."""
        self._stable.close()
        self._all.close()

    def examine(self) -> list[Finding]:
        """Everything, in the order in which it is needed. Raises KafkaException if Kafka fails meanwhile."""
        found = findings.of_topics(self._cluster.topics, self._cluster.brokers)
        if len(self._cluster.topics) < len(TOPICS):
            return found
        return [*found, self._facts(), *self._of_stages(), self._decisions(), self._dead_letters()]

    def newest_stamp(self) -> int | None:
        """When the broker last stamped one of our records, ms; None if it never did."""
        stamps = map(self._newest, STAMPED)
        return max((stamp for stamp in stamps if stamp is not None), default=None)

    def _facts(self) -> Finding:
        try:
            kafka_facts.require_of(self._config)
        except UserError as error:
            return Finding.of_error("facts", error)
        return Finding("facts", True, f"feature set {self._config.features}, currency {self._config.currency}")

    def _of_stages(self) -> list[Finding]:
        offsets, groups = StageOffsets(self._config), Groups(self._kafka, _TIMEOUT_S)
        try:
            by_stage: dict[str, list[StageOffset]] = {}
            for offset in offsets.all():
                by_stage.setdefault(offset.stage, []).append(offset)
        finally:
            offsets.close()
        seen: list[StageSeen] = []
        unfinished: set[str] = set()
        held: list[tuple[str, int]] = []
        for stage, of_stage in by_stage.items():
            group, topic = of_stage[0].group, of_stage[0].topic
            partitions = [self._partition(offset) for offset in of_stage]
            strangers = groups.strangers(group, self._kafka.client_id)
            seen.append(StageSeen(stage, topic, groups.members(group), partitions, strangers))
            held += [(topic, part.partition) for part in partitions if part.end > part.stable]
            if stage == INGEST and not seen[-1].members:
                unfinished = {replay for part in partitions if (replay := self._unfinished_replay(part))}
        return [
            *self._of_states(),
            *map(findings.of_unfinished_replay, sorted(unfinished)),
            *findings.of_stages(seen),
            *map(findings.of_held_back, held_back(self._kafka, held)),
        ]

    def _unfinished_replay(self, at: PartitionSeen) -> str | None:
        """The aligned replay at which INGEST stands, for nobody has sent its end."""
        position = at.begin if at.offset is None else at.offset
        record = self._first(TRANSACTIONS.name, at.partition, position, at.stable) if at.begin <= position < at.stable else None
        mark = None if record is None else mark_of(record, at.partition, self._seal)
        if mark is None or mark.is_last:
            return None
        sent = sent_replays(self._stable, at.partition, self._seal).get(mark.replay)
        return None if sent is None or sent.is_over_before(position) else mark.replay

    def _of_states(self) -> Iterator[Finding]:
        """Saved states whose topic was created again: their offsets mean nothing in the present one."""
        for stage, source, states in ((INGEST, TRANSACTIONS, STATE_USERS), (SCORE, BY_MERCHANT, STATE_MERCHANTS)):
            present = self._stable.topic_id(source.name)
            saved = {found for number in range(self._cluster.topics[states.name].partitions) if (found := self._saved_of(states, number))}
            if present and saved - {present}:
                yield findings.of_another_source(stage, source.name, states.name)

    def _saved_of(self, states: Topic, number: int) -> str | None:
        """The id of the topic that the newest states are of, if the last records say so."""
        begin, end = self._stable.bounds(states.name, number)
        found = None
        for records in self._stable.read(states.name, number, max(begin, end - _SAMPLE), end):
            for record in records:
                if self._seal.is_ours(states.name, number, record):
                    found = source_in(record.key or b"", record.value) or found
        return found

    def _partition(self, at: StageOffset) -> PartitionSeen:
        _, end = self._all.bounds(at.topic, at.partition)
        position = at.begin if at.offset is None else at.offset
        waiting = self._first(at.topic, at.partition, position, at.end) if at.begin <= position < at.end else None
        waits_s = 0.0 if waiting is None else max(0.0, time.time() - waiting.timestamp / 1_000)
        return PartitionSeen(at.partition, at.offset, at.begin, at.end, end, at.is_ours, waits_s)

    def _decisions(self) -> Finding:
        newest = self._newest(DECISIONS.name)
        return findings.of_decisions(None if newest is None else max(0.0, time.time() - newest / 1_000))

    def _dead_letters(self) -> Finding:
        since = int(time.time() * 1_000) - _HOUR_MS
        letters: Counter[str] = Counter()
        for records, share in self._samples(DEAD_LETTERS.name, since):
            found = Counter(letter.reason for record in records if (letter := letter_in(record, self._seal)) is not None)
            letters += Counter({reason: round(count / share) for reason, count in found.items()})
        decisions = sum(round(len(records) / share) for records, share in self._samples(DECISIONS.name, since))
        return findings.of_dead_letters(letters, decisions)

    def _samples(self, topic: str, since: int) -> Iterator[tuple[list[LogRecord], float]]:
        """Of each partition, the newest records that were stamped ``since`` (ms), and which share of all of them that is. Markers of
        transactions take offsets too."""
        for number in range(self._cluster.topics[topic].partitions):
            first, end = self._stable.offset_at(topic, number, since), self._stable.bounds(topic, number)[1]
            begin = max(first, end - _SAMPLE)
            share = (end - begin) / (end - first) if end > first else 1.0
            yield list(chain.from_iterable(self._stable.read(topic, number, begin, end))), share

    def _newest(self, topic: str) -> int | None:
        """When the newest record of a topic was stamped, ms."""
        stamps = []
        for number in range(self._cluster.topics[topic].partitions):
            begin, end = self._stable.bounds(topic, number)
            look = _FIRST_LOOK
            # The newest offsets may be those of transactions' markers.
            while end > begin:
                stamp = self._last_stamp(topic, number, max(begin, end - look), end)
                if stamp is not None or end - look <= begin:
                    stamps += [] if stamp is None else [stamp]
                    break
                look *= 10
        return max(stamps, default=None)

    def _first(self, topic: str, number: int, begin: int, end: int) -> LogRecord | None:
        return next(chain.from_iterable(self._stable.read(topic, number, begin, end)), None)

    def _last_stamp(self, topic: str, number: int, begin: int, end: int) -> int | None:
        stamps = [record.timestamp for record in chain.from_iterable(self._stable.read(topic, number, begin, end))]
        return max(stamps, default=None)
