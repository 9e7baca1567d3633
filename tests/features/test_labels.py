"""Which label counts: repeated, reversed, older ones; and what may be forgotten."""

import msgspec
import pytest

from features.labels import LabelBook

ABOUT = ("t1", 1_000, "m1")


def test_the_newest_label_counts_and_each_counts_once() -> None:
    book = LabelBook()
    assert book.delta("u", ABOUT, 50, True) == 1
    assert book.delta("u", ABOUT, 50, True) == 0
    assert book.delta("u", ABOUT, 40, False) == 0
    assert book.delta("u", ABOUT, 60, False) == -1
    assert book.delta("u", ABOUT, 60, False) == 0
    assert book.delta("u", ABOUT, 60, True) == 1
    assert book.delta("u", ABOUT, 70, True) == 0
    assert len(book) == 1


def test_labels_of_other_users_transactions_times_or_merchants_are_about_something_else() -> None:
    book = LabelBook()
    others = [("u", ABOUT), ("v", ABOUT), ("u", ("t2", 1_000, "m1")), ("u", ("t1", 1_001, "m1")), ("u", ("t1", 1_000, "m2"))]
    assert [book.delta(user, about, 50, True) for user, about in others] == [1] * 5
    assert book.delta("u", ("t1", 1_001, "m1"), 60, False) == -1
    assert book.delta("u", ABOUT, 50, True) == 0


def test_a_users_labels_survive_their_bytes_but_for_those_before_the_horizon() -> None:
    book, other, orders = LabelBook(), LabelBook(), ((3, 1, 2), (2, 3, 1))
    encoded = []
    for order in orders:
        book = LabelBook()
        for number in order:
            book.delta("u", (f"t{number}", 1_000 * number, "m"), 5_000, number != 2)
        encoded.append(book.encode("u", 2_000))
    assert encoded[0] == encoded[1]
    assert len(book) == 2
    other.restore("u", encoded[0])
    assert other.encode("u", 0) == encoded[0]
    assert other.delta("u", ("t3", 3_000, "m"), 6_000, False) == -1
    assert other.delta("u", ("t2", 2_000, "m"), 6_000, True) == 1
    assert book.encode("u", 10_000) == b""
    assert (book.encode("nobody", 0), len(book)) == (b"", 0)
    other.restore("nobody", b"")
    with pytest.raises(msgspec.DecodeError):
        other.restore("v", b"\xff\x00")
