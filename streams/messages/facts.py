"""What is settled of a deployment for every process that works on its topics: one JSON object on the topic ``deployment``, by its key."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from streams.messages.record import LogRecord

KEY = b"facts"


class SettledFacts(Struct, frozen=True):
    """``features`` names the feature set that workers compute, ``currency`` is the one settlement currency (ISO 4217). ``revision`` rises
    with each change: somebody may send a former record again."""

    features: str
    currency: str
    revision: int = 0


@dataclass(frozen=True)
class Found:
    """The facts of the highest revision, None if none can be read, and the offsets of records that were to be facts and can't be read."""

    facts: SettledFacts | None
    unreadable: tuple[int, ...]


_decode = msgspec.json.Decoder(SettledFacts).decode
encode = msgspec.json.Encoder().encode


def key_of(facts: SettledFacts) -> bytes:
    """The record's key: compaction keeps each revision's, so that nobody can have the newest removed by a former one."""
    return b"%s/%d" % (KEY, facts.revision)


def is_of_facts(record: LogRecord) -> bool:
    """Whether the record is to hold facts, by its key."""
    return record.key is not None and record.key.partition(b"/")[0] == KEY


def newest(records: Iterable[LogRecord]) -> Found:
    """The facts in the records of the topic, oldest first. Other keys are other things', whatever they hold."""
    facts: SettledFacts | None = None
    unreadable = []
    for record in records:
        if not is_of_facts(record):
            continue
        try:
            read = _decode(record.value or b"")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            read = None
        if read is None or not read.features or not re.fullmatch("[A-Z]{3}", read.currency):
            unreadable.append(record.offset)
        elif facts is None or read.revision >= facts.revision:
            facts = read
    return Found(facts, tuple(unreadable))


def refusal(settled: SettledFacts | None, currency: str, features: str | None, kafka: str) -> str | None:
    """Why a process with this configuration must not work on the topics of ``kafka``, and what to do; None if it may. ``features`` None:
    it has none, or one that it may choose."""
    if settled is None:
        return (
            f"Kafka at {kafka} doesn't say in which currency and for which feature set its topics are; run `tidemark up` once, which "
            "records both there (if the home doesn't know them either: with --features and --currency)"
        )
    if currency != settled.currency:
        return (
            f"this command settles in {currency}, but the deployment on Kafka at {kafka} in {settled.currency}, so its transactions would "
            f"be refused; unset TIDEMARK_CURRENCY and run `tidemark up --currency {settled.currency}`, or name another Kafka in "
            "TIDEMARK_KAFKA"
        )
    if features is not None and features != settled.features:
        return (
            f"this command computes {features}, but the deployment on Kafka at {kafka} {settled.features}; set TIDEMARK_FEATURES so, or "
            f"unset it and run `tidemark up --features {settled.features}`, or build the states of {features} with `tidemark rebuild-state`"
        )
    return None
