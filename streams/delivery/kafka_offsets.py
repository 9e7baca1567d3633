"""Where the stages' groups stand, who has set that, and the way back for what another tool has changed, or Kafka has forgotten."""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from typing import NamedTuple

import pyarrow.compute as pc

from features.errors import START_OVER, UserError
from streams.config import INGEST, LABELS_COPY, PROFILES, SCORE, DeploymentConfig
from streams.delivery.restored_positions import gaps_in, scored_up_to
from streams.ingest import ingest, reapply
from streams.kafka.admin import partition_count
from streams.kafka.client import KafkaClients
from streams.kafka.groups import Groups
from streams.kafka.log import KafkaLog
from streams.kafka.out_of_range import require_within
from streams.kafka.producer import StageProducer
from streams.messages import batches, scoring_log
from streams.messages.batches import Batch
from streams.messages.dead_letters import refused_transactions
from streams.messages.record import LogRecord, SourcePosition
from streams.messages.seal import Seal
from streams.messages.topics import BY_MERCHANT, DEAD_LETTERS, LABELS, SCORING_LOG, STATE_MERCHANTS, STATE_USERS, TRANSACTIONS, USERS
from streams.messages.validation import Validator
from streams.state import saved_state
from streams.state.merchants import ScoreState
from streams.state.saved_state import Savable
from streams.state.users import IngestState

_SOURCES = {LABELS_COPY: LABELS, INGEST: TRANSACTIONS, SCORE: BY_MERCHANT, PROFILES: USERS}
_TIMEOUT_S = 15.0

Report = Callable[[str], None]


class StageOffset(NamedTuple):
    """A group's offset of a partition, None before its first commit, where the log begins and ends, and whether Tidemark committed it."""

    stage: str
    group: str
    topic: str
    partition: int
    offset: int | None
    begin: int
    end: int
    is_ours: bool

    @property
    def where(self) -> str:
        """The group and the partition, for people."""
        return f"{self.group} {self.topic}[{self.partition}]"


