"""Refusals in the worker's log: a line a minute, by reason, and only when there are any."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping

logger = logging.getLogger(__name__)

EVERY_S = 60.0
_PREFIX = "refused."


class RefusalLog:
    """Says every ``every_s`` seconds what a stage's ``counts`` have gained under ``refused.<reason>`` since; ``close`` says the rest."""

    def __init__(self, counts: Mapping[str, int], every_s: float = EVERY_S) -> None:
        self._counts, self._every_s = counts, every_s
        self._said: Counter[str] = Counter()
        self._since = time.monotonic()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="refusals", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends it. What was refused since the last line is said before that."""
        self._closing.set()
        self._thread.join()
        self._say()

    def _run(self) -> None:
        while not self._closing.wait(self._every_s):
            self._say()

    def _say(self) -> None:
        now = time.monotonic()
        # A copy at once, for the stage's thread goes on counting.
        found = Counter({name.removeprefix(_PREFIX): count for name, count in dict(self._counts).items() if name.startswith(_PREFIX)})
        line = line_of(found - self._said, now - self._since)
        self._said, self._since = found, now
        if line is not None:
            logger.warning("%s", line)


def line_of(refused: Counter[str], seconds: float) -> str | None:
    """What to say of so many refusals by reason in so long, the commonest first; None if there were none."""
    if not refused.total():
        return None
    each = ", ".join(f"{reason} {count:,}" for reason, count in sorted(refused.items(), key=lambda item: (-item[1], item[0])))
    span = "minute" if round(seconds) == round(EVERY_S) else f"{seconds:.0f} s"
    records = "record" if refused.total() == 1 else "records"
    return f"refused {refused.total():,} {records} in the last {span}: {each}; see `tidemark dead-letters`"
