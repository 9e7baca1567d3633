"""Hostile records, seeded: whatever bytes somebody might put onto the topics that we read, among good ones."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple

import msgspec
from confluent_kafka import KafkaException, Producer

from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.messages import headers, seal
from streams.messages.batches import FEATURES, PREVIOUS
from streams.messages.record import LogRecord
from streams.messages.seal import Seal
from streams.messages.topics import (
    BY_MERCHANT,
    DEAD_LETTERS,
    DEPLOYMENT,
    LABELS,
    SCORING_LOG,
    STATE_MERCHANTS,
    STATE_USERS,
    TRANSACTIONS,
    USERS,
)
from tests.run import raw_records

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
PARTITIONS = 4
# What senders may stamp where the broker doesn't; later ones it refuses.
_STAMPS = (1, 10**12, 10**13)
_INTERNAL = (BY_MERCHANT.name, SCORING_LOG.name, STATE_USERS.name, STATE_MERCHANTS.name, DEPLOYMENT.name)
_NAMES = (
    *(headers.ANSWER, headers.LABEL, headers.REPLAY, headers.SEQ, headers.SENT_AT, seal.HEADER, PREVIOUS, FEATURES, seal.RESERVED),
    *("aligned", "answer", "type", "seq", "previous", "features", "", "é"),
)
_STRANGE = (
    *(b"", b"\0", b"null", b"true", b"0", b'""', b"[]", b"{}", b"{", b"\xef\xbb\xbf{}", b"\xff\xfe{\0}\0", b"\0\0\0\0\x01{}"),
    *(b'{"x":' + b"[" * 3_000 + b"]" * 3_000 + b"}", b"[" * 200_000, b'{"a":' * 5_000, b"1" * 5_000, b"1e400", b"-0"),
)
_FIELDS = (
    "transaction_id",
    "event_time",
    "user_id",
    "merchant_id",
    "amount",
    "currency",
    "label_time",
    "is_fraud",
    "created_at",
    "country",
)
_VALUES: tuple[object, ...] = (
    *(None, True, -1, 0, 10**11 - 1, 10**11, 10**13, 10**13 + 1, 2**63, -(2**63), 10**30, 0.5, 1e308, "", "EUR", "eur", "x" * 257),
    *("2026-01-31T09:30:00Z", "2026-01-31", "9999-12-31T23:59:59Z", "\0", "\u202e", [], {}, [[]], {"a": {}}),
)


class Hostile(NamedTuple):
    """One record; ``partition`` −1: by its key. ``timestamp`` in ms, 0: now."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    timestamp: int


def records(random: Random, seen: Sequence[tuple[str, LogRecord]]) -> Iterator[Hostile]:
    """An endless sequence. None goes to ``decisions``, of which the audit reports whatever is foreign.

    ``seen`` are records of internal topics, each with its topic, of which it changes bits."""
    while True:
        topic = random.choice((TRANSACTIONS.name, TRANSACTIONS.name, LABELS.name, USERS.name, DEAD_LETTERS.name, *_INTERNAL))
        of_ours = topic in _INTERNAL and seen and random.random() < 0.7
        yield _changed(random, *random.choice(seen)) if of_ours else _made(random, topic)


def _made(random: Random, topic: str) -> Hostile:
    user = f"h{random.randrange(500)}"
    key: bytes | None = user.encode()
    # Of a compacted topic a null key would be refused by the broker.
    if random.random() < 0.1:
        key = random.choice((b"", b"\xff", b'"h1"', random.randbytes(9), b"k" * 5_000))
        key = key if topic in (TRANSACTIONS.name, LABELS.name) and random.random() < 0.9 else key or b"x"
    value = random.choice((_bytes, _strange, _mutated, _mutated, _odd))(random, user)
    given = [
        (random.choice(_NAMES), random.choice((None, b"", b"label", b"yes", random.randbytes(random.randrange(90))))) for _ in range(3)
    ]
    of_kind = given[: random.randrange(4)] if random.random() < 0.5 else []
    if random.random() < 0.0005:
        of_kind = given * 333
    partition = random.randrange(PARTITIONS) if random.random() < 0.1 else -1
    if topic == DEPLOYMENT.name:
        partition = 0
    return Hostile(topic, partition, key, value, of_kind, random.choice((0, 0, *_STAMPS)))


def _bytes(random: Random, _user: str) -> bytes:
    return random.randbytes(random.choice((1, 7, 80, 900)))


def _strange(random: Random, _user: str) -> bytes:
    return random.choice(_STRANGE)


