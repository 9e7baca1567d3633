"""Refusals in the worker's log: a line a minute, by reason, and only when there are any."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping

logger = logging.getLogger(__name__)

EVERY_S = 60.0
_REFUSED, _IGNORED = "refused.", "ignored."


class RefusalLog:
    """Says every ``every_s`` seconds what a stage's ``counts`` have gained since under ``refused.<reason>``, and under ``ignored.<what>``
    of what this deployment didn't write; ``close`` says the rest."""

    def __init__(self, counts: Mapping[str, int], every_s: float = EVERY_S) -> None:
        self._counts, self._every_s = counts, every_s
        self._said: dict[str, Counter[str]] = {_REFUSED: Counter(), _IGNORED: Counter()}
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
        counts = dict(self._counts)
        for prefix, write in ((_REFUSED, line_of), (_IGNORED, line_of_ignored)):
            found = Counter({name.removeprefix(prefix): count for name, count in counts.items() if name.startswith(prefix)})
            line = write(found - self._said[prefix], now - self._since)
            self._said[prefix] = found
            if line is not None:
                logger.warning("%s", line)
        self._since = now


def line_of(refused: Counter[str], seconds: float) -> str | None:
    """What to say of so many refusals by reason in so long, the commonest first; None if there were none."""
    if not refused.total():
        return None
    records = "record" if refused.total() == 1 else "records"
    return f"refused {refused.total():,} {records} in the last {_span(seconds)}: {_each(refused)}; see `tidemark dead-letters`"


def line_of_ignored(ignored: Counter[str], seconds: float) -> str | None:
    """What to say of so many things ignored in so long, by what they were; None if there were none."""
    if not ignored.total():
        return None
    return (
        f"ignored in the last {_span(seconds)}, for this deployment did not write them: {_each(ignored)}; see who else may write to its "
        "topics, and that all its processes have one key"
    )


def _each(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _span(seconds: float) -> str:
    return "minute" if round(seconds) == round(EVERY_S) else f"{seconds:.0f} s"
