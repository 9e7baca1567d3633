"""Whatever bytes others send: a message or a refusal, the same wherever it is read, and what is taken fits into all that follows."""

import json
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from api.http.app import _valid
from features.online.feast_format import bytes_value, profile_commands
from features.online.snapshot import Profile, Profiles
from streams.archive.archived_topics import ARCHIVED
from streams.archive.rows.tables import LogPartition
from streams.messages.events import DeadLetter, decode_decision
from streams.messages.nesting import MAX_NESTING, is_too_deep
from streams.messages.readers import label_reader, transaction_reader, user_reader
from streams.messages.record import LogRecord
from streams.messages.refusals import RefusedError, readable
from streams.messages.validation import Validator
from streams.online.profiles import fold
from tests.made.records import KAFKA_TIME, ingest_state, label, received, routed, transaction
from tests.made.seal import ANSWER_KEY, copied
from tests.made.user_records import user

WHOLE = LogPartition(0, 1, "EUR", ANSWER_KEY)
GOOD = {
    "transaction": transaction(0).value or b"",
    "label": label(0, transaction(0), 1_700_600_000_000).value or b"",
    "user": user(0).value or b"",
}
NUMBERS = st.sampled_from(
    [b"1e400", b"-1e400", b"-0", b"-0.0", b"1e3", b"1.0", b"0.1", b"1" * 31, b"9" * 400, b"1" * 5_000, b"NaN", b"Infinity"]
)
TEXTS = st.sampled_from(
    [
        rb'"\ud800"',
        rb'"\udc00"',
        rb'"\ud800\ud800"',
        rb'"\ud83d\ude00"',
        rb'"a\u0000b"',
        b'"\x00"',
        b'"\xed\xa0\x80"',
        b'"\xff"',
        b'"' + b"x" * 257 + b'"',
        b'"' + "😀".encode() * 256 + b'"',
        b'"' + "é".encode() * 100_000 + b'"',
        b'"\\',
        b'"',
    ]
)
DEEP = st.integers(1, 5_000).map(lambda depth: b"[" * depth + b"]" * depth) | st.integers(1, 5_000).map(lambda depth: b'{"a":' * depth)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A message with some of its values replaced, others put in, or its bytes changed; or no message at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=400))
    message = json.loads(draw(st.sampled_from(list(GOOD.values()))))
    strange = NUMBERS | TEXTS | DEEP | st.text(max_size=300).map(lambda text: json.dumps(text, ensure_ascii=False).encode(errors="replace"))
    pairs = {name: json.dumps(value).encode() for name, value in message.items()}
    for _ in range(draw(st.integers(0, 2))):
        pairs[draw(st.sampled_from([*pairs, "unknown", "source", "country", "device_id"]))] = draw(strange)
    value = b"{" + b",".join(b'"' + name.encode() + b'":' + of for name, of in pairs.items()) + b"}"
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 3]))):
        at = draw(st.integers(0, len(value) - 1))
        value = value[:at] + draw(st.binary(max_size=2)) + value[at + draw(st.integers(0, 3)) :]
    return value


def key_of(value: bytes) -> bytes:
    """The key that would be right, as far as there is one."""
    try:
        return str(msgspec.json.decode(value)["user_id"]).encode()
    except Exception:  # whatever the bytes are
        return b"u1"


def taken(read: Callable[[], Any]) -> Any:
    """The message, or None if it is refused, in a sentence that is short enough to keep; anything else is raised."""
    try:
        return read()
    except RefusedError as error:
        refused = error
    assert len(refused.sentence) < 2_000
    return None


def decoded(letter: bytes) -> DeadLetter:
    return msgspec.json.decode(letter, type=DeadLetter)


@settings(deadline=None)
@given(mutated())
@example(b'{"x":' + b"[" * 3_000 + b"]" * 3_000 + b"}")
@example(GOOD["transaction"][:-1] + b',"x":' + b"[" * 900 + b"]" * 900 + b"}")
def test_any_bytes_on_transactions_are_a_transaction_or_a_dead_letter_everywhere(value: bytes) -> None:
    record = LogRecord(0, KAFKA_TIME, key_of(value), value, [])
    event = taken(lambda: Validator("transactions", 0, 1, "EUR").transaction(record))
    counts: Counter[str] = Counter()
    (batch,) = received(routed(ingest_state(), [record], counts=counts))
    (archived,) = ARCHIVED["transactions"].rows(WHOLE, [record]).to_pylist()
    (sent,) = batch.rows.to_pylist()
    api = taken(lambda: _valid(value, "EUR"))
    if event is None:
        assert (sent["kind"], archived["kind"]) == (2, "refused")
        assert decoded(sent["payload"]).reason in {name.removeprefix("refused.") for name in counts}
    else:
        assert (archived["kind"], archived["user_id"], sent["user_id"]) == ("transaction", event.user_id, event.user_id)
        assert sent["merchant_id"] == archived["merchant_id"] == event.merchant_id
        assert transaction_reader()(msgspec.json.encode(event)) == event
        assert bytes_value(event.user_id.encode())
        assert api is None or api == event


