"""The show itself: transactions are sent, decisions come back, the figures are shown."""

import json
import time
from datetime import UTC, datetime

from api.demo.backstage.deployment import Backstage
from api.demo.backstage.interruption import Interruption
from api.demo.screen.terminal import Presentation
from api.demo.screen.view import Scene, line, screen
from api.demo.traffic.api_caller import ApiCaller
from api.demo.traffic.kafka_observer import Observer
from api.demo.traffic.kafka_sender import Sender
from api.demo.traffic.offers import offers
from api.demo.traffic.tally import Tally
from api.demo.world import World
from features.errors import UserError
from streams.kafka.client import KafkaClients
from streams.messages.seal import Seal

_LOOK_EVERY_S = 0.25
_LINE_EVERY_S = 5.0
# A worker that starts on a home with a long history recovers its state first.
_SILENCE_S = 180.0
_LAST_WAIT_S = 5.0
_GRACE_S = 1.0  # in which a decision said twice would be seen
_CURL_AMOUNT = 25_000


class Performance:
    """One run. Needs the stages and the API at work."""

    def __init__(self, backstage: Backstage, world: World, run: str, rate: float, presentation: Presentation) -> None:
        assert backstage.config is not None
        kafka = KafkaClients.of(backstage.config)
        self.tally = Tally(run)
        self._backstage = backstage
        self._world = world
        self._rate = rate
        self._presentation = presentation
        self._observer = Observer(kafka, self.tally)
        self._caller = ApiCaller(backstage.api, self.tally)
        self._sender = Sender(kafka, Seal(backstage.config.answer_key), offers(world, run), self.tally, rate, self._caller.call)
        self._began = time.monotonic()
        self._showed_curl = False
        self._next_line = 0.0

    @property
    def complete(self) -> bool:
        """Whether every transaction that was to be sent was, and had its decision or dead letter, and only one."""
        wanted = self._world.transactions
        return (
            self._sender.done.is_set()
            and wanted in (None, self.tally.sent)
            and self.tally.sent == self._sender.transactions
            and self._quits
        )

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    @property
    def live_seconds(self) -> float:
        """From the first live transaction to the last decision."""
        since = self._sender.live_since
        return 0.0 if since is None else max(0.0, self.tally.last_arrival - since)

    def run(self, interruption: Interruption, unattended: bool) -> None:
        """Goes on until all is sent and decided, or too long nothing comes, if ``unattended``; else until it is interrupted.

        Raises UserError if something it needs has failed.
        """
        self._sender.start()
        settled_since: float | None = None
        while not interruption.requested:
            self._check()
            now = time.monotonic()
            self._show(now, over=settled_since is not None)
            settled = self._sender.done.is_set() and self.tally.sent == self._sender.transactions and self._quits
            settled_since = (settled_since or now) if settled else None
            if unattended and settled_since is not None and now - settled_since > _GRACE_S:
                return
            if not settled and self.tally.outstanding > 0 and now - max(self.tally.last_arrival, self._began) > _SILENCE_S:
                if unattended:
                    return
                raise UserError(f"nothing was decided for {_SILENCE_S:.0f} s; the workers: {self._backstage.last_words()}")
            time.sleep(_LOOK_EVERY_S)
        self._finish()

    def close(self) -> None:
        """Sends nothing more, and lets go of all connections."""
        self._sender.stop(0)
        self._caller.stop(0)
        self._observer.close()

    @property
    def _quits(self) -> bool:
        return self.tally.outstanding == 0

    def _finish(self) -> None:
        """What has been sent may yet be decided, within a few seconds."""
        self._sender.stop(_LAST_WAIT_S)
        self._caller.stop(_LAST_WAIT_S)
        deadline = time.monotonic() + _LAST_WAIT_S
        while not self._quits and time.monotonic() < deadline:
            time.sleep(0.05)
        self._show(time.monotonic(), over=True)

    def _check(self) -> None:
        self._backstage.check()
        for part in (self._sender, self._caller, self._observer):
            part.check()

    def _show(self, now: float, over: bool) -> None:
        scene = Scene(self._world, self._rate, self._backstage.model, self._backstage.api, self._sender.live_since, over)
        if scene.live_since is not None and not self._showed_curl:
            self._showed_curl = True
            self._presentation.say("\nTo have a transaction scored yourself, paste this:")
            self._presentation.quote(f"{self._curl()}\n")
        if self._presentation.in_place:
            self._presentation.draw(screen(self.tally, scene, now))
        elif now >= self._next_line:
            self._next_line = now + _LINE_EVERY_S
            self._presentation.quote(f"{self.seconds:4.0f} s  {line(self.tally, scene, now)}")

    def _curl(self) -> str:
        """A command for the shell that scores a large payment of a user of the demo, with an id of its own each second."""
        newest = self.tally.newest
        assert newest is not None
        transaction = {
            "transaction_id": "mine-'$(date +%s)'",
            "event_time": f"{datetime.fromtimestamp(newest.event_time / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}",
            "user_id": newest.user_id,
            "merchant_id": newest.merchant_id,
            "amount": _CURL_AMOUNT,
            "currency": "EUR",
        }
        body = json.dumps(transaction, separators=(",", ":"))
        return f"curl -s {self._backstage.api}/v1/score -H 'content-type: application/json' -d '{body}'"
