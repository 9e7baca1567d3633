"""``tidemark serve`` in the background, and a caller of it."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.run.deployment import Deployment, eventually


@dataclass
class Api:
    """A running ``tidemark serve``."""

    base: str

    def get(self, path: str) -> tuple[int, bytes]:
        return self._ask(urllib.request.Request(self.base + path))

    def score(self, body: bytes) -> tuple[int, dict[str, object]]:
        request = urllib.request.Request(self.base + "/v1/score", body, {"content-type": "application/json"})
        status, answer = self._ask(request)
        return status, json.loads(answer)

    @staticmethod
    def _ask(request: urllib.request.Request) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except urllib.error.URLError:
            return 0, b""


@contextmanager
def serving(deployment: Deployment, *arguments: str) -> Iterator[Api]:
    """An API of its own that is ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with deployment.running("serve", "--port", str(port), *arguments):
        served = Api(f"http://127.0.0.1:{port}")
        eventually(lambda: served.get("/readyz")[0] == 200, what="readiness")
        yield served
