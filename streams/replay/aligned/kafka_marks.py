"""How far an aligned replay has come, read from the log: what of it was sent, what of it was taken, and whether it may go on."""

import time
from collections.abc import Mapping

from features.errors import UserError
from streams.config import INGEST, DeploymentConfig
from streams.kafka.admin import partition_count
from streams.kafka.client import KafkaClients
from streams.kafka.groups import Groups
from streams.kafka.log import KafkaLog
from streams.kafka.producer import StageProducer
from streams.messages.headers import Mark, MarkKind, mark_header, mark_of
from streams.messages.seal import Seal
from streams.messages.topics import TRANSACTIONS

# A killed process is a member of its group until its session is over.
_SESSION_OVER_S = 10.0
_TIMEOUT_S = 10.0
_FIRST_LOOK = 100


def last_marks(log: KafkaLog, before: Mapping[int, int], seal: Seal) -> dict[int, Mark | None]:
    """Of each partition of ``transactions``, the mark of the last record below an offset that belongs to any aligned replay."""
    return {partition: _last_mark(log, partition, end, seal) for partition, end in before.items()}


def sent_before(config: DeploymentConfig, replay: str) -> dict[int, int]:
    """Up to which ``seq`` the records of an aligned replay lie on each partition already, −1 where none does.

    Raises UserError if it can't begin or go on: another one isn't finished, INGEST has left records unread that are no part of it, or runs.
    """
    _require_alone(config)
    log = KafkaLog(KafkaClients.of(config), config.group(INGEST))
    try:
        partitions = range(partition_count(KafkaClients.of(config), TRANSACTIONS.name))
        ends = {partition: log.bounds(TRANSACTIONS.name, partition)[1] for partition in partitions}
        marks = last_marks(log, ends, Seal(config.answer_key))
        _refuse_abandoned(replay, marks)
        _refuse_others(replay, marks)
        if not any(mark is not None and mark.replay == replay for mark in marks.values()):
            _refuse_unread(log, ends)
    finally:
        log.close()
    return {number: mark.seq if mark is not None and mark.replay == replay else -1 for number, mark in marks.items()}


def abandon(config: DeploymentConfig, replay: str) -> int:
    """Marks on every partition of ``transactions`` that nobody will finish the replay: what was sent of it is taken where it stands.
    Returns how many records had been sent at most.

    Raises UserError if no replay of that name is unfinished, or INGEST runs.
    """
    _require_alone(config)
    kafka, seal = KafkaClients.of(config), Seal(config.answer_key)
    partitions = range(partition_count(kafka, TRANSACTIONS.name))
    log = KafkaLog(kafka, config.group(INGEST))
    try:
        marks = last_marks(log, {number: log.bounds(TRANSACTIONS.name, number)[1] for number in partitions}, seal)
    finally:
        log.close()
    unfinished = {mark.replay: mark.seq for mark in marks.values() if mark is not None and not mark.is_last}
    if replay not in unfinished:
        there = f"unfinished is {', '.join(unfinished)}" if unfinished else "none is unfinished"
        raise UserError(f"there is no unfinished aligned replay {replay!r} on {TRANSACTIONS.name}; {there}")
    sent = max(mark.seq for mark in marks.values() if mark is not None and mark.replay == replay) + 1
    producer = StageProducer(kafka)
    try:
        for number in partitions:
            header = mark_header(seal, Mark(replay, sent, MarkKind.ABANDONED), partition=number)
            producer.send(TRANSACTIONS.name, None, partition=number, headers=[header])
        producer.flush()
    finally:
        producer.close()
    return sent


def _last_mark(log: KafkaLog, partition: int, end: int, seal: Seal) -> Mark | None:
    first, _ = log.bounds(TRANSACTIONS.name, partition)
    look = _FIRST_LOOK
    while end > first:
        begin = max(first, end - look)
        records = [record for read in log.read(TRANSACTIONS.name, partition, begin, end) for record in read]
        found = next(filter(None, (mark_of(record, partition, seal) for record in reversed(records))), None)
        if found is not None:
            return found
        end, look = begin, 10 * look
    return None


def _refuse_abandoned(replay: str, marks: Mapping[int, Mark | None]) -> None:
    if any(mark is not None and mark.replay == replay and mark.kind is MarkKind.ABANDONED for mark in marks.values()):
        raise UserError(
            f"this aligned replay ({replay}) was abandoned, and what was sent of it is taken where it stands; send the rest without "
            "--aligned (what was sent counts once), or start over with empty topics"
        )


def _refuse_others(replay: str, marks: Mapping[int, Mark | None]) -> None:
    other = next((mark for mark in marks.values() if mark is not None and mark.replay != replay and not mark.is_last), None)
    if other is not None:
        raise UserError(
            f"another aligned replay ({other.replay}) was begun on {TRANSACTIONS.name} and not finished; finish it with the command that "
            f"began it (same file, same options), or have what was sent taken where it stands: tidemark replay --abandon {other.replay}"
        )


def _refuse_unread(log: KafkaLog, ends: Mapping[int, int]) -> None:
    positions = log.positions(TRANSACTIONS.name, ends)
    unread = [number for number, position in positions.items() if position < ends[number]]
    unread = [number for number in unread if log.has_records(TRANSACTIONS.name, number, positions[number])]
    if unread:
        raise UserError(
            f"{TRANSACTIONS.name} holds records on partition {', '.join(map(str, unread))} that INGEST has not read and that are no part "
            "of this replay, so they have no place in its order; let `tidemark worker --until-idle` read them first"
        )


def _require_alone(config: DeploymentConfig) -> None:
    groups = Groups(KafkaClients.of(config), _TIMEOUT_S)
    deadline = time.monotonic() + _SESSION_OVER_S
    while members := groups.members(config.group(INGEST)):
        if time.monotonic() > deadline:
            raise UserError(
                f"INGEST runs already ({members} in group {config.group(INGEST)}), but an aligned replay runs it itself, over all "
                "partitions; stop these workers and run others with --stages labels,score"
            )
        time.sleep(0.5)
