"""PROFILES: takes users' newest records to the online store, for which nothing else is kept of them; the topic itself is the state."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from features.online.snapshot import Profile, Profiles
from streams.config import PROFILES, DeploymentConfig
from streams.kafka.admin import partition_count
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.kafka.positions import Positions
from streams.kafka.producer import Membership, StageProducer
from streams.messages.dead_letters import letter_header
from streams.messages.record import Record
from streams.messages.seal import Seal
from streams.messages.topics import DEAD_LETTERS, USERS
from streams.messages.validation import Validator
from streams.metrics.catalogue import Metric
from streams.metrics.prometheus_collectors import Value
from streams.online.feast_projector import Projector
from streams.online.profiles import fold

# While Redis is away, so many changed users are kept in memory; further records wait in Kafka.
_MOST_CHANGED = 50_000


@dataclass(slots=True)
class _Partition:
    """``reached``: the next offset to read. ``safe``: that up to which all is in the online store."""

    validator: Validator
    reached: int
    safe: int
    changed: dict[str, Profile | None] = field(default_factory=dict)


class UsersWorker:
    """A ``partitions.StageWorker``. A position is committed once the online store has all before it.

    Dead letters are acknowledged before that: after a failure some are sent twice, each names the offset it is about.
    """

    def __init__(self, config: DeploymentConfig) -> None:
        self._config = config
        kafka = KafkaClients.of(config)
        self._count = partition_count(kafka, USERS.name)
        self._log = KafkaLog(kafka, config.group(PROFILES))
        self._producer = StageProducer(kafka)
        self._seal = Seal(config.answer_key)
        self._projector = Projector(config.feast_path, config.application, PROFILES, config.feature_set.digest)
        self._partitions: dict[int, _Partition] = {}
        self.counts: Counter[str] = Counter()

    def ready(self) -> bool:
        """Whether there is room for what changes."""
        return sum(len(partition.changed) for partition in self._partitions.values()) < _MOST_CHANGED

    def figures(self) -> Iterator[tuple[Metric, Value]]:
        """How the online store follows; see ``stage_metrics.Measured``."""
        return self._projector.figures()

    def open(self, partitions: Collection[int], membership: Membership) -> Positions:
        """The group's positions."""
        positions = self._log.positions(USERS.name, partitions)
        self._partitions = {number: _Partition(self._validator(number), position, position) for number, position in positions.items()}
        return positions

    def process(self, records: Mapping[int, Sequence[Record]]) -> Positions:
        """Notes the users' profiles and sends dead letters of what was refused."""
        for number, read in records.items():
            partition = self._partitions[number]
            for letter in fold(read, partition.validator, partition.changed, self.counts):
                self._producer.send(DEAD_LETTERS.name, letter, headers=[letter_header(self._seal, letter)])
            partition.reached = read[-1].offset + 1
        self._producer.flush()
        return self.tick()

    def tick(self) -> Positions:
        """Offers what changed to the online store; what that has may be committed."""
        moved = {}
        for number, partition in self._partitions.items():
            self._projector.note(number, partition.reached)
            if self._projector.wants(number):
                self._offer(number, partition)
            flushed = self._projector.flushed(number)
            if flushed is not None and flushed > partition.safe:
                partition.safe = moved[number] = flushed
        return moved

    def close(self) -> Positions:
        """What isn't in the online store yet is read again by the next owner."""
        moved = self.tick()
        for number in self._partitions:
            self._projector.drop(number)
        self._partitions = {}
        return moved

    def end(self) -> None:
        """Closes the connections."""
        self._projector.close()
        self._producer.close()
        self._log.close()

    def _offer(self, number: int, partition: _Partition) -> None:
        everything = self._projector.wants_everything(number)
        if everything:
            partition.changed = self._all(number, partition)
        if everything or self._projector.flushed(number) != partition.reached:
            self._projector.offer(Profiles(number, partition.reached, partition.changed, everything))
            partition.changed = {}

    def _all(self, number: int, partition: _Partition) -> dict[str, Profile | None]:
        """The profiles of all users in the partition, up to where it is read."""
        found: dict[str, Profile | None] = {}
        begin, _ = self._log.bounds(USERS.name, number)
        for records in self._log.read(USERS.name, number, begin, partition.reached):
            fold(records, partition.validator, found, Counter())
        return found

    def _validator(self, number: int) -> Validator:
        return Validator(USERS.name, number, self._count, self._config.currency)
