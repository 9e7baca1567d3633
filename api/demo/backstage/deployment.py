"""What a demo runs on: services, a champion, workers, the API. Started in parallel where possible, ended together."""

import http.client
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from api.demo.backstage.champion import ChampionSearch
from api.demo.backstage.interruption import Interruption
from api.demo.backstage.processes import Child
from api.demo.screen.terminal import Presentation
from api.demo.world import World
from features.errors import UserError, redacted
from infra.local import ports, services
from streams.config import DeploymentConfig

_USUAL_API_PORT = 8000
_LOOK_EVERY_S = 0.2
_READY_WITHIN_S = 300.0
_STOP_PATIENCE_S = 20.0
_SERVICES, _MODEL, _WORKERS, _API = "services", "model", "workers", "api"


class Backstage:
    """Services that had been up before stay so, all else is ended by ``tear_down``, at whatever point the set-up has come to."""

    def __init__(self, home: Path, world: World, features: str, presentation: Presentation) -> None:
        self._home = home
        self._world = world
        self._features = features
        self._presentation = presentation
        self._begun = ExitStack()
        self._children: list[Child] = []
        self._waiting: dict[str, Callable[[], str | None]] = {}
        self.config: DeploymentConfig | None = None
        self.api = ""  # its URL
        self.model = ""  # a clause for people
        self.stayed_up = False

    def set_up(self, interruption: Interruption) -> None:
        """Returns once there is a champion, every partition of every stage has an owner, and the API says that it is ready.

        Raises UserError if that can't be, InterruptedDemoError if it is not to be.
        """
        embedded = [service for service in services.SERVICES if services.outside(service, self._home) is None]
        self.stayed_up = all(services.is_running(service, self._home) for service in embedded)
        if not self.stayed_up:
            self._begun.callback(services.down, self._home)
        up = self._child(_SERVICES, Child.command(_SERVICES, self._home, "up"))
        search = ChampionSearch(self._home, self._world, self._features)
        self._child(_MODEL, search.child)
        self._begin(_SERVICES, "Kafka, Redis and MLflow come up", lambda: self._services(up, search))
        self._begin(_MODEL, lambda: search.progress.doing, lambda: self._champion(search))
        deadline = time.monotonic() + _READY_WITHIN_S
        while self._waiting:
            interruption.check()
            for title, look in list(self._waiting.items()):
                if result := look():
                    self._presentation.done(title, result)
                    del self._waiting[title]
            self.check()
            self._presentation.look()
            if time.monotonic() > deadline:
                slow = " and ".join(self._waiting)
                raise UserError(f"{slow} not ready after {_READY_WITHIN_S:.0f} s; see the logs in {self._home / 'logs'}")
            time.sleep(_LOOK_EVERY_S)

    def check(self) -> None:
        """Raises UserError if the workers or the API have ended."""
        for child in self._children:
            if child.name in (_WORKERS, _API):
                child.check()

    def last_words(self) -> str:
        """What the workers said last, and where the rest is."""
        return next(child.last_words() for child in self._children if child.name == _WORKERS)

    def tear_down(self) -> None:
        """Ends all that was begun."""
        for child in self._children:
            if child.process.poll() is None:
                child.process.terminate()  # all of them at once; each is then waited for
        self._begun.close()

    def _child(self, name: str, child: Child) -> Child:
        self._begun.callback(child.stop, _STOP_PATIENCE_S)
        self._children.append(child)
        return child

    def _begin(self, title: str, doing: Callable[[], str] | str, look: Callable[[], str | None]) -> None:
        self._presentation.begin(title, doing)
        self._waiting[title] = look

    def _services(self, up: Child, search: ChampionSearch) -> str | None:
        """Once they are up, all that needs them starts."""
        from api.settings import Settings

        if up.process.poll() is None:
            return None
        up.require_success()
        config = self.config = Settings.resolve(require_services=True).stream_config()
        search.tell_registry(config.mlflow)
        self._start_workers(config)
        self._start_api()
        addresses = [f"{name} {address.partition('://')[2] or address}" for name, address in _addresses(config)]
        return f"{', '.join(addresses)}{' were up' if self.stayed_up else ''}"

    def _start_workers(self, config: DeploymentConfig) -> None:
        from api.demo.backstage.kafka_readiness import StagesReadiness

        # Faust makes a folder that it never uses; not in the user's own.
        datadir = {"APP_DATADIR": str(self._home / "run" / "faust")}
        self._child(_WORKERS, Child.command(_WORKERS, self._home, "worker", environment=datadir))
        readiness = StagesReadiness(config)
        self._begin(_WORKERS, "starting", lambda: "own their partitions" if readiness.ready() else None)

    def _start_api(self) -> None:
        port = ports.choose([_USUAL_API_PORT], set())
        self.api = f"http://{ports.LOOPBACK}:{port}"
        self._child(_API, Child.command(_API, self._home, "serve", "--port", str(port)))
        self._begin(_API, "starting", lambda: f"{self.api}/docs" if _is_ready(self.api) else None)

    def _champion(self, search: ChampionSearch) -> str | None:
        if not search.found():
            return None
        found = search.progress
        self.model = f"version {found.version} ({found.digest[:8]})"
        return f"{self.model} is champion"


def _addresses(config: DeploymentConfig) -> list[tuple[str, str]]:
    return [("Kafka", config.kafka), ("Redis", redacted(config.redis.removesuffix("/0"))), ("MLflow", redacted(config.mlflow))]


def _is_ready(url: str) -> bool:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=3)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
