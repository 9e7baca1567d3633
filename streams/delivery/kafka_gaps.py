"""Ends SCORE when rows are missing that nobody will send any more.

A gap is nothing unusual for a moment: a former owner of a source partition goes on for some seconds, and the present one sends the same
rows again. But once INGEST has committed a position beyond them, all before it lies on transactions.by-merchant; if SCORE, having read
that log to its end, still lacks them, they are lost, and every later row of that source would be left out in silence.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from features.errors import UserError
from streams.kafka.log import KafkaLog
from streams.kafka.positions import Positions
from streams.messages.topics import BY_MERCHANT, TRANSACTIONS
from streams.state.merchants import Gap

logger = logging.getLogger(__name__)

PATIENCE_S = 30.0
_LOOK_EVERY_S = 1.0
_REPORT_EVERY_S = 60.0


@dataclass
class _Open:
    """A gap since when, and, once INGEST is beyond it, up to where SCORE must have read."""

    gap: Gap
    since: float
    end: int | None = None


class GapWatch:
    """``ingest`` and ``score`` are the logs of the two groups. A gap is looked into once it is ``patience`` seconds old by ``clock``."""

    def __init__(
        self, ingest: KafkaLog, score: KafkaLog, patience: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ingest, self._score, self._clock = ingest, score, clock
        self._patience = PATIENCE_S if patience is None else patience
        self._open: dict[tuple[int, int], _Open] = {}
        self._looked_at = self._reported_at = float("-inf")

    def look(self, gaps: Mapping[int, Mapping[int, Gap]], positions: Positions) -> None:
        """Looks at the open gaps of each partition of transactions.by-merchant, by source partition, and at up to where it is read.

        Raises UserError if one will not be filled.
        """
        if not self._open and not any(gaps.values()):
            return
        now = self._clock()
        self._open = {
            (target, source): self._known(target, source, gap, now) for target, found in gaps.items() for source, gap in found.items()
        }
        if now < self._looked_at + _LOOK_EVERY_S:
            return
        self._looked_at = now
        for (target, source), seen in self._open.items():
            if now >= seen.since + self._patience:
                self._require_sent(target, source, seen, positions[target], now)

    def close(self) -> None:
        """Lets go of INGEST's log."""
        self._ingest.close()

    def _known(self, target: int, source: int, gap: Gap, now: float) -> _Open:
        known = self._open.get((target, source))
        # What is left out later on is no new gap.
        return known if known is not None and known.gap.first == gap.first else _Open(gap, now)

    def _require_sent(self, target: int, source: int, seen: _Open, position: int, now: float) -> None:
        if seen.end is None:
            if (self._ingest.committed(TRANSACTIONS.name, source) or 0) > seen.gap.first:
                seen.end = self._score.bounds(BY_MERCHANT.name, target)[1]
            elif now >= self._reported_at + _REPORT_EVERY_S:
                self._reported_at = now
                logger.warning(
                    "%s[%d] lacks rows of %s[%d] behind offset %d, which INGEST has yet to send; does it run?",
                    BY_MERCHANT.name, target, TRANSACTIONS.name, source, seen.gap.applied,
                )  # fmt: skip
        elif position >= seen.end or not self._score.has_records(BY_MERCHANT.name, target, position):
            raise UserError(
                f"{BY_MERCHANT.name}[{target}] lacks rows of {TRANSACTIONS.name}[{source}] between offsets {seen.gap.applied} and "
                f"{seen.gap.first}, which INGEST has passed, so nothing that follows there can be decided; stop all workers and have them "
                "sent again with `tidemark offsets restore`"
            )
