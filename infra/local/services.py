"""The embedded services together: up, status, down. All they keep and write lies in one folder, the home (TIDEMARK_HOME)."""

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from infra.local import deployment_file, kafka, mlflow, monitoring, processes, redis
from infra.local.errors import ServiceError
from infra.local.service import Launch, Service

SERVICES: tuple[Service, ...] = (redis.SERVICE, mlflow.SERVICE, kafka.SERVICE)
MONITORING: tuple[Service, ...] = (monitoring.ALERTMANAGER, monitoring.PROMETHEUS)
"""What watches the others, where that is wanted: nothing waits for it, and no command asks it."""
OUTSIDE_VARIABLES: Mapping[str, str] = {"kafka": "TIDEMARK_KAFKA", "redis": "TIDEMARK_REDIS", "mlflow": "TIDEMARK_MLFLOW"}
# By a service's name, what asks it where it runs elsewhere, in place of its own `reachable`; it may raise ServiceError with the reason.
Asking = Mapping[str, Callable[[str, float], bool]]
_SAY_EVERY_S = 20.0
LONGEST_HOME = 400  # bytes; SQLite opens no path of more than 512
# What Kafka's settings (a comma parts folders) and the addresses of SQLite and Redis' settings cannot take in a path.
UNUSABLE_IN_PATHS = frozenset(",:;?#%*\"'\\\n")


@dataclass(frozen=True)
class Endpoints:
    """Where the services are."""

    kafka: str  # host:port[,host:port…]
    redis: str  # redis://host:port/db
    mlflow: str  # tracking URI
    feast_repo: Path  # absolute


def home_from_environment() -> Path:
    """TIDEMARK_HOME, by default `.tidemark` in the current folder, as an absolute path. Raises ServiceError if no folder can be that."""
    home = Path(os.environ.get("TIDEMARK_HOME") or ".tidemark").resolve()
    if (length := len(os.fsencode(home))) > LONGEST_HOME:
        raise ServiceError(
            f"TIDEMARK_HOME {str(home)[:60]}… has {length} bytes, too many to open files in it; choose a folder of at most {LONGEST_HOME}"
        )
    try:
        existing = next(folder for folder in (home, *home.parents) if folder.exists())
    except OSError as error:
        raise ServiceError(f"TIDEMARK_HOME {home} can't be a folder ({error.strerror}); choose another one") from None
    if not existing.is_dir():
        raise ServiceError(f"TIDEMARK_HOME {home} can't be a folder, for {existing} is a file; choose another one")
    return home


def make_home(home: Path) -> None:
    """Makes the folder if it isn't there. Raises ServiceError if that can't be, or if it can't be written to."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        raise ServiceError(f"TIDEMARK_HOME {home} cannot be written to ({error.strerror}); choose another folder") from error


def feast_repo(home: Path) -> Path:
    """The folder of the home's Feast repository."""
    return home / "feast"


def up(
    home: Path,
    report: Callable[[str], None] = lambda _line: None,
    started: Callable[[Endpoints], None] = lambda _endpoints: None,
    asking: Asking = MappingProxyType({}),
) -> Endpoints:
    """Start what does not run yet, in parallel, and wait until all of it answers; what runs is left alone.

    Services elsewhere, which TIDEMARK_KAFKA, TIDEMARK_REDIS or TIDEMARK_MLFLOW name now or did at a former `up`, are only checked. `report`
    gets a line for people as each comes up; `started` is called once, early, with the addresses they will have, for what can be done
    meanwhile (a port may yet have to change). Raises ServiceError.
    """
    if unusable := sorted(UNUSABLE_IN_PATHS & set(str(home))):
        raise ServiceError(f"TIDEMARK_HOME {str(home)!r} holds {unusable}, which the services' settings cannot take; choose another folder")
    with _locked(home):
        embedded = [service for service in SERVICES if outside(service, home) is None]
        for service in SERVICES:
            check_outside(service, home, asking)
        for service in embedded:
            service.ready()
        remembered = remembered_ports(home)
        taken: set[int] = set()
        launches = [Launch(service, home, remembered.get(service.name, {}), taken) for service in embedded]
        for launch in launches:
            _remember(home, launch.service, launch.begin())
        started(_endpoints(home))
        waiting = list(launches)
        patient_until = time.monotonic() + _SAY_EVERY_S
        while waiting:
            for launch in list(waiting):
                if launch.poll():
                    waiting.remove(launch)
                    _remember(home, launch.service, launch.ports)
                    took = "was up" if launch.was_running else f"up in {launch.seconds:.1f} s"
                    report(f"{launch.service.title:<6} {launch.service.url(launch.ports)}  {took}")
            if waiting:
                time.sleep(0.05)
            if waiting and time.monotonic() > patient_until:
                patient_until = time.monotonic() + _SAY_EVERY_S
                report(f"waiting for {' and '.join(launch.service.title for launch in waiting)}; see `tidemark logs`")
        endpoints = _endpoints(home)
        known = remembered_ports(home)
        deployment_file.write(
            home,
            services={service.name: service.url(known[service.name]) for service in embedded},
            elsewhere={service.name: address for service in SERVICES if (address := outside(service, home))},
        )
        return endpoints


