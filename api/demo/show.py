"""Wires a demo: set-up, performance, clearing away, and what is left of it."""

import fcntl
import logging
import os
import random
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from api.demo.backstage.deployment import Backstage
from api.demo.backstage.interruption import InterruptedDemoError, Interruption
from api.demo.screen.terminal import Presentation
from api.demo.summary import summary
from api.demo.world import World, world
from api.deployment import Facts
from features.errors import UserError
from infra.local import services
from infra.local.errors import ServiceError

logger = logging.getLogger(__name__)

_RUN_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
_RUN_LENGTH = 5


@dataclass(frozen=True)
class Options:
    """What the user wants. ``rate`` is live transactions a second; ``transactions`` None means until it is stopped."""

    unattended: bool
    transactions: int | None
    rate: float


@dataclass(frozen=True)
class Shown:
    """How a demo ended: the exit status, its summary, and in words what is wrong with its counts, None if nothing is."""

    status: int
    summary: Mapping[str, object] | None = None
    wrong: str | None = None


def show(options: Options) -> Shown:
    """Runs a demo in TIDEMARK_HOME; nothing that it has started is left, however it ends.

    Raises UserError or ServiceError.
    """
    plan = world(options.transactions, present_ms=time.time_ns() // 1_000_000)
    home = services.home_from_environment()
    presentation = Presentation(in_place=not options.unattended and sys.stdout.isatty())
    with _alone(home), Interruption() as interruption, _noise_to(home / "logs" / "demo.log") as log:
        try:
            return _show(options, plan, home, presentation, interruption)
        except InterruptedDemoError:
            presentation.say("interrupted")
        except (UserError, ServiceError):
            if not interruption.requested:
                raise
        except Exception as error:
            if not interruption.requested:
                logger.exception("the demo can't go on")
                raise UserError(f"the demo can't go on ({error!r}); more is in {log}") from error
        return Shown(interruption.exit_status)


def _show(options: Options, plan: World, home: Path, presentation: Presentation, interruption: Interruption) -> Shown:
    backstage = Backstage(home, plan, Facts.resolve(home).features, presentation)
    presentation.open()
    try:
        backstage.set_up(interruption)
        return _perform(options, plan, backstage, presentation, interruption)
    finally:
        presentation.close()
        presentation.begin("the end", "workers, API and services are being ended")
        presentation.look()
        try:
            backstage.tear_down()
        finally:
            stay = "the services stay up, as they were" if backstage.stayed_up else "nothing is left running"
            presentation.done("the end", stay)


def _perform(options: Options, plan: World, backstage: Backstage, presentation: Presentation, interruption: Interruption) -> Shown:
    from api.demo.performance import Performance

    run = "".join(random.choices(_RUN_LETTERS, k=_RUN_LENGTH))
    performance = Performance(backstage, plan, run, options.rate, presentation)
    try:
        performance.run(interruption, options.unattended)
    finally:
        performance.close()
        presentation.close()
    tally = performance.tally
    equal = tally.outstanding == 0
    presentation.say(
        f"{tally.sent:,} transactions {'=' if equal else '≠'} {tally.decided:,} decisions + {tally.refused:,} dead letters; "
        f"live fraud caught: {tally.fraud.caught} of {tally.fraud.transactions}, which saved {tally.fraud.saved / 100:,.0f} of the "
        f"{tally.fraud.at_stake / 100:,.0f} EUR that it would have cost, reviews and wrong blocks deducted"
    )
    if interruption.requested and options.unattended:
        raise InterruptedDemoError
    done = summary(tally, plan, options.rate, performance.live_seconds, performance.seconds)
    if options.unattended and not performance.complete:
        missing = f"{plan.transactions:,} were to be sent; " if tally.sent != plan.transactions else ""
        wrong = f"the counts don't agree ({missing}{tally.outstanding:,} are undecided); the workers: {backstage.last_words()}"
        return Shown(1, done, wrong)
    return Shown(0, done)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """One demo at a time in a home. Raises UserError if there is another."""
    services.make_home(home)
    with (home / "demo.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"a demo runs already in {home}; end it, or give this one a TIDEMARK_HOME of its own") from None
        yield


@contextmanager
def _noise_to(log: Path) -> Iterator[Path]:
    """What libraries say on standard error goes to a file; the screen is the demo's own.

    After the block ``sys.stderr`` is for people again, but not the file descriptor: Kafka's clients write to it as long as they live.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with log.open("wb") as file:
            os.dup2(file.fileno(), 2)
        yield log
    finally:
        sys.stderr.flush()
        sys.stderr = os.fdopen(kept, "w", buffering=1)
