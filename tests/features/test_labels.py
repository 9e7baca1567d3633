"""Where labels act and which one counts: repeated, reversed, older ones, those that name something else; and what may be forgotten."""

import msgspec
import pytest

from features.labels import Effect, LabelBook


def take(book: LabelBook, label_time: int, is_fraud: bool, user: str = "u", name: str = "t1", time: int = 1_000, **of: object) -> Effect:
    return book.take(user, name, time, str(of.get("merchant", "m1")), label_time, is_fraud, int(str(of.get("floor", 0))))


def test_the_newest_label_counts_and_each_counts_once() -> None:
    book = LabelBook()
    assert take(book, 50, True) == (1_000, "m1", 1)
    assert take(book, 50, True).fraud == 0
    assert take(book, 40, False).fraud == 0
    assert take(book, 60, False).fraud == -1
    assert take(book, 60, False).fraud == 0
    assert take(book, 60, True).fraud == 1
    assert take(book, 70, True).fraud == 0
    assert len(book) == 1


def test_labels_of_other_users_or_transactions_are_about_something_else() -> None:
    book = LabelBook()
    assert [take(book, 50, True, user, name).fraud for user, name in (("u", "t1"), ("v", "t1"), ("u", "t2"))] == [1] * 3


def test_all_labels_of_a_transaction_act_where_the_first_did() -> None:
    book = LabelBook()
    assert take(book, 50, True) == (1_000, "m1", 1)
    assert take(book, 60, False, time=1_001, merchant="m2") == (1_000, "m1", -1)
    assert take(book, 55, True, time=7, merchant="m3") == (1_000, "m1", 0)
    assert take(book, 70, True, time=9_999, merchant="m2") == (1_000, "m1", 1)


def test_a_first_label_before_all_memory_is_forgotten() -> None:
    book = LabelBook()
    take(book, 50, True)
    assert take(book, 60, False, time=2_000, merchant="m2", floor=1_000) == (1_000, "m1", -1)
    assert take(book, 40, True, time=2_000, merchant="m2", floor=1_001) == (2_000, "m2", 1)
    assert take(book, 50, False, time=1_000, floor=1_001) == (2_000, "m2", -1)


def test_a_users_labels_survive_their_bytes_but_for_those_before_the_floor() -> None:
    book, other, orders = LabelBook(), LabelBook(), ((3, 1, 2), (2, 3, 1))
    encoded = []
    for order in orders:
        book = LabelBook()
        for number in order:
            take(book, 5_000, number != 2, name=f"t{number}", time=1_000 * number)
        encoded.append(book.encode("u", 2_000, 0))
    assert encoded[0] == encoded[1]
    assert len(book) == 2
    other.restore("u", encoded[0])
    assert other.encode("u", 0, 0) == encoded[0]
    assert take(other, 6_000, False, name="t3", time=5) == (3_000, "m1", -1)
    assert take(other, 6_000, True, name="t2", time=5) == (2_000, "m1", 1)
    assert book.encode("u", 10_000, 0) == b""
    assert (book.encode("nobody", 0, 0), len(book)) == (b"", 0)
    other.restore("nobody", b"")
    with pytest.raises(msgspec.DecodeError):
        other.restore("v", b"\xff\x00")


def test_which_labels_were_moved_survives_as_long_as_the_log_may_be_applied_again() -> None:
    book, other = LabelBook(), LabelBook()
    take(book, 50, True)
    book.note_moved("u", 7, "m1")
    book.note_moved("u", 9, "m2")
    other.restore("u", book.encode("u", 0, 8))
    assert [other.moved_to("u", offset) for offset in (7, 8, 9)] == [None, None, "m2"]
    assert take(other, 60, False, time=1, merchant="m3") == (1_000, "m1", -1)
    assert other.encode("u", 2_000, 10) == b""
    assert other.moved_to("u", 9) is None


def test_of_labels_saved_before_they_went_by_user_and_id_alone_the_earliest_is_the_first() -> None:
    book = LabelBook()
    book.restore("u", msgspec.msgpack.encode([("t1", 1_000, "m1", 50, True), ("t1", 1_001, "m2", 60, False)]))
    assert take(book, 70, False, time=1_001) == (1_000, "m1", -1)
