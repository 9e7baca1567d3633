"""Partitions that can't be read to their ends, since somebody has begun a transaction there and not ended it; and its end."""

import time
from collections.abc import Iterable
from contextlib import closing

from features.errors import UserError
from streams.health.findings import HeldBack, Holder
from streams.kafka.client import KafkaClients, KafkaException
from streams.kafka.log import KafkaLog
from streams.kafka.open_transactions import open_transactions, transactional_ids

# Brokers abort a transaction of ours after 6 s.
_HELD_S, _LOOK_S = 7.0, 0.5
_TIMEOUT_S = 30.0


def held_back(kafka: KafkaClients, partitions: Iterable[tuple[str, int]]) -> list[HeldBack]:
    """Those of the partitions (topic, number) that stand still for longer than any transaction of ours may take. Raises KafkaException if
    Kafka fails."""
    with (
        closing(KafkaLog(kafka, f"{kafka.client_id}-health")) as stable,
        closing(KafkaLog(kafka, f"{kafka.client_id}-health", committed_only=False)) as everything,
    ):

        def standing() -> dict[tuple[str, int], int]:
            return {place: end for place in partitions if (end := stable.bounds(*place)[1]) < everything.bounds(*place)[1]}

        partitions = list(partitions)
        left = standing()
        deadline = time.monotonic() + _HELD_S
        while left and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
            now = standing()
            left = {place: end for place, end in left.items() if now.get(place) == end}
        names = _names(kafka, stable) if left else {}
        return [
            HeldBack(topic, number, everything.bounds(topic, number)[1] - end, _holders(kafka, stable, topic, number, names))
            for (topic, number), end in left.items()
        ]


def abort(kafka: KafkaClients, transactional_id: str, held: Iterable[HeldBack]) -> None:
    """Ends the open transaction of that producer, which can go on only by starting anew. Raises UserError if none of that name holds
    anything back, or Kafka refuses."""
    known = sorted({holder.transactional_id for one in held for holder in one.by if holder.transactional_id})
    if transactional_id not in known:
        there = f"those are {', '.join(known)}" if known else "nobody does"
        raise UserError(f"{transactional_id!r} holds nothing back; {there}")
    producer = kafka.producer({"transactional.id": transactional_id, "transaction.timeout.ms": 10_000})
    try:
        producer.init_transactions(_TIMEOUT_S)
    except KafkaException as error:
        raise UserError(f"Kafka at {kafka.servers} did not abort it ({error.args[0].str()}); see its log, then try again") from error


def _names(kafka: KafkaClients, log: KafkaLog) -> dict[int, str]:
    names: dict[int, str] = {}
    for broker in [] if kafka.security else log.brokers():
        try:
            names |= transactional_ids(broker)
        except OSError:
            continue
    return names


def _holders(kafka: KafkaClients, log: KafkaLog, topic: str, number: int, names: dict[int, str]) -> tuple[Holder, ...]:
    if kafka.security:
        return ()  # the plain connection by which that is asked isn't taken
    try:
        found = open_transactions(log.leader(topic, number), topic, number)
    except OSError:
        return ()
    return tuple(Holder(one.producer_id, one.start_offset, names.get(one.producer_id, "")) for one in found)
