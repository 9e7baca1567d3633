"""Finds the records that can't be processed among those that can."""

from bisect import bisect_left
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

# What fails for a passing reason should not cost a record its decision.
_ATTEMPTS = 3


def process_but_culprits(
    size: int, attempt: Callable[[int], Result], undo: Callable[[], None], give_up: Callable[[int, Exception], None]
) -> Result:
    """What ``attempt(size)`` returns once the items at fault have been given up; it has failed once before.

    ``attempt(n)`` processes the first n items, ``undo`` takes back what an attempt has done, whether it failed or not, and
    ``give_up(i, error)`` has attempts leave out item i from then on. When three attempts failed, bisecting finds the first item at fault.
    """
    failures = 1
    while True:
        undo()
        try:
            return attempt(size)
        except Exception as raised:  # whatever it is, one of these items causes it
            error = raised
        failures += 1
        if failures >= _ATTEMPTS:
            culprit = bisect_left(range(1, size), True, key=lambda n: _fails(n, attempt, undo))
            undo()
            give_up(culprit, error)
            # The next culprit has failed with this one so far.
            failures = 1


def _fails(size: int, attempt: Callable[[int], object], undo: Callable[[], None]) -> bool:
    undo()
    try:
        attempt(size)
    except Exception:
        return True
    return False