class StageOffsets:
    """The offsets of a deployment's stages. Close it after use."""

    def __init__(self, config: DeploymentConfig) -> None:
        self._config = config
        self._kafka = KafkaClients.of(config)
        self._seal = Seal(config.answer_key)
        self._counts = {stage: partition_count(self._kafka, topic.name) for stage, topic in _SOURCES.items()}
        self._logs = {stage: KafkaLog(self._kafka, config.group(stage)) for stage in _SOURCES}
        self._log = self._logs[SCORE]

    def close(self) -> None:
        """Lets go of the connections."""
        for log in self._logs.values():
            log.close()

    def all(self) -> list[StageOffset]:
        """Every stage's, partition by partition."""
        found = []
        for stage, topic in _SOURCES.items():
            log = self._logs[stage]
            for number in range(self._counts[stage]):
                offset, bounds = log.committed(topic.name, number), log.bounds(topic.name, number)
                found.append(StageOffset(stage, log.group, topic.name, number, offset, *bounds, log.is_ours(topic.name, number)))
        return found

    def restore(self, report: Report) -> None:
        """Sets what another tool has changed, or Kafka has forgotten, to where the stage was, and has INGEST's rows sent again that
        transactions.by-merchant lacks. ``report`` gets a line for each.

        INGEST and SCORE lose nothing by it and repeat no decision; LABELS and PROFILES begin anew, which changes nothing, for a label
        counts once and a user's newest record is the one that counts, but dead letters about their records are sent again. Raises
        UserError, before anything is written, if workers run or the logs no longer have what that needs.
        """
        Groups(self._kafka, _TIMEOUT_S).require_nobody([self._config.group(stage) for stage in _SOURCES])
        wanted = [(found, position) for found in self.all() if (position := self._wanted(found)) is not None]
        for found, position in wanted:
            bounds = found.begin, found.end
            require_within(f"{found.topic}[{found.partition}]", f"stage {found.stage}", position, lambda bounds=bounds: bounds)  # type: ignore[misc]
        reached = {found.partition: position for found, position in wanted if found.stage == INGEST}
        missing = {source: begin for source, begin in self._missing().items() if begin < self._ingested(source, reached)}
        for source, begin in missing.items():
            self._require_whole(source, begin)
        for source, begin in missing.items():
            end = self._ingested(source, reached)
            self._send_again(source, begin, end)
            report(f"{TRANSACTIONS.name}[{source}]: the rows of offsets {begin} to {end - 1} are sent again to {BY_MERCHANT.name}")
        for found, position in wanted:
            self._logs[found.stage].commit(found.topic, {found.partition: position})
            before = "none" if found.offset is None else f"{found.offset}"
            report(f"{found.where}: {before} before, {position} now")

    def _wanted(self, found: StageOffset) -> int | None:
        """Where the stage was, if its offset is not to be relied on."""
        if found.stage in (LABELS_COPY, PROFILES):
            return None if found.is_ours else self._logs[found.stage].bounds(found.topic, found.partition)[0]
        if found.stage == INGEST:
            saved, latest = self._saved(self._users(found.partition), STATE_USERS.name, found.partition)
            return latest if _is_wrong(found, saved) else None
        saved, _ = self._saved(self._merchants(), STATE_MERCHANTS.name, found.partition)
        return self._scored(found.partition) if _is_wrong(found, saved) else None

    def _saved(self, state: Savable, topic: str, partition: int) -> tuple[int | None, int]:
        """Up to where a state was saved, and how far its stage had come by then; the state becomes the one that was saved."""
        restored = saved_state.restore(state, self._log.newest(topic, partition, self._seal), f"{topic}[{partition}]")
        return restored.saved, restored.latest

    def _scored(self, partition: int) -> int:
        state = self._merchants()
        saved, latest = self._saved(state, STATE_MERCHANTS.name, partition)
        # A record that was given up is admitted like any other here.
        state.failed = set()
        return scored_up_to(self._batches(partition, saved or 0), state, max(latest, self._logged_up_to(partition)), self._refused())

    def _logged_up_to(self, partition: int) -> int:
        """The position behind the last batch of a partition of transactions.by-merchant of which scoring-log has rows."""
        found = 0
        for number, record in self._records(SCORING_LOG.name):
            if not self._seal.is_ours(SCORING_LOG.name, number, record):
                continue
            rows = scoring_log.decode(record.value or b"")
            offsets = rows["log_offset"].filter(pc.equal(rows["log_partition"], partition))
            found = max(found, (pc.max(offsets).as_py() if len(offsets) else -1) + 1)
        return found

    def _refused(self) -> set[SourcePosition]:
        """The records of transactions of which there are dead letters."""
        return refused_transactions((record for _, record in self._records(DEAD_LETTERS.name)), self._seal)

    def _missing(self) -> dict[int, int]:
        """Of each source partition with rows that transactions.by-merchant lacks, the offset from which on they must be sent again."""
        found: dict[int, int] = {}
        for target in range(self._counts[SCORE]):
            state, begin = self._merchants(), self._log.bounds(BY_MERCHANT.name, target)[0]
            if begin > 0:
                begin = self._saved(state, STATE_MERCHANTS.name, target)[0] or begin
            for source, gap in gaps_in(self._batches(target, begin), state).items():
                found[source] = min(found.get(source, gap.applied + 1), gap.applied + 1)
        return found

    def _ingested(self, source: int, restored: dict[int, int]) -> int:
        """Where INGEST will go on."""
        return restored.get(source, self._logs[INGEST].committed(TRANSACTIONS.name, source) or 0)

    def _require_whole(self, source: int, begin: int) -> None:
        first, _ = self._log.bounds(TRANSACTIONS.name, source)
        if first > 0:
            raise UserError(
                f"{BY_MERCHANT.name} lacks rows of {TRANSACTIONS.name}[{source}] from offset {begin} on, which can only be computed from "
                f"its beginning, and it begins at offset {first}; {START_OVER}"
            )

    def _send_again(self, source: int, begin: int, end: int) -> None:
        """What INGEST sends for these records, which is the same whoever computes it."""
        state, producer = self._users(source), StageProducer(self._kafka)
        state.failed = saved_state.given_up(self._log.newest(STATE_USERS.name, source, self._seal))
        try:
            for records in self._log.read(TRANSACTIONS.name, source, 0, begin):
                reapply(state, records)
            for records in self._log.read(TRANSACTIONS.name, source, begin, end):
                for sent in ingest([(state, records)], Counter()):
                    seal = self._seal.header(BY_MERCHANT.name, sent.partition, None, sent.value, sent.headers)
                    producer.send(BY_MERCHANT.name, sent.value, partition=sent.partition, headers=[*sent.headers, seal])
            producer.flush()
        finally:
            producer.close()

    def _batches(self, partition: int, begin: int) -> Iterator[Batch]:
        _, end = self._log.bounds(BY_MERCHANT.name, partition)
        for records in self._log.read(BY_MERCHANT.name, partition, begin, end):
            for record in records:
                if self._seal.is_ours(BY_MERCHANT.name, partition, record):
                    yield batches.decode_order(record.value or b"", record.headers, (partition, record.offset))

    def _records(self, topic: str) -> Iterator[tuple[int, LogRecord]]:
        """All records of a topic, each with its partition."""
        for partition in range(partition_count(self._kafka, topic)):
            for record in chain.from_iterable(self._log.read(topic, partition, *self._log.bounds(topic, partition))):
                yield partition, record

    def _users(self, partition: int) -> IngestState:
        validator = Validator(TRANSACTIONS.name, partition, self._counts[INGEST], self._config.currency, self._seal)
        return IngestState(self._config.feature_set, validator, self._counts[SCORE])

    def _merchants(self) -> ScoreState:
        return ScoreState(self._config.feature_set, self._counts[SCORE], self._counts[INGEST], self._config.currency)


def _is_wrong(found: StageOffset, saved: int | None) -> bool:
    """Whether another tool has set the offset, or it isn't there, or behind what was saved, as a stage's own can't be."""
    return not found.is_ours or (saved is not None and (found.offset is None or found.offset < saved))
