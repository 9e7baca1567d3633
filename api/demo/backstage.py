"""What a demo runs on: services, a champion, workers, the API. Brought up as parallel as it can be, ended together."""

import http.client
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from api.demo.champion import ChampionSearch
from api.demo.interruption import Interruption
from api.demo.presentation import Presentation
from api.demo.processes import Child
from api.demo.world import World
from features.errors import UserError
from infra.local import ports, services
from streams.config import StreamConfig
from streams.topics import DEFAULT_PARTITIONS

_USUAL_API_PORT = 8000
_LOOK_EVERY_S = 0.2
_READY_WITHIN_S = 300.0
_STOP_PATIENCE_S = 20.0
_SERVICES, _MODEL, _WORKERS, _API = "services", "model", "workers", "API"


class Backstage:
    """Services that had been up before stay so, all else is ended by ``tear_down``, at whatever point the set-up has come to."""

    def __init__(self, home: Path, world: World, features: str, presentation: Presentation) -> None:
        self._home = home
        self._world = world
        self._features = features
        self._presentation = presentation
        self._begun = ExitStack()
        self._children: list[Child] = []
        self.config: StreamConfig | None = None
        self.api = ""  # its URL
        self.model = ""  # a clause for people
        self.stayed_up = False

    def set_up(self, interruption: Interruption) -> StreamConfig:
        """Returns once transactions can be sent and are decided. Raises UserError or ServiceError."""
        embedded = [service for service in services.SERVICES if services.outside(service) is None]
        self.stayed_up = all(services.is_running(service, self._home) for service in embedded)
        if not self.stayed_up:
            self._begun.callback(services.down, self._home)
        self._presentation.begin(_MODEL, lambda: search.progress.doing)
        search = ChampionSearch(self._home, self._world, self._features)
        self._begun.callback(search.child.stop, _STOP_PATIENCE_S)
        self.config = self._bring_services_up()
        interruption.check()
        search.tell_registry(self.config.mlflow)
        self._start_children()
        self._wait(search, interruption)
        return self.config

    def check(self) -> None:
        """Raises UserError if the workers or the API have ended."""
        for child in self._children:
            child.check()

    def last_words(self) -> str:
        """Where the workers' messages are, and the last one."""
        return self._children[0].last_words()

    def tear_down(self) -> None:
        """Ends all that was begun."""
        for child in self._children:
            if child.process.poll() is None:
                child.process.terminate()  # all of them at once; each is then waited for
        self._begun.close()

    def _bring_services_up(self) -> StreamConfig:
        from api.cli.services import bring_up
        from api.settings import Settings

        self._presentation.begin(_SERVICES, "Kafka, Redis and MLflow come up")
        bring_up(self._home, DEFAULT_PARTITIONS, quiet=True)
        config = Settings.resolve(require_services=True).stream_config(self._features)
        had = "were up" if self.stayed_up else "up"
        self._presentation.done(_SERVICES, f"Kafka {config.kafka}, Redis {config.redis}, MLflow {config.mlflow} {had}")
        return config

    def _start_children(self) -> None:
        port = ports.choose([_USUAL_API_PORT], set())
        self.api = f"http://{ports.LOOPBACK}:{port}"
        options = ("--features", self._features)
        # Faust makes a folder that it never uses; not in the user's own.
        datadir = {"APP_DATADIR": str(self._home / "run" / "faust")}
        for title, arguments, environment in (
            (_WORKERS, ("worker", *options), datadir),
            (_API, ("serve", "--port", str(port), *options), {}),
        ):
            self._presentation.begin(title, "starting")
            child = Child.command(title.lower(), self._home, *arguments, environment=environment)
            self._begun.callback(child.stop, _STOP_PATIENCE_S)
            self._children.append(child)

    def _wait(self, search: ChampionSearch, interruption: Interruption) -> None:
        """Until there is a champion, every partition of every stage has an owner, and the API says that it is ready."""
        from api.demo.kafka_readiness import StagesReadiness

        assert self.config is not None
        readiness = StagesReadiness(self.config)
        waiting: dict[str, Callable[[], str | None]] = {
            _MODEL: lambda: self._champion(search),
            _WORKERS: lambda: "labels, ingest and score own their partitions" if readiness.ready() else None,
            _API: lambda: f"{self.api}/docs" if _is_ready(self.api) else None,
        }
        deadline = time.monotonic() + _READY_WITHIN_S
        while waiting:
            interruption.check()
            self.check()
            for title, look in list(waiting.items()):
                if result := look():
                    self._presentation.done(title, result)
                    del waiting[title]
            self._presentation.look()
            if time.monotonic() > deadline:
                raise UserError(f"{' and '.join(waiting)} not ready after {_READY_WITHIN_S:.0f} s; see the logs in {self._home / 'logs'}")
            time.sleep(_LOOK_EVERY_S)

    def _champion(self, search: ChampionSearch) -> str | None:
        if not search.found():
            return None
        found = search.progress
        self.model = f"champion: version {found.version} ({found.digest[:12]})"
        return self.model


def _is_ready(url: str) -> bool:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=3)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
