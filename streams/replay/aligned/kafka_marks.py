"""How far an aligned replay has come, read from the log: what of it was sent, what of it was taken, and whether it may go on."""

import time
from collections.abc import Mapping

from features.errors import START_OVER, UserError
from streams.config import INGEST, DeploymentConfig
from streams.delivery.kafka_marks import sent_replays
from streams.delivery.sent_replays import SentReplay
from streams.kafka.admin import partition_count
from streams.kafka.client import KafkaClients
from streams.kafka.groups import Groups
from streams.kafka.log import KafkaLog
from streams.kafka.producer import StageProducer
from streams.messages.headers import Mark, MarkKind, mark_header
from streams.messages.seal import Seal
from streams.messages.topics import TRANSACTIONS

# A killed process is a member of its group until its session is over.
_SESSION_OVER_S = 10.0
_TIMEOUT_S = 10.0


def sent_to_each(log: KafkaLog, before: Mapping[int, int], seal: Seal) -> dict[int, dict[str, SentReplay]]:
    """Of each partition of ``transactions``, the aligned replays of which it holds records below an offset."""
    return {partition: sent_replays(log, partition, seal, end) for partition, end in before.items()}


def sent_before(config: DeploymentConfig, replay: str) -> dict[int, int]:
    """Up to which ``seq`` the records of an aligned replay lie on each partition already, −1 where none does.

    It reads all of the topic, for what is said of a replay last may be a copy of what was said before. Raises UserError if it can't begin
    or go on: another one isn't finished, INGEST has left records unread that are no part of it, or runs.
    """
    _require_alone(config)
    log = KafkaLog(KafkaClients.of(config), config.group(INGEST))
    try:
        partitions = range(partition_count(KafkaClients.of(config), TRANSACTIONS.name))
        ends = {partition: log.bounds(TRANSACTIONS.name, partition)[1] for partition in partitions}
        found = sent_to_each(log, ends, Seal(config.answer_key))
        mine = {number: replays.get(replay, SentReplay()) for number, replays in found.items()}
        _refuse_abandoned(replay, mine)
        _refuse_others(found, replay)
        if not any(sent.seq >= 0 for sent in mine.values()):
            _refuse_unread(log, ends)
    finally:
        log.close()
    _require_alone(config)  # reading takes its time
    return {number: sent.seq for number, sent in mine.items()}


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
        found = sent_to_each(log, {number: log.bounds(TRANSACTIONS.name, number)[1] for number in partitions}, seal)
    finally:
        log.close()
    unfinished = _unfinished(found)
    if replay not in unfinished:
        there = f"unfinished is {', '.join(unfinished)}" if unfinished else "none is unfinished"
        raise UserError(f"there is no unfinished aligned replay {replay!r} on {TRANSACTIONS.name}; {there}")
    sent = max(replays[replay].seq for replays in found.values() if replay in replays) + 1
    producer = StageProducer(kafka)
    try:
        for number in partitions:
            header = mark_header(seal, Mark(replay, sent, MarkKind.ABANDONED), number)
            producer.send(TRANSACTIONS.name, None, partition=number, headers=[header])
        producer.flush()
    finally:
        producer.close()
    return sent


def _unfinished(found: Mapping[int, Mapping[str, SentReplay]]) -> list[str]:
    """The replays that some partition has a part of, and no end."""
    return list(dict.fromkeys(name for replays in found.values() for name, sent in replays.items() if not sent.is_over))


def _refuse_abandoned(replay: str, mine: Mapping[int, SentReplay]) -> None:
    if any(sent.abandoned for sent in mine.values()):
        raise UserError(
            f"this aligned replay ({replay}) was abandoned, and what was sent of it is taken where it stands; send the rest without "
            f"--aligned (what was sent counts once), or {START_OVER}"
        )


def _refuse_others(found: Mapping[int, Mapping[str, SentReplay]], replay: str) -> None:
    other = next((name for name in _unfinished(found) if name != replay), None)
    if other is not None:
        raise UserError(
            f"another aligned replay ({other}) was begun on {TRANSACTIONS.name} and not finished; finish it with the command that "
            f"began it (same file, same options), or have what was sent taken where it stands: tidemark replay --abandon {other}"
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
