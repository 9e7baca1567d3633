"""What a dead letter holds, what of it is sent again, and how people see it."""

import msgspec
import pytest
from msgspec import structs

from streams.messages import dead_letters
from streams.messages.dead_letters import (
    Original,
    SentAgain,
    encode_sent_again,
    letter_header,
    letter_in,
    original_of,
    replayed_key,
    sent_again_in,
)
from streams.messages.events import DeadLetter
from streams.messages.record import LogRecord
from streams.messages.refusals import RefusedError
from streams.messages.seal import Seal
from streams.messages.validation import Validator
from tests.made.bad_records import replaced
from tests.made.records import label, transaction
from tests.made.seal import SEAL

GOOD = transaction(0)
LABEL = label(1, GOOD, 1_700_600_000_000)


def sealed_letter(value: bytes | None) -> LogRecord:
    return LogRecord(0, 0, None, value, [letter_header(SEAL, value)])  # type: ignore[arg-type]


def letter(record: LogRecord, topic: str = "transactions") -> DeadLetter:
    refused = Validator(topic, 0, 1, "EUR").dead_letter(record, RefusedError("not_json", "why"))
    found = letter_in(sealed_letter(refused), SEAL)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{",
        b"\xff",
        b"[" * 5_000,
        b"{}",
        msgspec.json.encode(structs.replace(letter(GOOD), value_base64="é")),
        msgspec.json.encode(structs.replace(letter(GOOD), key_base64="a")),
        msgspec.json.encode(structs.replace(letter(GOOD), value_base64="####")),
    ],
)
def test_what_is_no_letter_is_none(value: bytes | None) -> None:
    assert letter_in(sealed_letter(value), SEAL) is None


def test_a_letter_counts_only_with_the_seal_of_this_deployment() -> None:
    value = msgspec.json.encode(letter(GOOD))
    assert letter_in(sealed_letter(value), SEAL) == letter(GOOD)
    for headers in ([], [letter_header(Seal("another"), value)], [letter_header(SEAL, value + b" ")], [("tidemark-seal", None)]):
        assert letter_in(LogRecord(0, 0, None, value, headers), SEAL) is None
    assert letter_in(structs.replace(sealed_letter(value), key=b"k"), SEAL) is None


def test_the_record_at_the_letters_place_is_sent_again_with_what_others_say_of_it() -> None:
    headers = [("traceparent", b"00-1"), ("tidemark-answer", b"{}"), ("tidemark-seq", b"1"), ("tidemark-label", b"1"), ("empty", b"")]
    found = structs.replace(GOOD, headers=headers)
    assert original_of(letter(GOOD), found, SEAL) == Original(
        "transactions", GOOD.key, GOOD.value, [("traceparent", b"00-1"), ("empty", b"")]
    )
    assert original_of(letter(LABEL), LABEL, SEAL) == Original("labels", LABEL.key, LABEL.value, [])


@pytest.mark.parametrize("found", [None, transaction(7), structs.replace(GOOD, key=b"u2"), structs.replace(GOOD, value=None)])
def test_without_that_record_the_letter_gives_what_it_has_kept(found: LogRecord | None) -> None:
    """Retention has removed it, or the topic was made anew and another lies there."""
    assert original_of(letter(GOOD), found, SEAL) == Original("transactions", GOOD.key, GOOD.value, [])
    assert original_of(letter(LABEL, "labels"), found, SEAL) == Original("labels", LABEL.key, LABEL.value, [])


@pytest.mark.parametrize(("value", "whole"), [(None, True), (b"", True), (b"x" * 256_000, True), (b"x" * 256_001, False)])
def test_what_a_letter_has_in_part_is_not_sent(value: bytes | None, whole: bool) -> None:
    record = replaced(value, key=None)
    assert original_of(letter(record), None, SEAL) == (Original("transactions", None, value, []) if whole else None)
    assert original_of(letter(record), record, SEAL) == Original("transactions", None, value, [])


def marks(*values: bytes | None, key: bytes = replayed_key("not_json")) -> list[LogRecord]:
    return [LogRecord(offset, 0, key, value, []) for offset, value in enumerate(values)]


def test_up_to_where_letters_were_sent_again_only_rises() -> None:
    assert sent_again_in([]) == {}
    others = [LogRecord(0, 0, b"facts", b"{}", []), LogRecord(0, 0, None, b"{}", [])]
    values = [encode_sent_again(SentAgain(*of)) for of in (({0: 5}, 0), ({0: 7, 1: 2}, 3), ({0: 6}, 1))]
    assert sent_again_in([*others, *marks(*values)]) == {"not_json": SentAgain({0: 7, 1: 2}, 3)}
    assert sent_again_in(marks(values[0], key=replayed_key("wrong_key"))) == {"wrong_key": SentAgain({0: 5})}


def test_a_letter_is_shown_so_that_people_can_read_it() -> None:
    shown = list(dead_letters.text(letter(GOOD), 2, 5, 1_700_000_000_000))
    assert shown[:3] == ["transactions[0] offset 0: not_json", "why", "key    u1"]
    assert shown[3].startswith('value  {"transaction_id":"t0",')
    assert shown[-1] == "letter dead-letters[2] offset 5, 2023-11-14T22:13:20Z"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "value  none"),
        (b"\x1b[2J\r\n\x07", r"value  \x1b[2J\r\n\x07"),
        (b"\x00\x00\x00\x00\x07\xff", "value  no UTF-8: 00 00 00 00 07 ff"),
        (b"x" * 300_000, "of which the letter has the first 256,000"),
        ("é".encode() * 100_000, "éé…"),
        ("x".join("é" * 200_000).encode(), "xé"),
    ],
)
def test_no_value_disturbs_a_terminal(value: bytes | None, says: str) -> None:
    shown = list(dead_letters.text(letter(replaced(value)), 0, 0, 0))
    assert any(says in line for line in shown), shown
    assert all(line.isprintable() for line in shown)
    assert sum(map(len, shown)) < 5_000


@pytest.mark.parametrize("timestamp", [-1, 2**62, -(2**62)])
def test_a_letter_with_any_timestamp_is_shown(timestamp: int) -> None:
    assert list(dead_letters.text(letter(GOOD), 0, 0, timestamp))[-1].startswith("letter dead-letters[0] offset 0, ")


def test_a_sentence_with_escapes_does_not_either() -> None:
    forged = structs.replace(letter(GOOD), sentence="\x1b[2J", reason="\x1b[31m", topic="\u202e")
    assert all(line.isprintable() for line in dead_letters.text(forged, 0, 0, 0))
