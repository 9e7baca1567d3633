"""Scores some of a demo's transactions through the API, one after the other, each when it is due."""

import http.client
import queue
import threading
import time
from urllib.parse import urlsplit

from api.demo.traffic.offers import Offer
from api.demo.traffic.tally import Tally
from features.errors import UserError

_TRIES = 5
_TIMEOUT_S = 30.0


class ApiCaller:
    """Calls ``POST /v1/score`` from a thread of its own, over one connection."""

    def __init__(self, url: str, tally: Tally) -> None:
        self._address = urlsplit(url).netloc
        self._connection = http.client.HTTPConnection(self._address, timeout=_TIMEOUT_S)
        self._tally = tally
        self._waiting: queue.Queue[tuple[Offer, float] | None] = queue.Queue()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="API calls", daemon=True)
        self._thread.start()

    def call(self, offer: Offer, due: float) -> None:
        """Has the transaction scored soon; its latency counts from ``due`` (monotonic seconds)."""
        self._waiting.put((offer, due))

    def stop(self, timeout: float) -> None:
        """Makes the calls that wait, for so many seconds at most, and no others."""
        self._waiting.put(None)
        self._thread.join(timeout)

    def check(self) -> None:
        """Raises UserError if a call was given up, or whatever else has ended the thread."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while (waiting := self._waiting.get()) is not None:
                offer, due = waiting
                self._score(offer.value)
                self._tally.answered(time.monotonic(), due)
        except BaseException as error:
            self._failure = error

    def _score(self, body: bytes) -> None:
        """Makes the call; again after a second where the API says that nothing was decided (503)."""
        for attempt in range(_TRIES):
            status, answer = self._post(body)
            if status == 200:
                return
            if status != 503:
                break
            time.sleep(1.0 + attempt)
        raise UserError(f"the API answered {status} to a transaction of the demo: {answer.decode(errors='replace')[:300]}")

    def _post(self, body: bytes) -> tuple[int, bytes]:
        try:
            self._connection.request("POST", "/v1/score", body, {"content-type": "application/json"})
            response = self._connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise UserError(f"the API at {self._address} does not answer ({error!r})") from error
