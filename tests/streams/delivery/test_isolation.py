"""Records at fault are found among the others, each of which is processed once."""

from hypothesis import given
from hypothesis import strategies as st

from streams.delivery.isolation import process_but_culprits


class Stage:
    """Fails on bad items that are not given up, and on its first attempts for no reason."""

    def __init__(self, bad: set[int], passing: int = 0) -> None:
        self.bad, self.passing = bad, passing
        self.given_up: list[int] = []
        self.done: list[int] = []
        self.clean = False

    def attempt(self, n: int) -> list[int]:
        assert self.clean
        self.clean = False
        if self.passing:
            self.passing -= 1
            raise OSError("for now")
        for item in range(n):
            if item in self.bad and item not in self.given_up:
                raise ValueError(f"can't process {item}")
            self.done.append(item)
        return list(self.done)

    def undo(self) -> None:
        self.done, self.clean = [], True

    def give_up(self, item: int, error: Exception) -> None:
        assert self.clean
        self.given_up.append(item)


@given(st.integers(1, 60), st.data())
def test_exactly_the_items_at_fault_are_given_up(size: int, data: st.DataObject) -> None:
    stage = Stage(data.draw(st.sets(st.integers(0, size - 1), max_size=4)))
    assert process_but_culprits(size, stage.attempt, stage.undo, stage.give_up) == list(range(size))
    assert stage.given_up == sorted(stage.bad)


def test_a_passing_failure_costs_nobody() -> None:
    stage = Stage(set(), passing=1)
    assert process_but_culprits(9, stage.attempt, stage.undo, stage.give_up) == list(range(9))
    assert stage.given_up == []
