"""The auditor on a deployment: reads its logs, its models and its online store."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

from features.errors import UserError
from features.feast_online import KeyState, OnlineReader, OnlineStoreError
from models import mlflow_registry
from models.scoring import Scorer
from streams import scoring_log, store_audit
from streams.auditor import Auditor
from streams.config import StreamConfig
from streams.events import Decision, decode_decision
from streams.kafka_log import KafkaLog
from streams.kafka_topics import partition_count
from streams.partitioner import partition_of
from streams.recomputation import Shape, Watcher
from streams.saved_state import given_up
from streams.score import Observed
from streams.scored import Scored
from streams.store_audit import KeyName, StoreMismatch
from streams.topics import BY_MERCHANT, DECISIONS, SCORING_LOG, STATE_MERCHANTS, STATE_USERS, TRANSACTIONS

# So many transactions' rows are held at once.
_ROUND = 50_000
_STORE_TIMEOUT_S = 2.0
_LOOK_AGAIN_S = 0.5


class KafkaAudit:
    """An auditor and what it reads. Close it after use.

    ``sample``: about so many decisions are compared, all if None. Raises UserError if the logs have lost their beginning.
    """

    def __init__(
        self,
        config: StreamConfig,
        sample: int | None = None,
        oracle_share: float = 0.0,
        watchers: Sequence[Callable[[Shape], Watcher]] = (),
        observers: Sequence[Callable[[Observed], None]] = (),
    ) -> None:
        self._config = config
        self._log = KafkaLog(config.kafka, f"{config.application}-audit")
        self._scoring_log = range(partition_count(config.kafka, SCORING_LOG.name))
        self.positions = {partition: self._log.bounds(SCORING_LOG.name, partition)[0] for partition in self._scoring_log}
        self.shape = self._shape()
        transactions = self._require_whole()
        portion = 1.0 if sample is None else min(1.0, sample / max(1, transactions))
        made = [watcher(self.shape) for watcher in watchers]
        self.auditor = Auditor(config.feature_set, self.shape, self._log.read, self._scorers(), portion, oracle_share, made, observers)

    def catch_up(self, advance: Callable[[int], None] = lambda _: None) -> int:
        """Takes what the scoring log has by now, all partitions in step; ``advance`` is told of every so many rows. Returns how many."""
        ends = {partition: self._log.bounds(SCORING_LOG.name, partition)[1] for partition in self._scoring_log}
        begins, taken = dict(self.positions), 0
        rounds = max(1, sum(self._unlearned()) // _ROUND)
        for number in range(1, rounds + 1):
            rows: list[pa.Table] = []
            for partition, end in ends.items():
                until = begins[partition] + (end - begins[partition]) * number // rounds
                rows += self._rows(partition, self.positions[partition], until)
                self.positions[partition] = until
            if rows:
                self.auditor.take(rows)
                taken += sum(map(len, rows))
                advance(sum(map(len, rows)))
        return taken

    def check_store(self, most: int, patience_s: float) -> tuple[int, list[StoreMismatch]]:
        """Compares up to ``most`` users' and merchants' states with what the online store serves; one that is merely behind is given
        ``patience_s`` seconds. Returns how many keys were compared, and what is wrong. Raises UserError if the store doesn't answer."""
        reader = OnlineReader(self._config.feast_path, timeout=_STORE_TIMEOUT_S)
        keys = store_audit.keys_to_check(self.auditor, most)
        wrong, behind = store_audit.compare(self._config.feature_set, self.auditor, _served(reader, keys))
        deadline = time.monotonic() + patience_s
        while behind and time.monotonic() < deadline:
            time.sleep(_LOOK_AGAIN_S)
            found, behind = store_audit.compare(self._config.feature_set, self.auditor, _served(reader, behind))
            wrong += found
        return len(keys), wrong + store_audit.lagging(behind, patience_s)

    def find(self, transaction_id: str) -> pa.Table:
        """The rows of the scoring log with this id, of whichever user; several if several users have used it."""
        found = []
        for partition in self._scoring_log:
            for rows in self._rows(partition, *self._log.bounds(SCORING_LOG.name, partition)):
                here = rows.filter(pc.equal(rows["transaction_id"], transaction_id))
                if len(here):
                    found.append(here)
        if not found:
            raise UserError(
                f"no decision on transaction {transaction_id!r} is in {SCORING_LOG.name}; look whether the id is right, and among "
                "the dead letters"
            )
        return pa.concat_tables(found)

    def decision(self, scored: Scored) -> Decision | None:
        """What ``decisions`` says about it; None if it isn't there any more."""
        partition = partition_of(scored.user_id.encode(), partition_count(self._config.kafka, DECISIONS.name))
        for records in self._log.read(DECISIONS.name, partition, *self._log.bounds(DECISIONS.name, partition)):
            for record in records:
                decision = decode_decision(record.value or b"")
                if (decision.source.partition, decision.source.offset) == scored.place:
                    return decision
        return None

    def close(self) -> None:
        """Lets go of the connection."""
        self._log.close()

    def _rows(self, partition: int, begin: int, end: int) -> Iterator[pa.Table]:
        for records in self._log.read(SCORING_LOG.name, partition, begin, end):
            for record in records:
                yield scoring_log.decode(record.value or b"")

    def _unlearned(self) -> Iterator[int]:
        for source, learned in enumerate(self.auditor.recomputation.learned):
            yield self._log.bounds(TRANSACTIONS.name, source)[1] - learned

    def _shape(self) -> Shape:
        counts = [partition_count(self._config.kafka, topic.name) for topic in (TRANSACTIONS, BY_MERCHANT)]
        failed = [
            frozenset(place for partition in range(count) for place in given_up(self._log.newest(states.name, partition)))
            for states, count in zip((STATE_USERS, STATE_MERCHANTS), counts, strict=True)
        ]
        return Shape(self._config.currency, counts[0], counts[1], *failed)

    def _require_whole(self) -> int:
        """How many records the log of transactions has."""
        total = 0
        for topic, count in ((TRANSACTIONS, self.shape.sources), (BY_MERCHANT, self.shape.targets)):
            for partition in range(count):
                begin, end = self._log.bounds(topic.name, partition)
                if begin > 0:
                    raise UserError(
                        f"{topic.name}[{partition}] begins at offset {begin}: the log has lost what vectors must be recomputed from; raise "
                        "retention.ms, and to audit what comes from now on replay the history into a new application"
                    )
                total += end if topic is TRANSACTIONS else 0
        return total

    def _scorers(self) -> Callable[[str], Scorer]:
        return cache(lambda digest: mlflow_registry.load_digest(digest, self._config.mlflow))


def _served(reader: OnlineReader, keys: Sequence[KeyName]) -> dict[KeyName, KeyState | None]:
    served: dict[KeyName, KeyState | None] = {}
    try:
        for entity, key in keys:
            served[entity, key] = reader.state(entity, key)
    except OnlineStoreError as error:
        raise UserError(str(error)) from error
    return served
