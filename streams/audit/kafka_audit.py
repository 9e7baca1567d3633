"""The auditor on a deployment: reads its logs, its models and its online store."""

import heapq
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions import FEATURE_SETS
from features.errors import UserError
from features.online.feast_store import KeyState, OnlineReader, OnlineStoreError
from models.registry import mlflow_registry
from streams.audit import store as store_audit
from streams.audit.arrow_saved_audits import SavedAudits
from streams.audit.auditor import Auditor
from streams.audit.completeness import Completeness, Incomplete
from streams.audit.explanation import explanation
from streams.audit.kafka_beginnings import AUDITED, Logs, start
from streams.audit.places import Places
from streams.audit.recomputation import Shape, Watcher
from streams.audit.saved_audit import Accepted, AuditedSoFar, SavedAudit
from streams.audit.scored import Scored
from streams.audit.store import KeyName, StoreMismatch
from streams.config import INGEST, SCORE, DeploymentConfig
from streams.kafka.admin import partition_count
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.messages import batches, scoring_log
from streams.messages.code_digest import code_digest
from streams.messages.dead_letters import refused_transactions
from streams.messages.events import Decision, decode_decision
from streams.messages.partitioner import partition_of
from streams.messages.record import SourcePosition
from streams.messages.refusals import RefusedError, readable
from streams.messages.seal import Seal
from streams.messages.topics import BY_MERCHANT, DEAD_LETTERS, DECISIONS, SCORING_LOG, STATE_MERCHANTS, STATE_USERS, TRANSACTIONS, Topic
from streams.score import Observed
from streams.state.saved_state import given_up

# So many transactions' rows are held at once.
_ROUND, _AHEAD_KB = 50_000, 8_192
_STORE_TIMEOUT_S = 2.0
_LOOK_AGAIN_S = 0.5
# A broker ends those of a dead worker within 6 s; one of somebody else's may stay open for long.
_TRANSACTION_S = 15.0


