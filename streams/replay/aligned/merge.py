"""An aligned replay: records of all partitions of ``transactions``, put back into the one order in which the replay had them.

Each record names its replay and carries ``seq``, its place in it: sorted by time (event_time, or label_time of a label), labels first,
then file order. So ``seq`` alone is that order, and since no number is left out, it also tells when a record is yet to come: nobody has to
wait for a partition that merely has nothing to say. A record of its own on each partition, ``seq`` one above the last, says that the replay
ends.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from features.arrays import Int64
from features.errors import START_OVER, UserError
from streams.delivery.sent_replays import SentReplay
from streams.messages.headers import MarkKind, mark_of
from streams.messages.record import Record
from streams.messages.seal import Seal

# Of a partition: some turns' worth, so that the others can be waited for, and no more, however far it runs ahead.
_MOST_RECORDS, _MOST_BYTES = 16_000, 8 << 20


@dataclass(frozen=True)
class Turn:
    """Records by partition, in log order; ``places`` (int64, never falling in a partition) says where each stands among all of them.

    With the turns before, it holds every record of the replay up to some ``seq`` and none beyond: the positions behind it are a consistent
    cut, from which the same order follows again.
    """

    records: dict[int, list[Record]]
    places: dict[int, Int64]


class Merge:
    """Takes the records of each partition as they are read, and gives them out in the replay's order.

    Its marks count by ``seal``; ``begin`` is the first ``seq`` not taken before. Records that aren't the replay's stay behind the one they
    follow on their partition, and are counted as ``others``. What is kept is bounded as long as only the ``wanted`` partitions are read on.
    """

    def __init__(self, replay: str, partitions: Collection[int], seal: Seal, begin: int = 0) -> None:
        self.others = 0
        self._replay, self._seal = replay, seal
        self._next = begin
        self._waiting = {partition: _Waiting(begin - 1) for partition in partitions}
        self._end: int | None = None

    @property
    def ended(self) -> bool:
        """Whether everything was taken, the end on each partition too."""
        return self._end is not None and self._next > self._end

    def wanted(self) -> list[int]:
        """The partitions to read on. The one that has the next record is always among them, or has it waiting here."""
        return [number for number, waiting in self._waiting.items() if waiting.has_room]

    def feed(self, partition: int, records: Sequence[Record]) -> None:
        """Records of a partition that follow those fed before."""
        waiting = self._waiting[partition]
        place, places = waiting.last, []
        for record in records:
            mark = mark_of(record, partition, self._seal)
            if mark is not None and mark.replay == self._replay:
                # One sent twice stays where it came first.
                place = max(place, mark.seq)
                if mark.kind is MarkKind.END:
                    waiting.ended, self._end = True, mark.seq
            elif not waiting.ended:
                self.others += 1
            places.append(place)
        waiting.put(records, places, place)

    def take(self, most: int) -> Turn | None:
        """The next records, up to ``most`` of the replay's; None if the next one isn't there yet.

        Raises UserError if it can't come any more, for every partition has a later one.
        """
        missing = self._first_missing(most)
        records, places = {}, {}
        for number, waiting in self._waiting.items():
            here, of_here = waiting.take_before(missing)
            if here:
                records[number], places[number] = here, of_here
        if not records and not self.ended and all(len(waiting) or waiting.ended for waiting in self._waiting.values()):
            raise UserError(
                f"record {self._next} of the aligned replay {self._replay} is missing on transactions, all partitions hold later "
                f"ones; {START_OVER}"
            )
        self._next = max(self._next, missing)
        return Turn(records, places) if records else None

    def _first_missing(self, most: int) -> int:
        """The first ``seq`` that isn't here, or the one that would be too many."""
        here = np.zeros(most + 1, np.bool_)
        for waiting in self._waiting.values():
            here[waiting.places_between(self._next, self._next + most) - self._next] = True
        if self._end is not None and not all(waiting.ended for waiting in self._waiting.values()) and self._end - self._next <= most:
            here[self._end - self._next] = False
        return self._next + int(np.argmin(here))


class _Waiting:
    """One partition's records that were read and not taken; ``last`` is the place of the last one fed."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.ended = False
        self._records: list[Record] = []
        self._places: Int64 = np.empty(0, np.int64)
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._records)

    @property
    def has_room(self) -> bool:
        return len(self._records) < _MOST_RECORDS and self._bytes < _MOST_BYTES and not self.ended

    def put(self, records: Sequence[Record], places: Sequence[int], last: int) -> None:
        self._records += records
        self._places = np.concatenate([self._places, np.array(places, np.int64)])
        self._bytes += _size(records)
        self.last = last

    def places_between(self, begin: int, end: int) -> Int64:
        first, last = np.searchsorted(self._places, [begin, end])
        return self._places[first:last]

    def take_before(self, place: int) -> tuple[list[Record], Int64]:
        n = int(np.searchsorted(self._places, place))
        records, places = self._records[:n], self._places[:n]
        del self._records[:n]
        self._places = self._places[n:]
        self._bytes -= _size(records)
        return records, places


def _size(records: Sequence[Record]) -> int:
    return sum(len(record.value) for record in records if record.value is not None)


def begin_after(taken: Sequence[SentReplay | None]) -> int | None:
    """The first ``seq`` to take; None if the replay was taken to its end. ``taken`` is what each partition had of it, None if nothing."""
    if taken and all(sent is not None and sent.is_over for sent in taken):
        return None
    return max((sent.seq for sent in taken if sent is not None), default=-1) + 1