def _good(random: Random, user: str) -> dict[str, object]:
    number = random.randrange(10**9)
    moment = 1_600_000_000_000 + random.randrange(10**6)
    made: dict[str, object] = {"transaction_id": f"h-{number}", "event_time": moment, "user_id": user, "merchant_id": f"hm{number % 50}"}
    return made | random.choice(({"amount": number % 10**6, "currency": "EUR"}, {"label_time": moment + 1, "is_fraud": True}))


def _mutated(random: Random, user: str) -> bytes:
    """JSON of a good message with some bits changed, or cut."""
    value = bytearray(msgspec.json.encode(_good(random, user)))
    for _ in range(random.randrange(1, 4)):
        value[random.randrange(len(value))] ^= 1 << random.randrange(8)
    return bytes(value[: random.randrange(len(value))] if random.random() < 0.2 else value)


def _odd(random: Random, user: str) -> bytes:
    """A good message in which a field has a value that it shouldn't."""
    return msgspec.json.encode(_good(random, user) | {random.choice(_FIELDS): random.choice(_VALUES)})


def _changed(random: Random, topic: str, record: LogRecord) -> Hostile:
    """A record of ours with some bits changed in value, key or headers. A batch may be as it was, for SCORE knows what it has applied; of
    the other topics an exact copy of ours is ours (docs/reliability.md says so)."""
    parts = [bytearray(record.value or b"x"), bytearray(record.key or b""), *(bytearray(content) for _, content in record.headers)]
    if topic != BY_MERCHANT.name:
        parts[0][random.randrange(len(parts[0]))] ^= 1
    for _ in range(random.randrange(0, 6)):
        part = random.choice([part for part in parts if part])
        part[random.randrange(len(part))] ^= 1 << random.randrange(8)
    value, key, *contents = map(bytes, parts)
    given: list[tuple[str, bytes | None]] = [(name, content) for (name, _), content in zip(record.headers, contents, strict=True)]
    partition = 0 if topic == DEPLOYMENT.name else random.randrange(PARTITIONS)
    return Hostile(topic, partition, key if record.key is not None else None, value, given[: random.randrange(len(given) + 1)], 0)


def seen_in(kafka: KafkaClients, ours: Seal, most: int = 200) -> list[tuple[str, LogRecord]]:
    """Some records of ours of each internal topic."""
    found: list[tuple[str, LogRecord]] = []
    log = KafkaLog(kafka, "hostile")
    try:
        for topic in _INTERNAL:
            for partition in range(1 if topic == DEPLOYMENT.name else PARTITIONS):
                begin, end = log.bounds(topic, partition)
                here = [record for read in log.read(topic, partition, max(begin, end - 4 * most), end) for record in read]
                found += [(topic, record) for record in here if ours.is_ours(topic, partition, record)][:most]
    finally:
        log.close()
    return found


class HostileSender:
    """Sends them by clients of every codec, some in transactions that are aborted, some as no client would."""

    def __init__(self, servers: str, random: Random) -> None:
        self._servers, self._random = servers, random
        shared = {"bootstrap.servers": servers, "linger.ms": 5, "partitioner": "murmur2_random", "message.max.bytes": 8 << 20}
        self._producers = [Producer({**shared, "compression.type": codec}) for codec in CODECS]
        self._transactional = {**shared, "transactional.id": "hostile", "transaction.timeout.ms": 10_000}
        self._aborting = self._begun_anew()
        self.sent = 0

    def _begun_anew(self) -> Producer:
        producer = Producer(self._transactional)
        producer.init_transactions(30)
        return producer

    def send(self, made: Hostile) -> None:
        """Sends one; what the broker refuses is nobody's."""
        self._produce(self._random.choice(self._producers), made)

    def send_aborted(self, several: Sequence[Hostile]) -> None:
        """Sends them in a transaction that is given up."""
        self._aborting.begin_transaction()
        for made in several:
            self._produce(self._aborting, made)
        try:
            self._aborting.abort_transaction(30)
        except KafkaException:
            # The broker, which has much to do, has aborted it first.
            self._aborting = self._begun_anew()

    def send_raw(self) -> None:
        """A record with a header whose name isn't UTF-8, between two without."""
        given = [(b"h1", b"{", []), (b"h1", b"{", [(b"\xff\xfe", b"x")]), (b"h1", b"{", [])]
        raw_records.send(self._servers, TRANSACTIONS.name, self._random.randrange(PARTITIONS), given)
        self.sent += len(given)

    def flush(self) -> None:
        """Waits until all is acknowledged or refused."""
        for producer in self._producers:
            producer.flush(120)

    def _produce(self, producer: Producer, made: Hostile) -> None:
        while True:
            try:
                producer.produce(made.topic, made.value, made.key, made.partition, headers=list(made.headers), timestamp=made.timestamp)
                self.sent += 1
                return
            except BufferError:
                producer.poll(0.1)
            except KafkaException:
                return
