"""Dead letters of a deployment: counted, found, and sent again, each once.

What is sent again, and up to where the letters of that reason are done by then, becomes visible in one transaction; so whatever ends it,
the next run goes on where this one was. The positions stand on the compacted topic ``deployment``: a group's would be forgotten in days.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

from features.errors import UserError
from streams.kafka.admin import partition_counts
from streams.kafka.client import KafkaClients, KafkaException
from streams.kafka.log import KafkaLog
from streams.kafka.producer import DeliveryError, StageProducer
from streams.messages.dead_letters import SENT_BY_OTHERS, SentAgain, encode_sent_again, letter_in, original_of, replayed_key, sent_again_in
from streams.messages.events import DeadLetter
from streams.messages.record import LogRecord
from streams.messages.seal import Seal
from streams.messages.topics import DEAD_LETTERS, DEPLOYMENT

# A reader holds so much, and a transaction so many records or bytes, whatever lies there.
_AHEAD_KB = 4_096
_AT_ONCE, _AT_ONCE_BYTES = 500, 16 << 20
# Records that lie close together are read in one go.
_CLOSE = 2_000

Advance = Callable[[int], None]
Place = tuple[str, int, int]


@dataclass
class Tally:
    """How many records were refused, by topic and reason, for how many of them ``--replay`` was run, how many of a reason it could not send
    because they are ``lost``, and how many records are no letters of this deployment. A record with several letters counts once."""

    letters: Counter[tuple[str, str]] = field(default_factory=Counter)
    replayed: Counter[tuple[str, str]] = field(default_factory=Counter)
    lost: dict[str, int] = field(default_factory=dict)
    unreadable: int = 0


@dataclass(frozen=True)
class Found:
    """A letter, and where it lies on ``dead-letters``; its ``timestamp`` in ms."""

    letter: DeadLetter
    partition: int
    offset: int
    timestamp: int


@dataclass
class Replayed:
    """How many records were ``sent`` again, and how many are ``lost``: neither in their topic any more nor whole in their letter; so many
    were it in former runs."""

    sent: int = 0
    lost: int = 0
    lost_before: int = field(default=0, compare=False)


class DeadLetters:
    """The letters of a deployment up to the end that they have now. Close it after use. Raises UserError if there is no such topic."""

    def __init__(self, kafka: KafkaClients, seal: Seal) -> None:
        self._kafka, self._seal = kafka, seal
        self._counts = partition_counts(kafka)
        if missing := {DEAD_LETTERS.name, DEPLOYMENT.name} - set(self._counts):
            raise UserError(f"topic {' and '.join(sorted(missing))} is missing on {kafka.servers}; create it with `tidemark up`")
        self._log, self._sources = (KafkaLog(kafka, f"{kafka.client_id}-dead-letters", ahead_kb=_AHEAD_KB) for _ in range(2))
        self._bounds = {number: self._log.bounds(DEAD_LETTERS.name, number) for number in range(self._counts[DEAD_LETTERS.name])}

    @property
    def offsets(self) -> int:
        """How many offsets they take, which is somewhat more than there are letters."""
        return sum(end - begin for begin, end in self._bounds.values())

    def tally(self, advance: Advance) -> Tally:
        """Counts them; ``advance`` gets how many offsets more are done."""
        sent_again = sent_again_in(self._facts())
        tally = Tally(lost={reason: done.lost for reason, done in sent_again.items() if done.lost})
        seen, replayed = set[int](), set[int]()
        for number, record, letter in self._letters(self._bounds, advance):
            if letter is None:
                tally.unreadable += 1
                continue
            if (identity := _identity(letter)) not in seen:
                seen.add(identity)
                tally.letters[letter.topic, letter.reason] += 1
            done = sent_again.get(letter.reason)
            if identity in replayed or letter.topic not in SENT_BY_OTHERS or done is None:
                continue
            # Of several copies any one shows it, wherever the others lie.
            if record.offset < self._within(done.positions).get(number, 0):
                replayed.add(identity)
                tally.replayed[letter.topic, letter.reason] += 1
        return tally

    def find(self, which: str, advance: Advance) -> Found | None:
        """The newest letter of a reason, or about a record given as TOPIC/PARTITION/OFFSET; None if there is none."""
        newest: Found | None = None
        for number, record, letter in self._letters(self._bounds, advance):
            if letter is None or which not in (letter.reason, f"{letter.topic}/{letter.partition}/{letter.offset}"):
                continue
            if newest is None or record.timestamp >= newest.timestamp:
                newest = Found(letter, number, record.offset, record.timestamp)
        return newest

    def replay(self, reason: str, advance: Advance, stopped: Callable[[], bool]) -> Replayed:
        """Sends what was refused for this reason again, and hasn't been yet; goes on until it is ``stopped``. A record of which there are
        several letters, for a stage may say twice what it refuses and anybody may copy that, is sent once.

        Raises UserError if another replay began meanwhile, or Kafka fails.
        """
        done = Replayed()
        producer = StageProducer(self._kafka, transactional_id=f"{self._kafka.client_id}-dead-letters")
        try:
            producer.fence()
            former = sent_again_in(self._facts()).get(reason, SentAgain({}))
            done.lost_before, positions = former.lost, self._within(former.positions)
            before = {number: (first, max(first, positions.get(number, first))) for number, (first, _) in self._bounds.items()}
            seen = {_identity(letter) for _, _, letter in self._letters(before, advance) if _is_sendable(letter, reason)}
            rest = {number: (before[number][1], end) for number, (_, end) in self._bounds.items()}
            for number, end, chunk in self._chunks(rest, advance):
                if stopped():
                    break
                positions[number] = end
                letters = {_identity(letter): letter for letter in chunk if _is_sendable(letter, reason)}
                self._send([letter for identity, letter in letters.items() if identity not in seen], positions, reason, producer, done)
                seen |= letters.keys()
        except (KafkaException, DeliveryError) as error:
            raise UserError(
                f"sending again ended after {done.sent:,} records ({error}); they are remembered: let no other replay of dead letters run, "
                "and give the same command again"
            ) from error
        finally:
            producer.close()
        return done

    def close(self) -> None:
        """Lets go of the connections."""
        self._log.close()
        self._sources.close()

    def _send(
        self, letters: Sequence[DeadLetter], positions: Mapping[int, int], reason: str, producer: StageProducer, done: Replayed
    ) -> None:
        if not letters:
            return
        found = self._found(letters)
        originals = [original_of(letter, found.get(_place(letter)), self._seal) for letter in letters]
        producer.begin()
        for original in originals:
            if original is not None:
                producer.send(original.topic, original.value, original.key, headers=list(original.headers))
        sent = sum(original is not None for original in originals)
        lost = done.lost + len(letters) - sent
        key, value = replayed_key(reason), encode_sent_again(SentAgain(dict(positions), done.lost_before + lost))
        producer.send(DEPLOYMENT.name, value, key, 0, [self._seal.header(DEPLOYMENT.name, 0, key, value)])
        producer.commit()
        done.sent, done.lost = done.sent + sent, lost

    def _facts(self) -> Iterator[LogRecord]:
        """What this deployment has on record."""
        for records in self._log.whole(DEPLOYMENT.name, 0):
            yield from (record for record in records if self._seal.is_ours(DEPLOYMENT.name, 0, record))

    def _within(self, positions: Mapping[int, int]) -> dict[int, int]:
        # Beyond the end lies nothing: the topic was made anew, and none of its letters was sent again.
        return {number: offset for number, offset in positions.items() if offset <= self._bounds.get(number, (0, 0))[1]}

    def _letters(self, bounds: Mapping[int, tuple[int, int]], advance: Advance) -> Iterator[tuple[int, LogRecord, DeadLetter | None]]:
        """The records within these bounds, each with its partition and the letter in it, None if it holds none of ours."""
        for number, (begin, end) in bounds.items():
            at = begin
            for records in self._log.read(DEAD_LETTERS.name, number, begin, end):
                for record in records:
                    yield number, record, letter_in(record, self._seal)
                advance(records[-1].offset + 1 - at)
                at = records[-1].offset + 1
            advance(end - at)

    def _chunks(self, bounds: Mapping[int, tuple[int, int]], advance: Advance) -> Iterator[tuple[int, int, list[DeadLetter]]]:
        """Letters of one partition each, as many as a transaction takes; with the partition, and the offset up to which they are all."""
        chunk: list[DeadLetter] = []
        of, end, records, size = -1, 0, 0, 0
        for number, record, letter in self._letters(bounds, advance):
            if records and (number != of or records == _AT_ONCE or size > _AT_ONCE_BYTES):
                yield of, end, chunk
                chunk, records, size = [], 0, 0
            of, end, records = number, record.offset + 1, records + 1
            if letter is not None:
                chunk.append(letter)
                size += letter.value_bytes
        if records:
            yield of, end, chunk

    def _found(self, letters: Iterable[DeadLetter]) -> dict[Place, LogRecord]:
        """What lies at the letters' places now."""
        wanted: dict[tuple[str, int], set[int]] = {}
        for letter in letters:
            if letter.partition in range(self._counts.get(letter.topic, 0)):
                wanted.setdefault((letter.topic, letter.partition), set()).add(letter.offset)
        found: dict[Place, LogRecord] = {}
        for (topic, number), offsets in wanted.items():
            begin, end = self._sources.bounds(topic, number)
            for run in _runs(sorted(offset for offset in offsets if begin <= offset < end)):
                for records in self._sources.read(topic, number, run[0], run[-1] + 1):
                    found |= {(topic, number, record.offset): record for record in records if record.offset in offsets}
        return found


def _is_sendable(letter: DeadLetter | None, reason: str) -> TypeGuard[DeadLetter]:
    return letter is not None and letter.reason == reason and letter.topic in SENT_BY_OTHERS


def _place(letter: DeadLetter) -> Place:
    return letter.topic, letter.partition, letter.offset


def _identity(letter: DeadLetter) -> int:
    """Tells what was refused from all else, even on a topic that was made anew."""
    return hash((_place(letter), letter.value_digest, letter.key_base64))


def _runs(offsets: Sequence[int]) -> Iterator[list[int]]:
    """Rising offsets in runs without a wide gap."""
    run: list[int] = []
    for offset in offsets:
        if run and offset - run[-1] > _CLOSE:
            yield run
            run = []
        run.append(offset)
    if run:
        yield run
