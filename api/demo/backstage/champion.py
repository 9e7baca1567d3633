"""The demo's end of ``champion_process``: a champion is found, or made, while the services come up."""

import contextlib
import threading
from pathlib import Path

import msgspec

from api.demo.backstage.processes import Child
from api.demo.world import World
from features.errors import UserError
from infra.local import mlflow, services


class Progress(msgspec.Struct):
    """What the search does now or, with ``version`` and ``digest``, the champion it has found or made; ``error`` is for the user."""

    doing: str = ""
    version: str = ""
    digest: str = ""
    error: str = ""


class ChampionSearch:
    """Finds a champion in the registry or trains one, in a process of its own; ``progress`` tells how far it is."""

    def __init__(self, home: Path, world: World, features: str) -> None:
        # Without a store there is no champion in it, and training need not wait for the services.
        fresh = services.outside(mlflow.SERVICE, home) is None and not Path(mlflow.database(home).removeprefix("sqlite:///")).exists()
        arguments = [msgspec.json.encode(world).decode(), features, *(["fresh"] if fresh else [])]
        # Threads that wait for each other must not spin while the services start on the same cores.
        self.child = Child("model", home, "api.demo.backstage.champion_process", arguments, {"OMP_WAIT_POLICY": "PASSIVE"})
        self.progress = Progress("looking for a champion")
        self._thread = threading.Thread(target=self._listen, name="model", daemon=True)
        self._thread.start()

    def tell_registry(self, tracking_uri: str) -> None:
        """Tells it where the registry is."""
        assert self.child.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended: found() says why
            self.child.process.stdin.write(f"{tracking_uri}\n".encode())
            self.child.process.stdin.flush()

    def found(self) -> bool:
        """Whether there is a champion now. Raises UserError if there won't be one."""
        over = not self._thread.is_alive()
        if self.progress.error:
            raise UserError(self.progress.error)
        if over and not self.progress.version:
            self.child.process.wait()
            self.child.check()
        return bool(self.progress.version)

    def _listen(self) -> None:
        assert self.child.process.stdout is not None
        decode = msgspec.json.Decoder(Progress).decode
        for line in self.child.process.stdout:
            self.progress = decode(line)
