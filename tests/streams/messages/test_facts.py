"""A deployment's facts among whatever lies on their topic, and the sentence for who works with others."""

import pytest
from msgspec import structs

from streams.messages import facts
from streams.messages.facts import KEY, SettledFacts
from streams.messages.record import LogRecord

EUROS, DOLLARS = SettledFacts("fraud_v1", "EUR"), SettledFacts("fraud_v1", "USD")
MALFORMED = (
    None,
    b"",
    b"\xff",
    b"{",
    b"[" * 5_000,
    b"[]",
    b'"EUR"',
    b'{"currency":"EUR"}',
    b'{"features":"fraud_v1","currency":"eur"}',
    b'{"features":"fraud_v1","currency":"EURO"}',
    b'{"features":"fraud_v1","currency":"EUR\\n"}',
    b'{"features":"fraud_v1","currency":978}',
    b'{"features":"","currency":"EUR"}',
)


def record(offset: int, value: bytes | None, key: bytes | None = KEY) -> LogRecord:
    return LogRecord(offset, 0, key, value, [])


def test_the_newest_that_can_be_read_count() -> None:
    found = facts.newest([record(0, facts.encode(EUROS)), record(1, facts.encode(DOLLARS))])
    assert (found.facts, found.unreadable) == (DOLLARS, ())


@pytest.mark.parametrize("value", MALFORMED)
def test_what_cant_be_read_changes_nothing_and_is_named(value: bytes | None) -> None:
    found = facts.newest([record(0, facts.encode(EUROS)), record(1, value)])
    assert (found.facts, found.unreadable) == (EUROS, (1,))
    assert facts.newest([record(0, value)]).facts is None


@pytest.mark.parametrize("key", [None, b"", b"other", b"facts "])
def test_other_keys_are_no_facts_whatever_they_hold(key: bytes | None) -> None:
    found = facts.newest([record(0, facts.encode(EUROS)), record(1, facts.encode(DOLLARS), key), record(2, b"{", key)])
    assert (found.facts, found.unreadable) == (EUROS, ())


def test_a_former_record_that_was_sent_again_does_not_count() -> None:
    later = structs.replace(EUROS, currency="USD", revision=2)
    assert (facts.key_of(EUROS), facts.key_of(later)) == (b"facts/0", b"facts/2")
    records = [record(0, facts.encode(later), facts.key_of(later)), record(1, facts.encode(EUROS), facts.key_of(EUROS))]
    assert facts.newest(records).facts == later


def test_fields_that_a_later_version_adds_are_ignored() -> None:
    assert facts.newest([record(0, b'{"features":"fraud_v1","currency":"EUR","region":"eu"}')]).facts == EUROS


def test_who_agrees_may_work() -> None:
    assert facts.refusal(EUROS, "EUR", "fraud_v1", "k:1") is None
    assert facts.refusal(EUROS, "EUR", None, "k:1") is None


@pytest.mark.parametrize(
    ("settled", "currency", "features", "parts"),
    [
        (EUROS, "USD", "fraud_v1", ("settles in USD", "k:1 in EUR", "`tidemark up --currency EUR`")),
        (EUROS, "USD", None, ("settles in USD", "k:1 in EUR", "`tidemark up --currency EUR`")),
        (EUROS, "EUR", "fraud_v2", ("computes fraud_v2", "k:1 fraud_v1", "`tidemark up --features fraud_v1`", "`tidemark rebuild-state`")),
        (None, "EUR", "fraud_v1", ("doesn't say in which currency", "run `tidemark up` once")),
    ],
)
def test_who_doesnt_is_refused_with_both_and_a_fix(
    settled: SettledFacts | None, currency: str, features: str | None, parts: tuple[str, ...]
) -> None:
    sentence = facts.refusal(settled, currency, features, "k:1")
    assert sentence is not None
    assert all(part in sentence for part in parts), sentence
    assert "\n" not in sentence
