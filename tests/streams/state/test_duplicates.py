"""The memory of transactions: one taken again is known as long as promised, and what is forgotten follows from the log alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.messages.events import Transaction
from streams.state.duplicates import MINUTE_MS, Piece, Sighting, TransactionMemory

NOW = 1_800_000_000_000


class Memory:
    """Takes one at a time."""

    def __init__(self, **bounds: int) -> None:
        self.memory = TransactionMemory(**bounds)

    def take(self, transaction: Transaction, time: int) -> Sighting | None:
        found = self.memory.take([transaction], [time])
        return found[0][1] if found else None

    def __len__(self) -> int:
        return len(self.memory)


def payment(number: int, user: str = "u", amount: int = 100) -> Transaction:
    return Transaction(f"t{number}", NOW, user, "m", amount, "EUR")


def test_one_sent_again_is_known_and_one_changed_is_a_conflict() -> None:
    memory = Memory()
    assert memory.take(payment(1), NOW) is None
    assert memory.take(payment(1), NOW) is Sighting.DUPLICATE
    assert memory.take(payment(1, amount=101), NOW) is Sighting.CONFLICT
    assert memory.take(payment(1), NOW + 59 * MINUTE_MS) is Sighting.DUPLICATE
    assert memory.take(payment(1, user="v"), NOW) is None
    assert len(memory) == 2


def test_user_and_id_are_told_apart() -> None:
    memory = Memory()
    assert memory.take(Transaction("23", NOW, "1", "m", 1, "EUR"), NOW) is None
    assert memory.take(Transaction("3", NOW, "12", "m", 1, "EUR"), NOW) is None


@pytest.mark.parametrize("step", [1, 997, MINUTE_MS, 7 * MINUTE_MS, 50 * MINUTE_MS])
def test_nothing_younger_than_the_age_is_forgotten(step: int) -> None:
    memory = Memory(age=60 * MINUTE_MS)
    times = [NOW + i * step for i in range(300)]
    for i, time in enumerate(times):
        assert memory.take(payment(i), time) is None
    young = [i for i, time in enumerate(times) if time >= times[-1] - 60 * MINUTE_MS]
    for i in young:
        assert memory.take(payment(i), times[-1]) is Sighting.DUPLICATE


def test_what_is_much_older_is_forgotten() -> None:
    memory = Memory(age=60 * MINUTE_MS)
    memory.take(payment(1), NOW)
    assert memory.take(payment(2), NOW + 80 * MINUTE_MS) is None
    assert len(memory) == 1
    assert memory.take(payment(1), NOW + 80 * MINUTE_MS) is None


def test_the_number_is_bounded_and_the_oldest_go_first() -> None:
    memory = Memory(most=80)
    for i in range(1_000):
        memory.take(payment(i), NOW)
        assert len(memory) <= 80
    assert memory.take(payment(999), NOW) is Sighting.DUPLICATE
    assert memory.take(payment(999 - 60), NOW) is Sighting.DUPLICATE
    assert memory.take(payment(0), NOW) is None


LOG = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2), st.integers(0, 20)), max_size=60)


@given(LOG, st.lists(st.integers(0, 60)), st.integers(0, 60), st.sampled_from([8, 24, 10_000]))
def test_a_memory_put_together_from_its_pieces_goes_on_as_the_one_that_told_them(
    log: list[tuple[int, int, int]], told_after: list[int], broken_off: int, most: int
) -> None:
    memory, time, entries = TransactionMemory(age=60 * MINUTE_MS, most=most), NOW, []
    for number, amount, minutes in log:
        time += minutes * MINUTE_MS
        entries.append((payment(number, amount=amount), time))
    saved: dict[tuple[int, int], Piece] = {}

    def save() -> None:
        pieces, forgotten = memory.news()
        saved.update({(piece.segment, piece.number): piece for piece in pieces})
        for place in forgotten:
            del saved[place]

    for i, (transaction, at) in enumerate(entries[:broken_off]):
        memory.take([transaction], [at])
        if i in told_after:
            save()
    save()
    other = TransactionMemory(age=60 * MINUTE_MS, most=most)
    other.restore(saved.values())
    rest = entries[broken_off:]
    sightings = memory.take([transaction for transaction, _ in rest], [at for _, at in rest])
    assert other.take([transaction for transaction, _ in rest], [at for _, at in rest]) == sightings
    assert len(other) == len(memory)
    assert other.news() == memory.news()
