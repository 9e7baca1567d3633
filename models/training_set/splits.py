"""Which rows a model may learn from, and which of them it is tried on: decided by time alone."""

from dataclasses import dataclass

import numpy as np

from features.arrays import Bool, Int64


@dataclass(frozen=True)
class Learnable:
    """``rows`` (numbers of the table's rows) to learn from, and how many of the range were left out: their label not yet known as of the
    day asked for (``immature``), or never stated (``unlabelled``)."""

    rows: Int64
    immature: int
    unlabelled: int


def learnable_rows(event_time: Int64, labelled: Bool, begin: int, end: int, as_of: int, labels_after: int) -> Learnable:
    """Rows from ``begin`` (inclusive) to ``end`` (exclusive) whose label is known as of ``as_of``.

    A label is known once ``labels_after`` ms have passed since the event time, be it fraud or not: that no chargeback came is news too. All
    times in ms; ``labelled`` is whether the table states a label at all.
    """
    in_range = (event_time >= begin) & (event_time < end)
    mature = event_time + labels_after <= as_of
    return Learnable(
        np.flatnonzero(in_range & mature & labelled),
        immature=int((in_range & ~mature).sum()),
        unlabelled=int((in_range & mature & ~labelled).sum()),
    )


def validation_begin(event_time: Int64, share: float) -> int:
    """The event time (ms) from which on the latest rows, about ``share`` (0–1) of them, are kept for validation.

    Rows of one moment stay together. Raises ValueError if there are no rows.
    """
    if not len(event_time):
        raise ValueError("there are no rows to split")
    in_time = np.sort(event_time)
    return int(in_time[min(len(in_time) - 1, int(len(in_time) * (1 - share)))])
