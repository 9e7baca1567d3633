"""A deployment under load, with what an injection needs."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.workers.kafka_idle import IdleWatch
from streams.workers.stages import STAGES
from tests.faults.fleet import Fleet
from tests.faults.traffic import Sender
from tests.run.deployment import Deployment
from tests.run.flaky_kafka import FlakyNetwork

_SETTLE_S = 400


@dataclass
class World:
    """A deployment under load, with what an injector needs."""

    deployment: Deployment
    fleet: Fleet
    sender: Sender
    random: Random
    times: int
    network: FlakyNetwork | None = None
    versions: list[str] = field(default_factory=lambda: ["1"])
    recoveries: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def committed(self, stage: str) -> int:
        """How far a stage has come, all partitions together."""
        log = KafkaLog(KafkaClients.of(self.deployment.config), self.deployment.config.group(stage))
        try:
            partitions = range(4)
            return sum(log.committed(STAGES[stage].topic.name, partition) or 0 for partition in partitions)
        finally:
            log.close()

    def recover(self, stage: str = "score", patience: float = 90.0, *, undisturbed: bool = False) -> None:
        """Waits until a stage commits again, and notes how long that took; ``undisturbed``: nothing may have ended meanwhile."""
        began, before = time.monotonic(), self.committed(stage)
        while self.committed(stage) <= before:
            self.fleet.watch(0.2)
            if undisturbed:
                self.fleet.require_undisturbed()
            assert time.monotonic() < began + patience, f"{stage} didn't go on within {patience:.0f} s"
        self.recoveries.append(time.monotonic() - began)

    def settle(self) -> None:
        """Waits until the workers have nothing left to do."""
        watch = IdleWatch(self.deployment.config, unchanged_s=1.0)
        try:
            deadline = time.monotonic() + _SETTLE_S
            while not watch.idle():
                self.fleet.watch(0.5)
                assert time.monotonic() < deadline, "the workers never had nothing left to do"
        finally:
            watch.close()

    def pause(self, least: float = 0.5, most: float = 3.0) -> None:
        """Lets the stream run for some time."""
        self.fleet.watch(self.random.uniform(least, most))


Inject = Callable[[World], int]
