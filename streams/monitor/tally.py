"""What MONITOR counts of a partition of ``scoring-log``, and what it reports of it: hour by hour, of each model version by itself.

An hour is closed once the partition's newest event time is 15 minutes past its end. What comes later still is reported too, as an addition;
so does what a partition has that was silent for a while, for nobody waits for one that is ``idle``.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from features.arrays import Int64
from features.definitions import HOUR, MINUTE
from models.monitoring.layout import Layout

LATENESS = 15 * MINUTE
NOTHING = -1


class HourTally(msgspec.Struct, frozen=True):
    """Of one version's decisions in the hour that begins at ``hour`` (ms): how many, and their counts (int64, by bin, as bytes; empty if
    the version has no reference)."""

    digest: str
    version: str
    hour: int
    rows: int
    counts: bytes


class Report(msgspec.Struct, frozen=True):
    """What a partition, of so many, adds. All hours that end before or at ``through`` (ms; −1: none yet) are closed. ``idle``: nothing came
    for a while. ``source`` is the id of the topic that it is about, and ``number`` rises from report to report of a partition: somebody may
    send a former one again.
    """

    source: str
    number: int
    partition: int
    partitions: int
    through: int
    idle: bool
    hours: list[HourTally]


class Place(NamedTuple):
    """Up to which ``position`` a partition, of so many, of the topic with this id is counted."""

    source: str
    partition: int
    partitions: int
    position: int


class Counted(msgspec.Struct):
    """Of one hour: rows and counts (as in ``HourTally``)."""

    rows: int
    counts: bytes


class Tally(msgspec.Struct):
    """One partition's: the newest event time (ms), what was said last of ``through`` and ``idle``, and what isn't reported yet, by digest
    and hour; each digest's version."""

    clock: int = NOTHING
    through: int = NOTHING
    idle: bool | None = None
    open: dict[str, dict[int, Counted]] = {}
    versions: dict[str, str] = {}

    def add(
        self,
        digest: str,
        version: str,
        event_time: Int64,
        columns: Callable[[], Mapping[str, npt.NDArray[np.floating]]],
        layout: Layout | None,
    ) -> None:
        """Counts decisions of one version, at least one, with these times (ms); ``columns`` gives their values if the version has a
        ``layout``."""
        self.versions[digest] = version
        self.clock = max(self.clock, int(event_time.max()))
        hours, group = np.unique(event_time // HOUR * HOUR, return_inverse=True)
        rows = np.bincount(group)
        counts = None if layout is None else layout.count(columns(), group, len(hours))
        of_digest = self.open.setdefault(digest, {})
        for place, hour in enumerate(hours.tolist()):
            here = None if counts is None else counts[place]
            of_digest[hour] = _together(of_digest.get(hour), int(rows[place]), here)

    def report(self, place: Place, *, idle: bool = False) -> Report | None:
        """What there is to say now, None if nothing is new: what is closed, or everything if the partition is ``idle``."""
        through = max(self.through, (self.clock - LATENESS) // HOUR * HOUR if self.clock >= 0 else NOTHING)
        hours = [
            HourTally(digest, self.versions[digest], hour, counted.rows, counted.counts)
            for digest, of_digest in sorted(self.open.items())
            for hour, counted in sorted(of_digest.items())
            if idle or hour + HOUR <= through
        ]
        if not hours and (through, idle) == (self.through, self.idle):
            return None
        for of_hour in hours:
            del self.open[of_hour.digest][of_hour.hour]
        self.open = {digest: of_digest for digest, of_digest in self.open.items() if of_digest}
        self.versions = {digest: self.versions[digest] for digest in self.open}
        self.through, self.idle = through, idle
        # After a stretch of records a partition may be found idle, and that once.
        return Report(place.source, 2 * place.position + idle, place.partition, place.partitions, through, idle, hours)


def _together(known: Counted | None, rows: int, counts: Int64 | None) -> Counted:
    if known is None or not known.counts:
        return Counted(rows + (0 if known is None else known.rows), b"" if counts is None else counts.tobytes())
    before = np.frombuffer(known.counts, np.int64)
    return Counted(known.rows + rows, (before if counts is None else before + counts).tobytes())


encode = msgspec.msgpack.Encoder().encode
decode_report = msgspec.msgpack.Decoder(Report).decode
decode_tally = msgspec.msgpack.Decoder(Tally).decode
