"""Users' records as profiles."""

from collections import Counter

import msgspec
import pytest

from features.online.snapshot import Profile
from streams.messages.events import DeadLetter, User
from streams.messages.record import LogRecord, Record
from streams.messages.validation import Validator
from streams.online.profiles import fold
from tests.made.user_records import CREATED, NOW, user


def folded(*records: LogRecord) -> tuple[dict[str, Profile | None], list[DeadLetter]]:
    profiles: dict[str, Profile | None] = {}
    letters = fold(records, Validator("users", 0, 1, "EUR"), profiles, Counter())
    return profiles, [msgspec.json.decode(letter, type=DeadLetter) for letter in letters]


def test_the_newest_record_of_a_user_counts_and_holds_since_its_update() -> None:
    profiles, _ = folded(user(0), user(1, "u2"), user(2, segment="gold", updated_at="2023-11-14T21:00:00Z"))
    assert profiles == {
        "u1": Profile(1_699_995_600_000, CREATED, "NL", "gold"),
        "u2": Profile(CREATED, CREATED, "NL", "new"),
    }


def test_a_record_without_value_removes_its_user() -> None:
    assert folded(user(0), LogRecord(1, NOW, b"u1", None, []))[0] == {"u1": None}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (user(1, country=None), "invalid_field"),
        (user(1, updated_at=CREATED - 1), "invalid_field"),
        (user(1, updated_at=NOW + 300_001), "updated_at_ahead"),
        (user(1, key=b"u2"), "wrong_key"),
        (LogRecord(1, NOW, b"u1", b"{", []), "not_json"),
        (LogRecord(1, NOW, None, None, []), "null_value"),
        (LogRecord(1, NOW, b"\xff", None, []), "wrong_key"),
    ],
)
def test_what_is_refused_becomes_a_dead_letter_and_leaves_the_profile_as_it_was(bad: LogRecord, reason: str) -> None:
    profiles, (letter,) = folded(user(0), bad)
    assert profiles == {"u1": Profile(CREATED, CREATED, "NL", "new")}
    assert (letter.topic, letter.offset, letter.reason) == ("users", 1, reason)


class Broken(Validator):
    """Fails on some users as a bug would, or as the process does."""

    def __init__(self, failures: dict[int, Exception]) -> None:
        super().__init__("users", 0, 1, "EUR")
        self.failures = failures

    def user(self, record: Record) -> User:
        if record.offset in self.failures:
            raise self.failures[record.offset]
        return super().user(record)


@pytest.mark.parametrize("error", [RecursionError(), OverflowError(), RuntimeError("can't")])
def test_a_record_on_which_anything_fails_becomes_a_dead_letter_and_costs_no_other(error: Exception) -> None:
    profiles: dict[str, Profile | None] = {}
    letters = fold([user(0), user(1, "u2"), user(2, "u3")], Broken({1: error}), profiles, Counter())
    assert set(profiles) == {"u1", "u3"}
    (letter,) = [msgspec.json.decode(letter, type=DeadLetter) for letter in letters]
    assert (letter.topic, letter.offset, letter.reason) == ("users", 1, "processing_failed")
    assert type(error).__name__ in letter.sentence


def test_no_user_is_refused_for_want_of_memory() -> None:
    with pytest.raises(MemoryError):
        fold([user(0), user(1, "u2")], Broken({1: MemoryError()}), {}, Counter())
