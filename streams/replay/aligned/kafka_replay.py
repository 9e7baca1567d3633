"""``tidemark replay --aligned``: sends a replay, and runs the one INGEST that puts all partitions back into its order."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from features.arrays import Bool
from features.errors import UserError
from streams.config import INGEST, DeploymentConfig
from streams.kafka.client import KafkaClients
from streams.messages.partitioner import partition_of
from streams.messages.seal import Seal
from streams.replay.aligned.kafka_marks import sent_before
from streams.replay.kafka_replay import Aligned, ReplaySummary, replay
from streams.replay.pacing import Rate
from streams.replay.plan import ReplayPlan
from streams.workers.worker import Worker

_LOOK_S = 0.2


def name_of(file: Path, *options: str | None) -> str:
    """The same file and options give the same name, by which an interrupted replay is known again."""
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256")
    digest.update(repr(options).encode())
    return digest.hexdigest()[:16]


def replay_aligned(
    table: pa.Table,
    plan: ReplayPlan,
    name: str,
    config: DeploymentConfig,
    rate: Rate,
    advance: Callable[[int], None],
    stopped: Callable[[], bool],
) -> ReplaySummary:
    """As ``replay``, but what an interrupted one of this ``name`` has sent isn't sent again, and INGEST runs meanwhile; returns once it has
    taken everything, or when not everything was sent.

    Raises UserError if records wait that are no part of the replay, if another is unfinished, if other workers run INGEST, or if that ended
    or was stopped before its work was done.
    """
    on_log = sent_before(config, name)
    lacking = ~_was_sent(table, plan, on_log)
    advance(len(plan) - int(lacking.sum()))
    worker = Worker(config, (INGEST,), "streams.replay.aligned.kafka_process", (name,), finite=True)
    with _running(worker) as merging:
        left, aligned = plan.only(lacking), Aligned(name, len(plan), [number for number, seq in on_log.items() if seq < len(plan)])
        kafka, seal = KafkaClients.of(config), Seal(config.answer_key)
        done = replay(table, left, kafka, seal, rate, advance, lambda: stopped() or merging.done(), aligned)
        while done.complete and not merging.done() and not stopped():
            time.sleep(_LOOK_S)
        if done.complete and not merging.done():
            raise UserError("interrupted: all records were sent, but INGEST has not taken all of them; give the same command again")
        if merging.done() and not merging.result():
            raise UserError("INGEST ended before the replay did, its messages above say why; fix that and give the same command again")
    return done


def _was_sent(table: pa.Table, plan: ReplayPlan, on_log: Mapping[int, int]) -> Bool:
    """Which records of the plan lie on their partitions already, where each has them up to a ``seq``."""
    users = table["user_id"].combine_chunks().dictionary_encode()
    last = np.array([on_log[partition_of(user.encode(), len(on_log))] for user in users.dictionary.to_pylist()], np.int64)
    return np.asarray(plan.seq <= last[users.indices.to_numpy()[plan.row]])


@contextmanager
def _running(worker: Worker) -> Iterator["Future[bool]"]:
    """Yields what tells when the worker's stage has ended, and whether it has done its work; it is stopped after the block."""
    over = threading.Event()
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="aligned INGEST") as thread:
            worker.start()
            try:
                yield thread.submit(worker.run, over.is_set)
            finally:
                over.set()
    finally:
        worker.stop()
