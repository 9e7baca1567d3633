"""Runs one peer on a topic that is full before it starts, and looks at how fast the records come that it writes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from confluent_kafka.cimpl import NewTopic

from features.errors import UserError
from infra.local import kafka, processes
from infra.local.processes import Slot
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.messages.topics import TRANSACTIONS
from tests.benchmarks.deployment.deployment import Deployment
from tests.benchmarks.figures import rates
from tests.benchmarks.figures.sampling import STUCK_AFTER_S, Processes, Sample, Sampler
from tests.benchmarks.peers.runner import peer_environment
from tests.benchmarks.peers.runner.peers import Peer

_KAFKA = kafka.SERVICE.name
_TIMEOUT_S = 15.0
_STOP_S = 10.0
_LOG_LINES = 30


def measure(deployment: Deployment, peer: Peer, transactions: int, number: int = 0) -> dict[str, Any]:
    """The figures of run ``number`` of a peer over so many transactions of a deployment's topic.

    Rates as those of our stages, by what is on the peer's topic; CPU (µs a transaction) and memory of its whole process family and of the
    broker. A peer that ends, or writes fewer records, gets ``error`` and the end of its ``log`` instead. Raises UserError or ServiceError
    if it can't be started at all.
    """
    name = f"peer-{peer.name}-{number}"
    slot = Slot(deployment.home, name)
    _create(deployment, name)
    where = {"BOOTSTRAP": deployment.config.kafka, "SOURCE": TRANSACTIONS.name, "TARGET": name, "GROUP": name}
    command = [peer_environment.python(peer), peer.program]
    environment = {**peer_environment.variables(peer), **where}
    sampler: _TargetSampler | None = None
    try:
        pid = processes.start(slot, command, environment)
        sampler = _TargetSampler(deployment, name, {peer.name: pid, _KAFKA: deployment.services[_KAFKA]}, peer.name)
        with sampler:
            _wait(sampler, slot, transactions)
        return _figures(sampler.samples, name)
    except _FailedError as failure:
        return {"error": str(failure), "log": processes.log_tail(slot, _LOG_LINES).splitlines()}
    finally:
        if sampler is not None:
            sampler.close()
        processes.stop(slot, _STOP_S)


class _FailedError(Exception):
    """Why a peer's run is none, in a sentence."""


class _TargetSampler(Sampler):
    """Samples where the peer's topic ends."""

    every_s = 0.05  # the bare loop is through some hundred thousand in a second

    def __init__(self, deployment: Deployment, topic: str, pids: Mapping[str, int], family: str) -> None:
        super().__init__(Processes(pids, families=(family,)))
        self._topic, self._partitions = topic, range(deployment.partitions)
        self._log = KafkaLog(KafkaClients.of(deployment.config), f"{topic}-sampler", committed_only=False)

    def positions(self) -> Mapping[str, tuple[int, ...]]:
        """The topic's ends."""
        return {self._topic: tuple(self._log.bounds(self._topic, partition)[1] for partition in self._partitions)}

    def close(self) -> None:
        """Ends the consumer."""
        self._log.close()


def _wait(sampler: _TargetSampler, slot: Slot, transactions: int) -> None:
    def done(sample: Sample) -> bool:
        count = _records(sample)
        if count < transactions and processes.running_pid(slot) is None:
            raise _FailedError(f"it ended after {count:,} of {transactions:,} records")
        return count >= transactions

    try:
        sampler.wait_until(done, lambda sample: f"it stands at {_records(sample):,} of {transactions:,} records for {STUCK_AFTER_S:.0f} s")
    except UserError as stuck:
        raise _FailedError(str(stuck)) from None


def _figures(samples: list[Sample], topic: str) -> dict[str, Any]:
    at = np.array([sample.at for sample in samples])
    finished = np.array([_records(sample) for sample in samples], np.int64)
    window = rates.sustained(at, finished)
    return {
        "tx_per_s": round(window.rate, 1),
        "whole_tx_per_s": round(rates.whole(at, finished), 1),
        **rates.costs(samples, window),
        "records": int(finished[-1]),
    }


def _records(sample: Sample) -> int:
    """How many records the peer has written: it uses no transactions, so offsets have no gaps."""
    (ends,) = sample.committed.values()
    return sum(ends)


def _create(deployment: Deployment, topic: str) -> None:
    admin = KafkaClients.of(deployment.config).admin()
    # A peer may stamp its records with event times, which retention would take for old.
    config = {"message.timestamp.type": "LogAppendTime"}
    new = NewTopic(topic, num_partitions=deployment.partitions, replication_factor=-1, config=config)
    for created in admin.create_topics([new], operation_timeout=_TIMEOUT_S).values():
        created.result()
