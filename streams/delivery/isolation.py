"""Finds the records that can't be processed among those that can."""

from bisect import bisect_left
from collections.abc import Callable
from typing import TypeVar

from streams.blame import is_the_processes

Result = TypeVar("Result")

# What fails for a passing reason should not cost a record its decision.
_ATTEMPTS = 3


def process_but_culprits(
    size: int,
    attempt: Callable[[int, int], Result],
    undo: Callable[[], None],
    give_up: Callable[[int, Exception], None],
    failure: Exception,
) -> Result:
    """What ``attempt(0, size)`` returns once the items at fault have been given up; it has failed once before, with ``failure``.

    ``attempt(begin, end)`` processes these items, ``undo`` takes back what was processed since the last one, whether it failed or not, and
    ``give_up(i, error)`` has attempts leave out item i from then on. When three attempts failed, bisecting finds the first item without
    which those before it pass; it is at fault if it fails alone, after them.

    Raises the error itself where it is the process's fault (``streams/blame.py``), or no item's alone: nothing is given up then, and who
    starts over from what is committed may fare better.
    """
    _of_a_record(failure)
    failures = 1
    while True:
        undo()
        try:
            return attempt(0, size)
        except Exception as raised:
            error = _of_a_record(raised)
        failures += 1
        if failures >= _ATTEMPTS:
            culprit = bisect_left(range(1, size), True, key=lambda n: _failure(n, attempt, undo) is not None)
            alone = _failure_alone(culprit, attempt, undo)
            if alone is None:
                raise error
            undo()
            give_up(culprit, alone)
            # The next culprit has failed with this one so far.
            failures = 1


def _failure(size: int, attempt: Callable[[int, int], object], undo: Callable[[], None]) -> Exception | None:
    undo()
    return _failure_of(attempt, 0, size)


def _failure_alone(item: int, attempt: Callable[[int, int], object], undo: Callable[[], None]) -> Exception | None:
    """How the item fails by itself, where those before it were processed; None if it doesn't, or they fail this time."""
    if item and _failure(item, attempt, undo) is not None:
        return None
    if not item:
        undo()
    return _failure_of(attempt, item, item + 1)


def _failure_of(attempt: Callable[[int, int], object], begin: int, end: int) -> Exception | None:
    try:
        attempt(begin, end)
    except Exception as raised:
        return _of_a_record(raised)
    return None


def _of_a_record(error: Exception) -> Exception:
    """The error, unless it is the process's: then it is raised."""
    if is_the_processes(error):
        raise error
    return error
