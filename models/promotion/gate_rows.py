"""Which rows a candidate and the champion are compared on: the newest whose labels have come, and that neither can know."""

import numpy as np

from features.arrays import Bool, Int64
from features.definitions import DAY
from features.errors import UserError

_WEEK = 7 * DAY


def newest_matured(event_time: Int64, as_of: int, labels_after: int, trained_to: int | None, weeks: int) -> Bool:
    """Of the rows (event times in ms) those of the newest ``weeks`` whose labels, ``labels_after`` ms later, are known ``as_of``; all
    at least ``labels_after`` after ``trained_to``, the last event time that either model has learnt from (None: not known).

    Raises UserError if there are none.
    """
    last = as_of - labels_after
    first = max(last - weeks * _WEEK, -1 if trained_to is None else trained_to + labels_after)
    chosen: Bool = (event_time > first) & (event_time <= last)
    if not chosen.any():
        learnt = "" if trained_to is None else f", and the models have learnt from rows up to {_day(trained_to)}"
        raise UserError(
            f"there are no matured transactions to compare on: with {labels_after / DAY:g} days for labels the data is known up to "
            f"{_day(last)}{learnt}; give data that reaches at least {2 * labels_after / DAY:g} days beyond that"
        )
    return chosen


def _day(milliseconds: int) -> str:
    return str(np.datetime64(milliseconds, "ms").astype("datetime64[D]"))
