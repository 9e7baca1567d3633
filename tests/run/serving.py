"""``tidemark serve`` in the background, and a caller of it."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.run.deployment import Deployment, eventually

_LISTENS = re.compile(r"^listening at (http://127\.0\.0\.1:\d+)$", re.MULTILINE)


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
    before = set(deployment.home.glob("serve-*.log"))
    with deployment.running("serve", "--port", "0", *arguments):
        (log,) = set(deployment.home.glob("serve-*.log")) - before
        eventually(lambda: bool(_LISTENS.search(log.read_text())), what="the line that says where it listens")
        (base,) = _LISTENS.findall(log.read_text())
        served = Api(base)
        eventually(lambda: served.get("/readyz")[0] == 200, what="readiness")
        yield served