def watch(home: Path, report: Callable[[str], None]) -> list[str]:
    """Starts Prometheus and Alertmanager, as far as they are installed, and waits until they answer; what runs is left alone. Returns a
    sentence for each that isn't installed, with how to. Raises ServiceError if one that is there can't be brought up."""
    with _locked(home):
        lacking, taken = [], set[int]()
        for service in MONITORING:
            try:
                service.ready()
            except ServiceError as error:
                lacking.append(str(error))
                continue
            launch = Launch(service, home, remembered_ports(home).get(service.name, {}), taken)
            _remember(home, service, launch.begin())
            while not launch.poll():
                time.sleep(0.05)
            _remember(home, service, launch.ports)
            # What Prometheus has to tell while it knows of nobody who listens, it tells again only a minute later.
            if service is monitoring.ALERTMANAGER:
                monitoring.connect(home, service.url(launch.ports).removeprefix("http://"))
            report(f"{service.title:<6} {service.url(launch.ports)}")
        return lacking


def status(home: Path, asking: Asking = MappingProxyType({})) -> Endpoints:
    """Where the services are, each having answered just now. Raises ServiceError naming those that did not."""
    silent = [service for service in SERVICES if outside(service, home) is None and not answers(service, home)]
    for service in silent:
        slot = service.slot(home)
        if (pid := processes.running_pid(slot)) is not None:
            raise ServiceError(
                f"{service.title} of {home} runs (pid {pid}) but does not answer; see {slot.log_file}, then `tidemark down` and "
                "`tidemark up`"
            )
    if silent:
        titles = " and ".join(service.title for service in silent)
        raise ServiceError(f"{titles} of {home} {'does' if len(silent) == 1 else 'do'} not run; use `tidemark up`")
    if len(addresses(home)) < len(SERVICES):
        raise ServiceError(f"the services of {home} are not all up; start them with `tidemark up`")
    for service in SERVICES:
        check_outside(service, home, asking)
    return _endpoints(home)


def answering(home: Path, asking: Asking = MappingProxyType({})) -> dict[str, bool]:
    """By service: whether it answers just now, here or elsewhere."""

    def one(service: Service) -> bool:
        address = outside(service, home)
        if address is None:
            return answers(service, home)
        try:
            return _reachable(service, address, asking)
        except ServiceError:
            return False

    return {service.name: one(service) for service in SERVICES}


def down(home: Path) -> list[str]:
    """End the home's services; what they keep stays, as do the addresses of services elsewhere. Returns the titles of those that ran."""
    if not home.is_dir():
        return []
    with _locked(home):
        ended = [
            service.title for service in reversed((*SERVICES, *MONITORING)) if processes.stop(service.slot(home), service.stop_patience)
        ]
        if deployment_file.read(home).get("services"):
            deployment_file.write(home, services=None)
        return ended


def is_running(service: Service, home: Path) -> bool:
    """Whether the home's own service has a process."""
    return processes.running_pid(service.slot(home)) is not None


def answers(service: Service, home: Path, timeout: float = 3.0) -> bool:
    """Whether the home's own service runs and answers."""
    known = remembered_ports(home).get(service.name)
    return known is not None and is_running(service, home) and service.answers(home, known, timeout)


def addresses(home: Path) -> dict[str, str]:
    """Service name → address: the environment's, else where `up` has left it, unchecked; those of services that are down are missing."""
    content = deployment_file.read(home)
    left: dict[str, str] = content.get("services", {}) | content.get("elsewhere", {})
    return left | {name: os.environ[variable] for name, variable in OUTSIDE_VARIABLES.items() if os.environ.get(variable)}


def record(home: Path, **facts: str) -> None:
    """Writes facts of the deployment, texts that ``deployment_file.read`` knows, for all commands to read."""
    with _locked(home):
        deployment_file.write(home, **facts)


def remembered_ports(home: Path) -> dict[str, dict[str, int]]:
    """Service name → port name → port, as chosen by the last start."""
    ports: dict[str, dict[str, int]] = deployment_file.read(home).get("ports", {})
    return ports


def outside(service: Service, home: Path) -> str | None:
    """The address of the service elsewhere that is used instead of an embedded one: the environment's, else the one that `up` was once
    given; None if there is none."""
    elsewhere: dict[str, str] = deployment_file.read(home).get("elsewhere", {})
    return os.environ.get(OUTSIDE_VARIABLES[service.name]) or elsewhere.get(service.name)


def check_outside(service: Service, home: Path, asking: Asking = MappingProxyType({})) -> None:
    """Raises ServiceError if the service's address elsewhere, where there is one, does not answer."""
    address = outside(service, home)
    if address is None or _reachable(service, address, asking):
        return
    variable = OUTSIDE_VARIABLES[service.name]
    if os.environ.get(variable):
        raise ServiceError(
            f"{service.title} at {variable}={address} does not answer; start it, correct {variable}, or unset it to use an embedded one"
        )
    file = deployment_file.path(home)
    raise ServiceError(
        f"{service.title} at {address}, which {file} names, does not answer; start it, set {variable}, or remove it there to embed one"
    )


def _reachable(service: Service, address: str, asking: Asking) -> bool:
    """Whether what runs elsewhere answers. Raises ServiceError if that says why it doesn't."""
    return asking.get(service.name, service.reachable)(address, 5.0)


def _endpoints(home: Path) -> Endpoints:
    known = remembered_ports(home)
    address = {service.name: outside(service, home) or service.url(known[service.name]) for service in SERVICES}
    return Endpoints(address["kafka"], address["redis"], address["mlflow"], feast_repo(home))


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Only one `up` or `down` of a home at a time; the others wait."""
    make_home(home)
    with (home / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remember(home: Path, service: Service, ports: Mapping[str, int]) -> None:
    deployment_file.write(home, ports={**remembered_ports(home), service.name: dict(ports)})
