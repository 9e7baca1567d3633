"""Positions that a log doesn't have, any more or yet: refused, for to go on elsewhere would leave records out in silence."""

import time
from collections.abc import Callable

from features.errors import START_OVER, UserError

# A broker that has just started may report less than it has, for a moment.
PATIENCE_S = 10.0
_LOOK_EVERY_S = 0.5


def require_within(where: str, whose: str, position: int, bounds: Callable[[], tuple[int, int]], patience: float | None = None) -> None:
    """Returns if a position lies within a partition's ``bounds`` (the first offset that is kept, and its end), waiting ``patience``
    seconds (None: ten) for the end to reach it.

    ``where`` names the topic and partition, ``whose`` what stands at the position. Raises UserError if it lies outside.
    """
    deadline = time.monotonic() + (PATIENCE_S if patience is None else patience)
    while True:
        begin, end = bounds()
        if begin <= position <= end:
            return
        if position < begin:
            raise UserError(
                f"{where} begins at offset {begin}, but {whose} has only processed what lies before {position}: retention has removed "
                f"{begin - position} offsets unread; raise retention.ms, and {START_OVER}"
            )
        if time.monotonic() > deadline:
            raise UserError(
                f"{where} ends at offset {end}, but {whose} stands at {position}: the topic was created again, or has lost its end, and "
                f"the next {position - end} offsets would be passed over; restore the broker's data from a copy, or {START_OVER}"
            )
        time.sleep(_LOOK_EVERY_S)
