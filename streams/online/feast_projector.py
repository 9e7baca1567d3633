"""PROJECT: takes what changed in a stage's partitions to the online store, in the background.

A stage asks after each batch whether a partition ``wants`` to be projected and, if so, ``offer``s a snapshot of the keys changed since.
So a key is written at most once a flush, however often it changed, and what is written follows what is committed.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from features.online.feast_store import ClaimLostError, OnlineStoreError, OnlineWriter
from features.online.snapshot import Profiles, Snapshot
from features.state import EntityState
from streams.config import DeploymentConfig
from streams.metrics.catalogue import ONLINE_AGE, ONLINE_FLUSHED, Metric
from streams.metrics.prometheus_collectors import Value
from streams.online.changes import snapshot

logger = logging.getLogger(__name__)

# Keys a round trip, set as one: a millisecond or two of Redis' time, for others wait meanwhile.
_PART = 400

# Who claimed a partition that is ours may be a former owner that slept, who claims no more once its session is over.
_CLAIM_AGAIN_S = 10.0

# How often to see whether Redis was restarted or wiped.
_CHECK_EVERY_S = 1.0

_FIRST_RETRY_S, _LONGEST_RETRY_S = 0.1, 2.0


@dataclass(slots=True)
class _Partition:
    """``known``: it was looked up what the store has of it, everything before ``found``. ``lacking``: the store lacks keys that didn't
    change since, so all must go."""

    known: bool = False
    lacking: bool = False
    pending: Snapshot | Profiles | None = None
    offered_at: float = 0.0
    # When the oldest change came that isn't in a snapshot yet, and that of the snapshot at hand.
    waiting_since: float | None = None
    pending_since: float = 0.0
    due: float = 0.0
    cost: float = 0.0
    found: int | None = None
    flushed: int | None = None
    claim_again: float = math.inf


class Projector:
    """Writes one stage's snapshots from a thread of its own; all methods but ``drop`` and ``close`` return at once.

    A partition's snapshots are at least ``freshness`` seconds apart, and more if writing would else take more than ``share`` of a core, yet
    never more than ``longest``. While Redis fails, changes add up in the stage's state, and the one snapshot at hand is tried again.
    ``digest``: see ``OnlineWriter``.
    Raises UserError if there is no Feast repository at ``repo_path``.
    """

    def __init__(
        self,
        repo_path: Path,
        app_id: str,
        stage: str,
        digest: str = "",
        *,
        freshness: float = 0.1,
        longest: float = 2.0,
        share: float = 0.1,
        open_writer: Callable[[Path, str, str, str], OnlineWriter] = OnlineWriter,
    ) -> None:
        self._stage = stage
        self._freshness, self._longest, self._share = freshness, longest, share
        self._changed = threading.Condition()
        # These are guarded by the condition's lock,
        self._partitions: dict[int, _Partition] = {}
        self._lost: set[int] = set()
        self._writing: int | None = None
        self._closing = False
        self._flushes = 0
        # and these are the thread's own.
        self._writer = open_writer(repo_path, app_id, stage, digest)
        self._checked_at = -math.inf
        self._retry = _FIRST_RETRY_S
        self._failing_since: float | None = None
        self._thread = threading.Thread(target=self._run, name=f"project {stage}", daemon=True)
        self._thread.start()

    def wants(self, partition: int) -> bool:
        """Whether to offer a snapshot of this partition now. Nothing is wanted until it is known what the store has of it."""
        with self._changed:
            found = self._partitions.get(partition)
            if found is None:
                found = self._partitions[partition] = _Partition()
                self._changed.notify_all()
            return found.known and found.pending is None and time.monotonic() >= found.due

    def wants_everything(self, partition: int) -> bool:
        """Whether a snapshot of all keys of the partition is wanted, as after Redis was restarted or wiped."""
        with self._changed:
            found = self._partitions.get(partition)
            return found is not None and found.lacking

    def found(self, partition: int) -> int | None:
        """The position up to which the store had the partition when that was looked up; None if it lacked some of it."""
        with self._changed:
            found = self._partitions.get(partition)
            return None if found is None else found.found

    def offer(self, snapshot: Snapshot | Profiles) -> None:
        """Hands over a snapshot that is wanted. Raises ValueError if the partition's last one isn't written yet."""
        with self._changed:
            found = self._partitions.get(snapshot.partition)
            if found is None or not found.known or found.pending is not None:
                raise ValueError(f"no snapshot of partition {snapshot.partition} is wanted now; ask wants() first")
            found.pending, found.offered_at = snapshot, time.monotonic()
            found.pending_since, found.waiting_since = found.waiting_since or found.offered_at, None
            self._changed.notify_all()

    def note(self, partition: int, position: int) -> None:
        """Says where the stage stands: changes up to there that the store lacks have waited from now on, unless others wait already."""
        with self._changed:
            found = self._partitions.get(partition)
            if found is None or found.waiting_since is not None or found.flushed == position:
                return
            if found.pending is None or found.pending.position != position:
                found.waiting_since = time.monotonic()

    def figures(self) -> Iterator[tuple[Metric, Value]]:
        """How old the oldest change is that isn't written, and how many snapshots were; see ``stage_metrics.Measured``."""
        with self._changed:
            since = [found.pending_since for found in self._partitions.values() if found.pending is not None]
            since += [found.waiting_since for found in self._partitions.values() if found.waiting_since is not None]
            flushes = self._flushes
        yield ONLINE_AGE, max(0.0, time.monotonic() - min(since)) if since else 0.0
        yield ONLINE_FLUSHED, flushes

    def flushed(self, partition: int) -> int | None:
        """The position up to which the partition is written; None if that isn't known or not all its keys are."""
        with self._changed:
            found = self._partitions.get(partition)
            return None if found is None else found.flushed

    def drop(self, partition: int, patience: float = 1.0) -> None:
        """Lets go of a revoked partition: when this returns, nothing of it is being written, nor will be.

        A snapshot under way is given ``patience`` seconds, unless Redis fails, and a round trip under way is waited for. Should the
        partition come back, everything is wanted if a snapshot was lost by this.
        """
        with self._changed:
            found = self._partitions.get(partition)
            if found is None:
                return
            self._changed.wait_for(lambda: found.pending is None or self._failing_since is not None, patience)
            del self._partitions[partition]
            if found.pending is not None or found.lacking:
                self._lost.add(partition)
            self._changed.wait_for(lambda: self._writing != partition)

    def close(self, timeout: float = 5.0) -> None:
        """Writes what was offered if Redis takes it within ``timeout`` seconds, and ends the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout)
        with self._changed:
            self._partitions.clear()
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            try:
                self._look_up()
                self._write_next()
                self._succeeded()
            except Exception as error:
                self._failed(error)
            with self._changed:
                failing = self._failing_since is not None
                self._changed.notify_all()
                if self._closing and (failing or not self._has_work()):
                    break
                if failing:
                    self._changed.wait_for(lambda: self._closing, self._retry)
                else:
                    self._changed.wait_for(lambda: self._closing or self._has_work(), _CHECK_EVERY_S)
        self._writer.close()

    def _has_work(self) -> bool:
        return any(found.pending is not None or self._is_unknown(found) for found in self._partitions.values())

    def _look_up(self) -> None:
        """Sees what the store has: of new partitions, and of all once in a while, for Redis may have been restarted or wiped."""
        with self._changed:
            unknown = [number for number, found in self._partitions.items() if self._is_unknown(found)]
        if not unknown and self._failing_since is None and time.monotonic() < self._checked_at + _CHECK_EVERY_S:
            return
        same = self._writer.check()
        with self._changed:
            # Claims are lost with the data, or a copy brings back former ones.
            claimed = unknown if same else list(self._partitions)
        for number in claimed:
            self._writer.claim(number)
        positions = self._writer.projected()
        self._checked_at = time.monotonic()
        with self._changed:
            for number, found in self._partitions.items():
                if number in unknown:
                    found.known, found.lacking = True, number not in positions or number in self._lost
                    found.found = None if found.lacking else positions[number]
                    found.claim_again = math.inf
                    self._lost.discard(number)
                elif not same:
                    found.lacking, found.flushed = True, None

    @staticmethod
    def _is_unknown(found: _Partition) -> bool:
        return not found.known and (found.claim_again == math.inf or time.monotonic() >= found.claim_again)

    def _write_next(self) -> None:
        """Writes the snapshot that has waited longest, if there is one."""
        with self._changed:
            waiting = [found for found in self._partitions.values() if found.pending is not None]
            if not waiting:
                return
            found = min(waiting, key=lambda each: each.offered_at)
            snapshot = found.pending
            assert snapshot is not None
            self._writing = snapshot.partition
        try:
            began = time.thread_time()
            try:
                if not self._write(snapshot, found):
                    return
            except ClaimLostError as error:
                logger.warning("stage %s: %s; it is claimed again if it stays ours", self._stage, error)
                with self._changed:
                    found.known, found.pending, found.flushed = False, None, None
                    found.claim_again = time.monotonic() + _CLAIM_AGAIN_S
                    self._lost.add(snapshot.partition)
                return
            with self._changed:
                found.cost = time.thread_time() - began
                found.pending = None
                found.due = found.offered_at + self._interval()
        finally:
            with self._changed:
                self._writing = None
                self._changed.notify_all()

    def _write(self, snapshot: Snapshot | Profiles, found: _Partition) -> bool:
        """Writes the keys, then up to where; False if the partition was dropped meanwhile."""
        for begin in range(0, len(snapshot), _PART):
            if not self._owns(snapshot.partition, found):
                return False
            self._writer.write(snapshot.part(begin, begin + _PART))
        with self._changed:
            whole = snapshot.everything or not found.lacking
        if not self._owns(snapshot.partition, found):
            return False
        if whole and snapshot.position != found.flushed:
            self._writer.set_projected(snapshot.partition, snapshot.position)
        if whole:
            with self._changed:
                found.lacking, found.flushed = False, snapshot.position
                self._flushes += 1
        return True

    def _owns(self, number: int, found: _Partition) -> bool:
        with self._changed:
            return self._partitions.get(number) is found

    def _interval(self) -> float:
        cost = sum(found.cost for found in self._partitions.values())
        return min(self._longest, max(self._freshness, cost / self._share))

    def _succeeded(self) -> None:
        if self._failing_since is not None:
            logger.info("stage %s writes to the online store again after %.1f s", self._stage, time.monotonic() - self._failing_since)
        self._failing_since, self._retry = None, _FIRST_RETRY_S

    def _failed(self, error: Exception) -> None:
        if self._failing_since is None:
            self._failing_since = time.monotonic()
            expected = isinstance(error, OnlineStoreError)
            logger.warning("stage %s: %s; it keeps trying, and scoring goes on", self._stage, error, exc_info=not expected)
        else:
            self._retry = min(2 * self._retry, _LONGEST_RETRY_S)


def open_projector(config: DeploymentConfig, stage: str) -> Projector | None:
    """A stage's projector; None in a deployment without an online store. Raises as ``Projector``."""
    return Projector(config.feast_path, config.application, stage, config.feature_set.digest) if config.online else None


def offer_changes(projector: Projector, state: EntityState, partition: int, position: int) -> None:
    """Offers what changed in a partition's state, which stands at ``position``, if there is any and the projector wants it now."""
    projector.note(partition, position)
    everything = projector.wants_everything(partition)
    if projector.wants(partition) and (everything or projector.flushed(partition) != position):
        projector.offer(snapshot(state, partition, position, everything=everything))
