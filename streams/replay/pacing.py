"""When each record of a replay is due: ``--rate max``, so many records a second, or event time at a multiple of its own speed.

The load is open: a record's due time is settled beforehand and doesn't move when an earlier one is late, so a latency measured from it
leaves out no waiting (no coordinated omission).
"""

import math
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from features.arrays import Float64, Int64
from features.errors import UserError


@dataclass(frozen=True)
class Rate:
    """``max``; ``records`` per second; or ``realtime``, at so many times the speed of event time."""

    kind: Literal["max", "records", "realtime"]
    value: float = math.inf


MAX_RATE = Rate("max")
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"


def parse_rate(text: str) -> Rate:
    """The rate that ``--rate`` asks for: ``max``, a number of records a second, ``realtime`` or ``realtime×K`` (``realtimexK``).

    Raises UserError for anything else, and for zero.
    """
    if text == "max":
        return MAX_RATE
    match = re.fullmatch(rf"(?P<records>{_NUMBER})|realtime([×x*](?P<speed>{_NUMBER}))?", text)
    value = float(match["records"] or match["speed"] or 1) if match else 0.0
    if match is None or value == 0:
        raise UserError(f"--rate {text} is not a rate; use max, a number of records a second such as 5000, or realtime×60")
    return Rate("records" if match["records"] else "realtime", value)


def due_ms(rate: Rate, time: Int64) -> Float64 | None:
    """When each record is due, in ms after the start (float64, rising), for records whose times are ``time`` (int64 ms, rising); None
    where nothing waits."""
    if rate.kind == "max":
        return None
    if rate.kind == "records":
        return np.arange(len(time), dtype=np.float64) * (1000.0 / rate.value)
    return (time - time[0]) / rate.value if len(time) else np.empty(0)
