"""Records at fault are found among the others, each of which is processed once; what is no record's fault costs none."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.delivery.isolation import process_but_culprits

FIRST = ValueError("can't process")


class Stage:
    """Fails on bad items that are not given up, on turns of more than ``most`` items, and on its first attempts for no reason."""

    def __init__(self, bad: set[int], passing: int = 0, most: int = 1_000) -> None:
        self.bad, self.passing, self.most = bad, passing, most
        self.given_up: list[int] = []
        self.done: list[int] = []

    def attempt(self, begin: int, end: int) -> list[int]:
        assert len(self.done) == begin, "the items before are in the state, and no others"
        if self.passing:
            self.passing -= 1
            raise ValueError("for now")
        if end - begin > self.most:
            raise ValueError("too many")
        for item in range(begin, end):
            if item in self.bad and item not in self.given_up:
                raise ValueError(f"can't process {item}")
            self.done.append(item)
        return list(self.done)

    def undo(self) -> None:
        self.done = []

    def give_up(self, item: int, error: Exception) -> None:
        assert self.done == []
        assert str(error) == f"can't process {item}"
        self.given_up.append(item)

    def process(self, size: int, failure: Exception = FIRST) -> list[int]:
        return process_but_culprits(size, self.attempt, self.undo, self.give_up, failure)


@given(st.integers(1, 60), st.data())
def test_exactly_the_items_at_fault_are_given_up(size: int, data: st.DataObject) -> None:
    stage = Stage(data.draw(st.sets(st.integers(0, size - 1), max_size=4)))
    assert stage.process(size) == list(range(size))
    assert stage.given_up == sorted(stage.bad)


def test_a_passing_failure_costs_nobody() -> None:
    stage = Stage(set(), passing=1)
    assert stage.process(9) == list(range(9))
    assert stage.given_up == []


@given(st.integers(1, 30))
def test_items_that_failed_together_but_pass_alone_are_not_given_up(size: int) -> None:
    stage = Stage(set(), passing=2)
    with pytest.raises(ValueError, match="for now"):
        stage.process(size)
    assert stage.given_up == []


def test_a_turn_too_large_for_the_process_ends_it() -> None:
    stage = Stage(set(), most=5)
    with pytest.raises(ValueError, match="too many"):
        stage.process(9)
    assert stage.given_up == []


@pytest.mark.parametrize("error", [MemoryError(), OSError(28, "No space left on device"), RuntimeError("can't start new thread")])
def test_what_is_the_processes_fault_is_raised_at_once(error: Exception) -> None:
    stage = Stage({3})
    with pytest.raises(type(error)):
        stage.process(9, error)
    assert stage.given_up == []


@given(st.integers(1, 30), st.integers(0, 20), st.sets(st.integers(0, 29), max_size=3))
def test_memory_that_runs_out_while_looking_for_the_culprit_is_raised(size: int, lasts: int, bad: set[int]) -> None:
    stage, left = Stage(bad & set(range(size))), [lasts]

    def attempt(begin: int, end: int) -> list[int]:
        left[0] -= 1
        if left[0] < 0:
            raise MemoryError
        return stage.attempt(begin, end)

    with contextlib.suppress(MemoryError):
        process_but_culprits(size, attempt, stage.undo, stage.give_up, FIRST)
    assert set(stage.given_up) <= stage.bad
