"""The memory of transactions: one taken again is known as long as promised, and what is forgotten follows from the log alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.duplicates import MINUTE_MS, Seen, TransactionMemory
from streams.events import Transaction

NOW = 1_800_000_000_000


class Memory:
    """Takes one at a time."""

    def __init__(self, **bounds: int) -> None:
        self.memory = TransactionMemory(**bounds)

    def take(self, transaction: Transaction, offset: int, time: int) -> Seen | None:
        found = self.memory.take([transaction], [offset], [time])
        return found[0][1] if found else None

    def __len__(self) -> int:
        return len(self.memory)


def payment(number: int, user: str = "u", amount: int = 100) -> Transaction:
    return Transaction(f"t{number}", NOW, user, "m", amount, "EUR")


def test_one_sent_again_is_known_and_one_changed_is_a_conflict() -> None:
    memory = Memory()
    assert memory.take(payment(1), 0, NOW) is None
    assert memory.take(payment(1), 1, NOW) is Seen.DUPLICATE
    assert memory.take(payment(1, amount=101), 2, NOW) is Seen.CONFLICT
    assert memory.take(payment(1), 3, NOW + 59 * MINUTE_MS) is Seen.DUPLICATE
    assert memory.take(payment(1, user="v"), 4, NOW) is None
    assert len(memory) == 2


def test_user_and_id_are_told_apart() -> None:
    memory = Memory()
    assert memory.take(Transaction("23", NOW, "1", "m", 1, "EUR"), 0, NOW) is None
    assert memory.take(Transaction("3", NOW, "12", "m", 1, "EUR"), 1, NOW) is None


def test_the_same_record_is_what_it_was() -> None:
    memory = Memory()
    for _ in range(2):
        assert memory.take(payment(1), 7, NOW) is None
        assert memory.take(payment(1), 8, NOW) is Seen.DUPLICATE


@pytest.mark.parametrize("step", [1, 997, MINUTE_MS, 7 * MINUTE_MS, 50 * MINUTE_MS])
def test_nothing_younger_than_the_age_is_forgotten(step: int) -> None:
    memory = Memory(age=60 * MINUTE_MS)
    times = [NOW + i * step for i in range(300)]
    for i, time in enumerate(times):
        assert memory.take(payment(i), i, time) is None
    young = [i for i, time in enumerate(times) if time >= times[-1] - 60 * MINUTE_MS]
    for i in young:
        assert memory.take(payment(i), 1_000 + i, times[-1]) is Seen.DUPLICATE


def test_what_is_much_older_is_forgotten() -> None:
    memory = Memory(age=60 * MINUTE_MS)
    memory.take(payment(1), 0, NOW)
    assert memory.take(payment(2), 1, NOW + 80 * MINUTE_MS) is None
    assert len(memory) == 1
    assert memory.take(payment(1), 2, NOW + 80 * MINUTE_MS) is None


def test_the_number_is_bounded_and_the_oldest_go_first() -> None:
    memory = Memory(most=80)
    for i in range(1_000):
        memory.take(payment(i), i, NOW)
        assert len(memory) <= 80
    assert memory.take(payment(999), 1_000, NOW) is Seen.DUPLICATE
    assert memory.take(payment(999 - 60), 1_001, NOW) is Seen.DUPLICATE
    assert memory.take(payment(0), 1_002, NOW) is None


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2), st.integers(0, 20)), max_size=60), st.integers(0, 60))
def test_applying_the_end_of_a_log_again_changes_nothing(log: list[tuple[int, int, int]], again_from: int) -> None:
    memory = Memory(age=60 * MINUTE_MS, most=10_000)
    time, said = NOW, []
    for offset, (number, amount, minutes) in enumerate(log):
        time += minutes * 1_000
        said.append((payment(number, amount=amount), offset, time))
    first = [memory.take(*entry) for entry in said]
    assert [memory.take(*entry) for entry in said[again_from:]] == first[again_from:]