class KafkaAudit:
    """An auditor and what it reads. Close it after use.

    ``sample``: about so many decisions are compared, all if None. It goes on from the last of the ``saved`` audits, if that is of these
    logs: ``since`` says from which, ``aside`` why it doesn't. Raises UserError if the logs have lost what it must look at.
    """

    def __init__(
        self,
        config: DeploymentConfig,
        sample: int | None = None,
        oracle_share: float = 0.0,
        watchers: Sequence[Watcher] = (),
        observers: Sequence[Callable[[Observed], None]] = (),
        saved: SavedAudits | None = None,
    ) -> None:
        self._config = config
        self._seal = Seal(config.answer_key)
        self._kafka = kafka = KafkaClients.of(config)
        self._log = KafkaLog(kafka, f"{config.application}-audit")
        self._logs = logs = Logs(self._log, {topic.name: partition_count(kafka, topic.name) for topic in AUDITED})
        self._all_records = KafkaLog(kafka, self._log.group, committed_only=False)
        self._stages = {stage: KafkaLog(kafka, config.group(stage)) for stage in (INGEST, SCORE)}
        self._scorer_of = cache(lambda digest: mlflow_registry.load_digest(digest, config.mlflow))
        scoring_logs = range(logs.partitions[SCORING_LOG.name])
        self._scoring_logs = {partition: KafkaLog(kafka, self._log.group, ahead_kb=_AHEAD_KB) for partition in scoring_logs}
        since, beginnings, self.aside = start(config, logs, saved)
        self.since = None if since is None else since.so_far
        self.shape = self._shape()
        transactions = logs.require_kept(TRANSACTIONS, self._begin(TRANSACTIONS), self.aside)
        logs.require_kept(BY_MERCHANT, self._begin(BY_MERCHANT), self.aside)
        portion = 1.0 if sample is None else min(1.0, sample / max(1, transactions))
        feature_set = config.feature_set
        self.completeness = Completeness(
            config.currency, feature_set.digest, lambda digest, probability: self._scorer_of(digest).judged(probability)
        )
        if since is not None:
            self.completeness.resume(since.completeness, since.so_far.settled)
        self.positions, self._published = self._begin(SCORING_LOG), self._begin(DECISIONS)
        self._settled: dict[int, int] = {}
        self._stood: dict[str, dict[int, int]] = {stage: {} for stage in self._stages}
        observing = (self.completeness.compute, *observers)
        self.auditor = Auditor(
            feature_set, self.shape, self._log.read, self._scorer_of, portion, oracle_share, watchers, observing, since, beginnings
        )

    def _begin(self, topic: Topic) -> dict[int, int]:
        """Where each partition is read from."""
        count = self._logs.partitions[topic.name]
        return dict(enumerate([0] * count if self.since is None else self.since.positions[topic.name]))

    def ahead(self) -> int:
        """How many offsets of scoring-log ``catch_up`` would read now."""
        return sum(max(0, self._log.bounds(SCORING_LOG.name, partition)[1] - begin) for partition, begin in self.positions.items())

    def catch_up(self, advance: Callable[[int], None] = lambda _: None) -> int:
        """Takes what scoring-log and decisions have by now; ``advance`` gets the number of offsets now and then. Returns how many rows
        there were.

        Raises UserError if one of the two has lost what wasn't read.
        """
        self._logs.require_kept(SCORING_LOG, self.positions, self.aside)
        self._logs.require_kept(DECISIONS, self._published, self.aside)
        # In this order: what is decided up to the positions lies before the ends, and what is published before the ends is logged.
        self._stood = {stage: self._committed(stage) for stage in self._stages}
        published = self._ends(DECISIONS.name, self._published)
        ends = self._ends(SCORING_LOG.name, self._scoring_logs)
        taken, round_, held = 0, list[pa.Table](), 0
        # In the order in which they were decided: what is far ahead on one partition would have to wait for the others.
        dated = (self._dated_rows(partition, begin, ends[partition]) for partition, begin in self.positions.items())
        passed = 0
        for _, offsets, rows in heapq.merge(*dated, key=lambda dated: dated[0]):
            self.completeness.log(rows)
            round_.append(rows)
            held, passed = held + len(rows), passed + offsets
            if held >= _ROUND:
                self.auditor.take(round_)
                advance(passed)
                taken, round_, held, passed = taken + held, [], 0, 0
        if round_:
            self.auditor.take(round_)
            advance(passed)
        self.positions = ends
        self._read_published(published, logged=True)
        self._read_published(self._ends(DECISIONS.name, self._published), logged=False)
        return taken + held

    def check_complete(self) -> list[Incomplete]:
        """What is not decided, up to where the stages stood when the logs were looked at last, or not published; what is new."""
        ingested, scored = self._stood[INGEST], self._stood[SCORE]
        self.auditor.bring_to(ingested, scored)
        recomputed = self.auditor.recomputation
        suspects = self.completeness.undecided(list(recomputed.unnamed()), ingested, self._waiting(recomputed.ordered))
        refused = self._refused() if suspects else set()
        found = self.completeness.note_undecided([place for place in suspects if place not in refused])
        found += self.completeness.missing()
        self._settled = self.completeness.settle(list(recomputed.unnamed()), recomputed.learned)
        self.auditor.forget_before(self._settled)
        return found

    def saved(self, accepted: Sequence[Accepted] = ()) -> SavedAudit:
        """What another audit needs to go on from here, after ``check_complete``, with what it needn't find again."""
        recomputed, tally, before = self.auditor.recomputation.saved(), self.auditor.audit.tally, self.since
        positions = {
            TRANSACTIONS.name: recomputed.learned,
            BY_MERCHANT.name: recomputed.ordered,
            SCORING_LOG.name: list(self.positions.values()),
            DECISIONS.name: list(self._published.values()),
        }
        so_far = AuditedSoFar(
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            audits=1 + (before.audits if before else 0),
            audited=tally.audited + (before.audited if before else 0),
            features=self._config.features,
            features_digest=self._config.feature_set.digest,
            currency=self._config.currency,
            code_digest=code_digest(),
            positions=positions,
            topic_ids=self._logs.topic_ids(),
            settled=self._settled,
            accepted=[*(before.accepted if before else ()), *accepted],
        )
        return SavedAudit(so_far, recomputed, self.auditor.audit.saved(), self.completeness.saved())

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

    def explain(self, transaction_id: str, user_id: str | None = None, advance: Callable[[int], None] = lambda _: None) -> dict[str, Any]:
        """See ``explanation``; ``advance`` gets how many offsets of scoring-log were looked through.

        Raises UserError if there is no such decision, or several users have used the id and none is named.
        """
        rows = self._find(transaction_id, user_id, advance)
        decided_on = rows["features_digest"][0].as_py()
        if decided_on != self._config.feature_set.digest:
            known = next((name for name, known in FEATURE_SETS.items() if known.digest == decided_on), None)
            mend = f"explain it with --features {known}" if known else "only the code of then can explain it"
            raise UserError(f"{transaction_id!r} was decided on {known or 'a feature set that there is no more'}; {mend}")
        self.auditor.take([rows])
        found = self.auditor.finish()
        scored = Scored.of(rows, 0)
        scorer = self._scorer_of(scored.model_digest)
        return explanation(self._config.feature_set, scored, self.auditor.history(scored), found, scorer, self._decision(scored))

    def _find(self, transaction_id: str, user_id: str | None, advance: Callable[[int], None]) -> pa.Table:
        """The decision's row of the scoring log."""
        found: dict[str, pa.Table] = {}
        for partition, log in self._scoring_logs.items():
            for _, offsets, rows in self._dated_rows(partition, *log.bounds(SCORING_LOG.name, partition)):
                advance(offsets)
                for row in np.flatnonzero(pc.equal(rows["transaction_id"], transaction_id).to_numpy()).tolist():
                    found.setdefault(rows["user_id"][row].as_py(), rows.slice(row, 1))
        if user_id is not None and found and user_id not in found:
            raise UserError(
                f"user {user_id} has no transaction {transaction_id!r}, but {' and '.join(sorted(found))} has; name the right --user"
            )
        if user_id is not None:
            found = {user: row for user, row in found.items() if user == user_id}
        if len(found) > 1:
            raise UserError(f"users {', '.join(sorted(found))} each have a transaction {transaction_id!r}; name one with --user")
        if not found:
            raise UserError(
                f"there is no decision on transaction {transaction_id!r} in {SCORING_LOG.name}; check the id, and look among dead-letters"
            )
        return next(iter(found.values()))

    def _decision(self, scored: Scored) -> Decision | None:
        """What ``decisions`` says about it; None if it isn't there any more."""
        partition = partition_of(scored.user_id.encode(), partition_count(self._kafka, DECISIONS.name))
        for records in self._log.read(DECISIONS.name, partition, *self._log.bounds(DECISIONS.name, partition)):
            for record in records:
                if scored.transaction_id.encode() in (record.value or b""):
                    with suppress(RefusedError):
                        decision = readable(record.value, decode_decision)
                        if (decision.source.partition, decision.source.offset) == scored.place:
                            return decision
        return None

    def close(self) -> None:
        """Lets go of the connections."""
        for log in (self._log, self._all_records, *self._stages.values(), *self._scoring_logs.values()):
            log.close()

    def _committed(self, stage: str) -> dict[int, int]:
        """A stage's positions, by partition."""
        topic, count = (TRANSACTIONS, self.shape.sources) if stage == INGEST else (BY_MERCHANT, self.shape.targets)
        return {partition: self._stages[stage].committed(topic.name, partition) or 0 for partition in range(count)}

    def _ends(self, topic: str, partitions: Iterable[int]) -> dict[int, int]:
        """The ends of a topic, once all transactions are over that were under way."""
        return {partition: self._end(topic, partition) for partition in partitions}

    def _end(self, topic: str, partition: int) -> int:
        _, last = self._all_records.bounds(topic, partition)
        deadline = time.monotonic() + _TRANSACTION_S
        while (end := self._log.bounds(topic, partition)[1]) < last and time.monotonic() < deadline:
            time.sleep(_LOOK_AGAIN_S)
        return end

    def _read_published(self, ends: Mapping[int, int], *, logged: bool) -> None:
        """Takes the decisions up to these ends; see ``Completeness.publish``."""
        self.completeness.publish([], logged=logged)
        for partition, end in ends.items():
            for records in self._log.read(DECISIONS.name, partition, self._published[partition], end):
                self.completeness.publish([record.value or b"" for record in records], logged=logged)
            self._published[partition] = max(self._published[partition], end)

    def _waiting(self, ordered: Sequence[int]) -> Places:
        """The transactions that lie on transactions.by-merchant behind what the stage had decided."""
        waiting = Places(np.bool_)
        for target, begin in enumerate(ordered):
            _, end = self._log.bounds(BY_MERCHANT.name, target)
            for records in self._log.read(BY_MERCHANT.name, target, begin, end):
                for record in records:
                    if self._seal.is_ours(BY_MERCHANT.name, target, record):
                        rows = batches.decode_order(record.value or b"", record.headers, (target, record.offset)).rows
                        waiting.set(rows["source"].to_numpy().astype(np.int64), rows["offset"].to_numpy(), True)
        return waiting

    def _refused(self) -> set[SourcePosition]:
        """The records of transactions of which there are dead letters."""
        found: set[SourcePosition] = set()
        for partition in range(partition_count(self._kafka, DEAD_LETTERS.name)):
            for records in self._log.read(DEAD_LETTERS.name, partition, *self._log.bounds(DEAD_LETTERS.name, partition)):
                found |= refused_transactions(records, self._seal)
        return found

    def _dated_rows(self, partition: int, begin: int, end: int) -> Iterator[tuple[int, int, pa.Table]]:
        """Each record's time, how many offsets it is behind the one before, and its rows."""
        for records in self._scoring_logs[partition].read(SCORING_LOG.name, partition, begin, end):
            for record in records:
                if self._seal.is_ours(SCORING_LOG.name, partition, record):
                    yield record.timestamp, record.offset + 1 - begin, scoring_log.decode(record.value or b"")
                    begin = record.offset + 1

    def _shape(self) -> Shape:
        counts = [self._logs.partitions[topic.name] for topic in (TRANSACTIONS, BY_MERCHANT)]
        users, merchants = (
            frozenset(place for partition in range(count) for place in given_up(self._log.newest(states.name, partition, self._seal)))
            for states, count in zip((STATE_USERS, STATE_MERCHANTS), counts, strict=True)
        )
        return Shape(self._config.currency, counts[0], counts[1], users, merchants, self._seal)


def _served(reader: OnlineReader, keys: Sequence[KeyName]) -> dict[KeyName, KeyState | None]:
    served: dict[KeyName, KeyState | None] = {}
    try:
        for entity, key in keys:
            served[entity, key] = reader.state(entity, key)
    except OnlineStoreError as error:
        raise UserError(str(error)) from error
    return served
