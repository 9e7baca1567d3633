"""What the three embedded services have in common, and how one of them is brought up."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.local import ports, processes
from infra.local.errors import ServiceError
from infra.local.processes import Slot

Ports = Mapping[str, int]


@dataclass(frozen=True)
class Service:
    """One embedded service. The functions take the home and the ports by name, as in `usual_ports`."""

    name: str
    title: str
    usual_ports: Ports
    ready: Callable[[], object]  # fetches or finds what a start needs; raises ServiceError
    start: Callable[[Path, Ports], None]
    answers: Callable[[Path, Ports, float], bool]  # within so many seconds
    url: Callable[[Ports], str]
    reachable: Callable[[str, float], bool]  # the same for a service elsewhere: its address, seconds
    stop_patience: float  # seconds from SIGTERM to SIGKILL

    def slot(self, home: Path) -> Slot:
        """Where its process leaves its traces in that home."""
        return Slot(home, self.name)


class Launch:
    """One service on its way up: `begin` starts what does not run, `poll` is called until it returns True."""

    attempts = 5  # starts, each on other ports, while somebody else is quicker to take the ports we chose
    patience = 180.0  # s; a broker killed while busy recovers its logs first

    def __init__(self, service: Service, home: Path, remembered: Ports, taken: set[int]) -> None:
        self.service = service
        self.home = home
        self.ports = remembered
        self.seconds = 0.0
        self.was_running = False
        self._taken = taken
        self._began = 0.0
        self._starts = 0

    def begin(self) -> Ports:
        """Start the service unless it runs; returns the ports it will have. Raises ServiceError."""
        self._began = time.monotonic()
        slot = self.service.slot(self.home)
        if processes.running_pid(slot) is not None and set(self.ports) == set(self.service.usual_ports):
            self.was_running = True
            return self.ports
        return self._start()

    def poll(self) -> bool:
        """Whether the service answers by now. Raises ServiceError if it has died or takes too long."""
        slot = self.service.slot(self.home)
        running = processes.running_pid(slot)
        if running is None:
            self._after_death()
            return False
        if self.service.answers(self.home, self.ports, 0.25):
            self.seconds = time.monotonic() - self._began
            return True
        if time.monotonic() - self._began > self.patience:
            raise ServiceError(
                f"{self.service.title} (pid {running}) runs but has not answered for {self.patience:.0f} s; "
                f"see {slot.log_file}, then run `tidemark down` and `tidemark up`"
            )
        return False

    def _start(self) -> Ports:
        processes.stop(
            self.service.slot(self.home), self.service.stop_patience
        )  # what a killed service's children or an interrupted start left
        chosen: dict[str, int] = {}
        for name, usual in self.service.usual_ports.items():
            preferred = [port for port in (self.ports.get(name), usual) if port is not None]
            chosen[name] = ports.choose(preferred, self._taken)
            self._taken.add(chosen[name])
        self.ports = chosen
        self._starts += 1
        self.service.start(self.home, self.ports)
        return self.ports

    def _after_death(self) -> None:
        clash = not all(ports.is_free(port) for port in self.ports.values())
        if clash and self._starts < self.attempts:
            self._start()
            return
        slot = self.service.slot(self.home)
        raise ServiceError(f"{self.service.title} ended while starting; its log {slot.log_file} ends with:\n{processes.log_tail(slot, 15)}")