@settings(deadline=None)
@given(mutated())
@example(b'{"x":' + b"[" * 3_000 + b"]" * 3_000 + b"}")
def test_any_bytes_on_labels_are_a_label_or_refused_by_ingest_and_archive_alike(value: bytes) -> None:
    record = copied(LogRecord(0, KAFKA_TIME, key_of(value), value, []))
    event = taken(lambda: Validator("transactions", 0, 1, "EUR").label(record))
    (batch,) = received(routed(ingest_state(), [record]))
    (on_its_log,) = ARCHIVED["transactions"].rows(WHOLE, [record]).to_pylist()
    (archived,) = ARCHIVED["labels"].rows(WHOLE, [record]).to_pylist()
    expected = None if event is None else event.user_id
    assert (archived["user_id"], on_its_log["user_id"]) == (expected, expected)
    assert (archived["refused"] is None, batch.rows["kind"][0].as_py()) == (event is not None, 2 if event is None else 1)
    assert event is None or label_reader()(msgspec.json.encode(event)) == event


@settings(deadline=None)
@given(mutated() | st.none(), st.binary(max_size=8) | st.none() | st.just(b"u" * 2_000))
@example(b'{"x":' + b"[" * 3_000 + b"]" * 3_000 + b"}", b"u1")
def test_any_bytes_on_users_are_a_profile_or_a_dead_letter(value: bytes | None, key: bytes | None) -> None:
    key = key if value is None else key_of(value)
    record = LogRecord(0, KAFKA_TIME, key, value, [])
    profiles: dict[str, Profile | None] = {}
    letters = fold([record], Validator("users", 0, 1, "EUR"), profiles, Counter())
    (archived,) = ARCHIVED["users"].rows(WHOLE, [record]).to_pylist()
    assert len(profiles) + len(letters) == 1
    assert (archived["refused"] is None) == bool(profiles)
    for name, profile in profiles.items():
        assert archived["user_id"] == name
        assert profile_commands(Profiles(0, 0, {name: profile}))
    for letter in letters:
        assert len(letter) < 1_000_000
        assert decoded(letter).reason


@settings(deadline=None)
@given(mutated())
@example(b"[" * 100_000)
def test_any_bytes_on_decisions_are_archived(value: bytes) -> None:
    (archived,) = ARCHIVED["decisions"].rows(WHOLE, [LogRecord(0, KAFKA_TIME, b"u1", value, [])]).to_pylist()
    assert archived["refused"] is not None
    assert taken(lambda: readable(value, decode_decision)) is None


@pytest.mark.parametrize("read", [transaction_reader, label_reader, user_reader])
def test_depth_is_judged_alike_however_deep_the_caller_stands(read: Callable[[], Callable[[bytes], Any]]) -> None:
    good = GOOD[read.__name__.removesuffix("_reader")][:-1]
    depths = {MAX_NESTING - 1: True, MAX_NESTING: False}
    values = {depth: good + b',"x":' + b"[" * depth + b"]" * depth + b"}" for depth in depths}

    def below(frames: int) -> dict[int, bool]:
        if frames:
            return below(frames - 1)
        return {depth: taken(lambda value=value: readable(value, read())) is not None for depth, value in values.items()}

    for frames in (0, sys.getrecursionlimit() // 2):
        assert below(frames) == depths


JSON = st.recursive(
    st.none() | st.text(alphabet='[]{}"\\a', max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
)


@settings(deadline=None)
@given(JSON, st.integers(0, 300), st.booleans())
def test_brackets_in_strings_do_not_count(value: object, around: int, indent: bool) -> None:
    for _ in range(around):
        value = [value]

    def depth(of: object) -> int:
        inner = of.values() if isinstance(of, dict) else of if isinstance(of, list) else ()
        return isinstance(of, dict | list) + max(map(depth, inner), default=0)

    assert is_too_deep(json.dumps(value, indent=1 if indent else None).encode()) == (depth(value) > MAX_NESTING)


def test_garbage_takes_no_longer_than_its_length() -> None:
    for value in (b'"\\' * 500_000, b'\\"' * 500_000, b'["' * 500_000, b"[]" * 500_000, b'"' * 1_000_000 + b"[" * 300):
        is_too_deep(value)
