from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from streams.messages import headers
from streams.messages.headers import (
    ANSWER,
    LABEL,
    REPLAY,
    SEQ,
    Envelope,
    Mark,
    MarkKind,
    answer_header,
    label_header,
    mark_header,
    mark_of,
    opened,
    seq_of,
)
from streams.messages.record import LogRecord
from streams.messages.seal import Seal
from tests.made.records import transaction
from tests.made.seal import SEAL, last_mark, marked

OTHER = Seal("somebody else's key, of which we know nothing")
RECORD = transaction(0)
KEY, VALUE = RECORD.key or b"", RECORD.value or b""


def carrying(*given: tuple[str, Any], of: LogRecord = RECORD) -> LogRecord:
    return structs.replace(of, headers=list(given))


def test_an_answer_and_a_label_count_by_the_seal() -> None:
    assert opened(carrying(answer_header(SEAL, KEY, VALUE, b"yes")), 0, SEAL) == Envelope(answer=b"yes")
    assert opened(carrying(label_header(SEAL, KEY, VALUE, (3, 70_000_000_000))), 0, SEAL) == Envelope(True, (3, 70_000_000_000))
    assert opened(carrying(label_header(SEAL, KEY, VALUE)), 0, SEAL) == Envelope(is_label=True)


@pytest.mark.parametrize(
    "forged",
    [
        answer_header(OTHER, KEY, VALUE, b"yes"),
        # Of another transaction, which the log shows to whoever may read it.
        answer_header(SEAL, KEY, b"{}", b"yes"),
        (ANSWER, b""),
        (ANSWER, None),
        label_header(OTHER, KEY, VALUE),
        (LABEL, b"label"),
        (LABEL, None),
        (headers.RESERVED, b"x"),
        ("tidemark-whatever", b"x"),
    ],
)
def test_what_is_forged_is_ignored_and_counted(forged: tuple[str, bytes]) -> None:
    assert opened(carrying(forged), 0, SEAL) == Envelope(ignored=True)


@pytest.mark.parametrize("name", ["aligned", "answer", "type", "seq", "traceparent", "Tidemark-answer", ""])
def test_names_that_arent_ours_are_nobodys_business(name: str) -> None:
    for content in (b"label", b"end-of-replay", b"abc", b"", None):
        assert opened(carrying((name, content)), 0, SEAL) == Envelope()
        assert mark_of(carrying((name, content)), 0, SEAL) is None
        assert seq_of(carrying((name, content))) is None


def test_marks_count_on_their_record_and_partition() -> None:
    record = marked(RECORD, "night", 7, 5)
    assert mark_of(record, 5, SEAL) == Mark("night", 7)
    assert mark_of(record, 4, SEAL) is None
    assert opened(record, 5, SEAL) == Envelope()
    assert mark_of(structs.replace(transaction(1), headers=record.headers), 5, SEAL) is None
    for kind in (MarkKind.END, MarkKind.ABANDONED):
        last = last_mark(0, "night", 8, 5, kind)
        assert mark_of(last, 5, SEAL) == Mark("night", 8, kind)
        assert opened(last, 5, SEAL) == Envelope(ends=True)
        assert mark_of(last, 4, SEAL) is None
        assert opened(last, 4, SEAL) == Envelope()
        # A transaction that says it ended something is one.
        assert mark_of(structs.replace(RECORD, headers=last.headers), 5, SEAL) is None
    assert mark_of(carrying(mark_header(OTHER, Mark("night", 7), 5, KEY, VALUE)), 5, SEAL) is None


def test_the_place_in_a_replay_is_read_where_it_is_a_number() -> None:
    assert seq_of(marked(RECORD, "night", 7, 5)) == 7
    assert seq_of(carrying((SEQ, b"12"))) == 12
    for content in (b"abc", b"", b"-1", b"1" * 19, b"\xff", None):
        assert seq_of(carrying((SEQ, content))) is None
    for content in (b"", b"a", b"a:x:record:00", b"\xff:\xff", None):
        assert seq_of(carrying((REPLAY, content))) is None


NAMES = st.sampled_from([*(value for name, value in vars(headers).items() if name.isupper() and isinstance(value, str)), "type", "aligned"])


@given(st.lists(st.tuples(NAMES | st.text(max_size=3), st.none() | st.binary(max_size=80)), max_size=4), st.none() | st.binary(max_size=3))
@example([(REPLAY, b"a:1:record:" + b"0" * 64)], b"{}")
@example([(REPLAY, b"a:1:\xff:zz")], None)
@example([(REPLAY, b"a:" + b"9" * 5_000 + b":end:00")], None)
def test_whatever_stands_there_is_read_and_decides_nothing(given_headers: list[tuple[str, Any]], value: bytes | None) -> None:
    record = LogRecord(0, 0, b"key", value, given_headers)
    found = opened(record, 0, SEAL)
    assert found in (Envelope(), Envelope(ignored=True))
    assert mark_of(record, 0, SEAL) is None
    seq_of(record)
