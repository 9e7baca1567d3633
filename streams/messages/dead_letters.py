"""Dead letters as they are read: what each holds, what of it can be sent again, and how people see it."""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from msgspec import Struct

from streams.messages.events import DeadLetter
from streams.messages.headers import opened
from streams.messages.record import LogRecord, SourcePosition
from streams.messages.seal import RESERVED, Seal
from streams.messages.topics import DEAD_LETTERS, LABELS, TRANSACTIONS, USERS

SENT_BY_OTHERS = (TRANSACTIONS.name, LABELS.name, USERS.name)
"""The topics whose records become dead letters; a letter about another is nobody's of ours, and nothing is sent for it."""

_ANYWHERE = -1
_REPLAYED = "replayed/"
_MOST_SHOWN, _MOST_HEX = 4_000, 256

_decode = msgspec.json.Decoder(DeadLetter).decode


class SentAgain(Struct):
    """How far the letters of a reason were sent again: the next offset of each partition of ``dead-letters``, and of how many letters
    neither their topic nor they themselves have the record any more."""

    positions: dict[int, int]
    lost: int = 0


_decode_sent_again = msgspec.json.Decoder(SentAgain).decode
encode_sent_again = msgspec.json.Encoder().encode


class Original(NamedTuple):
    """A record to be sent again, and the topic to which."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


def letter_header(seal: Seal, letter: bytes) -> tuple[str, bytes]:
    """The header that shows that a letter is this deployment's. It holds on every partition: a letter says itself what it is about."""
    return seal.header(DEAD_LETTERS.name, _ANYWHERE, None, letter)


def letter_in(record: LogRecord, seal: Seal) -> DeadLetter | None:
    """The dead letter in a record of ``dead-letters``; None if it holds none, or this deployment didn't write it."""
    if not seal.is_ours(DEAD_LETTERS.name, _ANYWHERE, record):
        return None
    try:
        letter = _decode(record.value or b"")
        for kept in (letter.key_base64, letter.value_base64):
            base64.b64decode(kept or "", validate=True)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, binascii.Error, ValueError):
        return None
    return letter


def key_of(letter: DeadLetter) -> bytes | None:
    """The key of the record that was refused."""
    return None if letter.key_base64 is None else base64.b64decode(letter.key_base64)


def kept_of(letter: DeadLetter) -> bytes | None:
    """Its value, as far as the letter has it."""
    return None if letter.value_base64 is None else base64.b64decode(letter.value_base64)


def refused_transactions(records: Iterable[LogRecord], seal: Seal) -> set[SourcePosition]:
    """The records of ``transactions`` that the letters are about."""
    letters = (letter_in(record, seal) for record in records)
    return {(letter.partition, letter.offset) for letter in letters if letter is not None and letter.topic == TRANSACTIONS.name}


def is_about(letter: DeadLetter, record: LogRecord) -> bool:
    """Whether the record is the one that was refused: a topic that was made anew has others at its offsets."""
    digest = None if record.value is None else hashlib.sha256(record.value).hexdigest()
    return record.key == key_of(letter) and digest == letter.value_digest


def original_of(letter: DeadLetter, found: LogRecord | None, seal: Seal) -> Original | None:
    """What to send again: the record that was ``found`` at the letter's place if it is the one, else what the letter has kept if that is
    all of it; None if neither is. A label that a replay has put onto ``transactions`` goes to ``labels``: what our headers say is true of a
    record at its place, not of one that is sent again."""
    if found is not None and is_about(letter, found):
        is_label = letter.topic == TRANSACTIONS.name and opened(found, letter.partition, seal).is_label
        foreign = [(name, value) for name, value in found.headers if not name.startswith(RESERVED)]
        return Original(LABELS.name if is_label else letter.topic, found.key, found.value, foreign)
    kept = kept_of(letter)
    if len(kept or b"") != letter.value_bytes:
        return None
    return Original(letter.topic, key_of(letter), kept, [])


def replayed_key(reason: str) -> bytes:
    """The key under which the topic ``deployment`` holds up to where the letters of a reason were sent again."""
    return f"{_REPLAYED}{reason}".encode()


def sent_again_in(facts: Iterable[LogRecord]) -> dict[str, SentAgain]:
    """Of each reason, how far its letters were sent again, by what the deployment has on record."""
    found: dict[str, SentAgain] = {}
    for record in facts:
        key = (record.key or b"").decode(errors="replace")
        if key.startswith(_REPLAYED) and record.value is not None:
            of_reason, read = found.setdefault(key.removeprefix(_REPLAYED), SentAgain({})), _decode_sent_again(record.value)
            # They only rise: an older one that somebody has put there again doesn't count.
            of_reason.lost = max(of_reason.lost, read.lost)
            for number, position in read.positions.items():
                of_reason.positions[number] = max(of_reason.positions.get(number, 0), position)
    return found


def text(letter: DeadLetter, partition: int, offset: int, timestamp: int) -> Iterator[str]:
    """A letter for people, line by line; ``partition``, ``offset`` and ``timestamp`` (ms) are those of the letter itself."""
    kept = kept_of(letter)
    try:
        moment = datetime.fromtimestamp(timestamp / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        moment = f"of {timestamp} ms"  # whoever else writes there may stamp anything
    yield f"{printable(letter.topic)}[{letter.partition}] offset {letter.offset}: {printable(letter.reason)}"
    yield printable(letter.sentence)
    yield f"key    {_readable(key_of(letter))}"
    whole = "" if kept is None or len(kept) == letter.value_bytes else f", of which the letter has the first {len(kept):,}"
    yield f"value  {_readable(kept)}"
    yield f"       {letter.value_bytes:,} bytes{whole}, SHA-256 {printable(letter.value_digest or 'of nothing')}"
    yield f"letter dead-letters[{partition}] offset {offset}, {moment}"


def _readable(data: bytes | None) -> str:
    """Text as text, without what would move a terminal's cursor; other bytes in hexadecimal."""
    if data is None:
        return "none"
    try:
        shown = data[: _MOST_SHOWN * 4].decode()
    except UnicodeDecodeError as error:
        cut = error.start >= _MOST_SHOWN
        if not cut:
            return f"no UTF-8: {data[:_MOST_HEX].hex(' ')}{'…' if len(data) > _MOST_HEX else ''}"
        shown = data[: error.start].decode()
    return printable(shown[:_MOST_SHOWN]) + ("…" if len(shown) > _MOST_SHOWN else "")


def printable(text: str) -> str:
    """The text without what would move a terminal's cursor or colour it."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape", "replace").decode() for letter in text)
