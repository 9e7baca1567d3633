"""What the records of a partition of ``transactions`` say of the aligned replays that were sent to it."""

from collections.abc import Iterable
from dataclasses import dataclass

from streams.messages.headers import MarkKind, mark_of
from streams.messages.record import LogRecord
from streams.messages.seal import Seal


@dataclass
class SentReplay:
    """An aligned replay on one partition: the highest place (``seq``) among its records, the offset of the record that ends it there, and
    whether it was abandoned.

    Whoever may write can repeat its records, so that only what holds for the whole partition says how far it has come, never the last one.
    """

    seq: int = -1
    ended_at: int | None = None
    abandoned: bool = False

    @property
    def is_over(self) -> bool:
        """Whether nothing of it follows on the partition."""
        return self.ended_at is not None or self.abandoned

    def is_over_before(self, offset: int) -> bool:
        """Whether what stands at this offset needs no merging: it is no more than a repetition, or what was sent is taken as it stands."""
        return self.abandoned or (self.ended_at is not None and self.ended_at < offset)


def replays_among(records: Iterable[LogRecord], partition: int, seal: Seal) -> dict[str, SentReplay]:
    """Each aligned replay that the records, all of a partition from its beginning, belong to."""
    found: dict[str, SentReplay] = {}
    for record in records:
        mark = mark_of(record, partition, seal)
        if mark is None:
            continue
        sent = found.setdefault(mark.replay, SentReplay())
        sent.seq = max(sent.seq, mark.seq)
        if mark.kind is MarkKind.END and sent.ended_at is None:
            sent.ended_at = record.offset
        sent.abandoned |= mark.kind is MarkKind.ABANDONED
    return found
