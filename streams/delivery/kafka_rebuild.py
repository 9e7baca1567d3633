"""Builds the states of another feature set from the logs, beside the present ones, while no worker runs.

A state can't be turned into one with other windows, for its tiles are no finer than its own windows need. So it is computed again from the
whole log, up to where the stages stand. The workers of that feature set then go on from there; those of the former one could too, as long
as nobody else has moved on.
"""

from collections.abc import Callable, Sequence
from functools import partial

from features.definitions import FeatureSet
from features.errors import UserError
from features.online.views import feature_set_of
from streams.config import INGEST, SCORE, DeploymentConfig
from streams.ingest import reapply
from streams.kafka.admin import partition_count
from streams.kafka.client import KafkaClients
from streams.kafka.groups import Groups
from streams.kafka.log import KafkaLog
from streams.kafka.producer import StageProducer
from streams.messages import batches
from streams.messages.record import LogRecord, Record
from streams.messages.seal import Seal
from streams.messages.topics import BY_MERCHANT, STATE_MERCHANTS, STATE_USERS, TRANSACTIONS, Topic
from streams.messages.validation import Validator
from streams.score import relearn
from streams.state.merchants import ScoreState
from streams.state.saved_state import Savable, start_over
from streams.state.users import IngestState

_CHUNK_KEYS = 20_000
_TIMEOUT_S = 15


def rebuild(config: DeploymentConfig, report: Callable[[str], None]) -> None:
    """Builds the states of ``config.feature_set``; ``report`` gets a line for each partition.

    Raises UserError, before anything is written, if workers run, if SCORE hasn't decided yet what INGEST has sent, or if the logs have
    lost their beginning.
    """
    Groups(KafkaClients.of(config), _TIMEOUT_S).require_nobody([config.group(stage) for stage in (INGEST, SCORE)])
    users = _Side(config, INGEST, TRANSACTIONS, STATE_USERS)
    merchants = _Side(config, SCORE, BY_MERCHANT, STATE_MERCHANTS)
    try:
        users.require_whole()
        merchants.require_whole()
        merchants.require_drained()
        for partition in range(users.count):
            validator = Validator(TRANSACTIONS.name, partition, users.count, config.currency, Seal(config.answer_key))
            state = IngestState(config.feature_set, validator, merchants.count)
            users.build(partition, state, partial(reapply, state), report)
        for partition in range(merchants.count):
            merchant_state = ScoreState(config.feature_set, merchants.count, users.count, config.currency)
            merchants.build(partition, merchant_state, partial(_relearn, merchant_state, partition), report)
    finally:
        users.close()
        merchants.close()


class _Side:
    """One stage's log and its states."""

    def __init__(self, config: DeploymentConfig, stage: str, source: Topic, states: Topic) -> None:
        kafka = KafkaClients.of(config)
        self.count = partition_count(kafka, source.name)
        self._source, self._states = source, states
        self._seal = Seal(config.answer_key)
        self._log = KafkaLog(kafka, config.group(stage))
        self._producer = StageProducer(kafka, transactional_id=f"{config.group(stage)}-rebuild")
        self._producer.fence()
        self._positions = self._log.positions(source.name, range(self.count))

    def require_whole(self) -> None:
        for partition in range(self.count):
            begin, _ = self._log.bounds(self._source.name, partition)
            if begin > 0:
                raise UserError(
                    f"{self._source.name}[{partition}] begins at offset {begin}: the log no longer has all that the states rest on; "
                    "replay the whole history into a new deployment"
                )

    def require_drained(self) -> None:
        for partition, position in self._positions.items():
            if self._log.has_records(self._source.name, partition, position):
                raise UserError(
                    f"{self._source.name}[{partition}] has records from offset {position} on that were made for the former features; "
                    "let a worker with these decide them first: tidemark worker --until-idle"
                )

    def build(self, partition: int, state: Savable, learn: Callable[[Sequence[LogRecord]], None], report: Callable[[str], None]) -> None:
        position = self._positions[partition]
        saver = start_over(state, self._log.newest(self._states.name, partition, self._seal))
        saver.source_id = self._log.topic_id(self._source.name) or ""
        for records in self._log.read(self._source.name, partition, 0, position):
            learn([record for record in records if self._counts(partition, record)])
        while saver.in_round or saver.saved != position:
            self._producer.begin()
            for key, value in saver.chunk(position, _CHUNK_KEYS):
                seal = self._seal.header(self._states.name, partition, key, value)
                self._producer.send(self._states.name, value, key, partition, [seal])
            self._producer.commit()
        report(f"{self._states.name}[{partition}]: {len(state.entity):,} keys as of offset {position:,}")

    def _counts(self, partition: int, record: LogRecord) -> bool:
        return self._source is not BY_MERCHANT or self._seal.is_ours(BY_MERCHANT.name, partition, record)

    def close(self) -> None:
        self._producer.close()
        self._log.close()


def _relearn(state: ScoreState, partition: int, records: Sequence[LogRecord]) -> None:
    relearn(state, [decode_any(record, partition) for record in records])


def decode_any(record: Record, partition: int) -> batches.Batch:
    """A record of transactions.by-merchant as a batch, whichever feature set it was made for."""
    feature_set: FeatureSet = feature_set_of(dict(record.headers)[batches.FEATURES].decode())
    schema = batches.batch_schema(feature_set)
    return batches.decode(record.value or b"", record.headers, (partition, record.offset), schema, feature_set)
