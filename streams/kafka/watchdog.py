"""Ends a stage's process whose positions stand still though there is something to read, or which the log doesn't have any more, and tells
what else it may wait for."""

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping

from features.errors import UserError
from streams.config import DeploymentConfig
from streams.kafka.client import KafkaClients, KafkaException
from streams.kafka.groups import Groups
from streams.kafka.log import KafkaLog
from streams.kafka.open_transactions import open_transactions
from streams.messages.topics import Topic

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 5.0
_REPORT_EVERY_S = 60.0


class Watchdog:
    """Looks at the positions of the partitions that a process owns.

    ``positions`` gives the next offset of each, none while it can't be expected to move. A position that stands still for ``patience``
    seconds with committed records beyond it means that the process is stuck: ``end`` is called. One at the last stable offset with records
    beyond that is held back by somebody's open transaction; that is reported after ``held_back`` seconds, with the fix. One beyond the end
    for so long as well, or a topic that is gone or was created again, also means ``end``: started again, the stage refuses with what to do.
    With ``measure`` it looks up the end of every partition each time, for ``ends``.
    A member of ``group`` that is no Tidemark's takes partitions that nobody processes, or keeps ours out; that is reported too.
    """

    def __init__(
        self,
        config: DeploymentConfig,
        topic: Topic,
        group: str,
        positions: Callable[[], Mapping[int, int]],
        end: Callable[[], None],
        *,
        patience: float = 60.0,
        held_back: float = 15.0,
        look_every: float = _LOOK_EVERY_S,
        measure: bool = False,
    ) -> None:
        self._kafka, self._topic, self._group = KafkaClients.of(config), topic.name, group
        self._positions, self._end = positions, end
        self._measure = measure
        self._ends: dict[int, tuple[int, int]] = {}
        self._patience, self._held_back, self._look_every = patience, held_back, look_every
        self._since: dict[int, tuple[int, float]] = {}
        self._topic_id: str | None = None
        self._lacking_since: dict[int | None, float] = {}
        self._reported_at = self._strangers_at = -math.inf
        self._groups: Groups | None = None
        self._closing = threading.Event()
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def close(self) -> None:
        """Looks no more."""
        self._closing.set()

    def ends(self) -> Mapping[int, tuple[int, int]]:
        """By partition, the position and the end of what is committed as of the last look; empty unless it is to measure."""
        return self._ends

    def _run(self) -> None:
        stable, all_records = (KafkaLog(self._kafka, "watchdog", committed_only=only) for only in (True, False))
        while not self._closing.wait(self._look_every):
            try:
                self._look(stable, all_records)
                self._look_for_strangers()
            except (KafkaException, UserError, OSError) as error:
                # Without the broker there is nothing to be behind.
                self._since.clear()
                self._ends = {}
                self._lacking_since.clear()
                logger.info("the watchdog could not look: %s", error)

    def _look_for_strangers(self) -> None:
        if time.monotonic() < self._strangers_at + _REPORT_EVERY_S:
            return
        self._groups = self._groups or Groups(self._kafka)
        self._strangers_at = time.monotonic()
        if strangers := self._groups.strangers(self._group, self._kafka.client_id):
            logger.warning(
                "group %s has members that are no Tidemark workers (%s): nobody processes what is assigned to them, and workers may be "
                "kept out; end them, and give them a group of their own",
                self._group, ", ".join(strangers),
            )  # fmt: skip

    def _look(self, stable: KafkaLog, all_records: KafkaLog) -> None:
        now, positions = time.monotonic(), self._positions()
        # Of a topic that is gone the group assigns nothing, so that there may be no positions.
        topic_id = stable.topic_id(self._topic)
        self._topic_id = self._topic_id or topic_id
        another = topic_id is None or topic_id != self._topic_id
        if self._lacks(None, another, now):
            logger.error("topic %s %s; the stage ends", self._topic, "is gone" if topic_id is None else "was created again")
            self._end()
        if another:
            # Its partitions could not be looked at, or mean nothing.
            return
        if self._measure:
            self._ends = {number: (position, stable.bounds(self._topic, number)[1]) for number, position in positions.items()}
        self._since = {
            number: known if (known := self._since.get(number)) is not None and known[0] == position else (position, now)
            for number, position in positions.items()
        }
        for number, (position, since) in self._since.items():
            still = now - since
            if still < min(self._patience, self._held_back):
                continue
            _, end = stable.bounds(self._topic, number)
            if self._lacks(number, end < position, now):
                logger.error("%s[%d] ends at %d, before the stage's position %d; the stage ends", self._topic, number, end, position)
                self._end()
            if end > position and stable.has_records(self._topic, number, position):
                if still >= self._patience:
                    logger.error("%s[%d] stands still at %d for %.0f s, the log ends at %d", self._topic, number, position, still, end)
                    self._end()
            elif still >= self._held_back and now >= self._reported_at + _REPORT_EVERY_S:
                _, last = all_records.bounds(self._topic, number)
                if last > max(position, end):
                    self._reported_at = now
                    self._tell(stable, number, end)

    def _lacks(self, what: int | None, lacking: bool, now: float) -> bool:
        """Whether the log has lacked this partition's position, or (None) the topic has been another or none, for ``held_back`` seconds."""
        if not lacking:
            self._lacking_since.pop(what, None)
            return False
        return now - self._lacking_since.setdefault(what, now) >= self._held_back

    def _tell(self, stable: KafkaLog, number: int, end: int) -> None:
        try:
            if self._kafka.security:
                raise OSError("this is not asked of a broker with TLS or SASL")
            held = [
                found for found in open_transactions(stable.leader(self._topic, number), self._topic, number) if found.start_offset <= end
            ]
            by = "; ".join(f"producer {found.producer_id} began it at offset {found.start_offset}" for found in held)
            by += "; `tidemark transactions list` says whose it is, and how to abort it"
        except OSError as error:
            by = f"kafka-transactions.sh describe-producers tells whose ({error})"
        logger.warning("%s[%d] can't be read beyond offset %d, an open transaction holds it back: %s", self._topic, number, end, by)
