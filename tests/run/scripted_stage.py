"""A stage's process that does what its script says: ``python -m tests.run.scripted_stage PARENT STAGE FOLDER``.

The file ``FOLDER/STAGE`` has a line for each start, the last of which stands for all that follow: ``up`` comes up and stays, ``fail``,
``refuse SENTENCE`` and ``unavailable SENTENCE`` end. ``FOLDER/STAGE.starts`` gets the time of each start.
"""

import sys
import time
from pathlib import Path

from streams.workers.notes import come_up, leave
from streams.workers.parent import end_with
from streams.workers.statuses import FAILED, REFUSED, UNAVAILABLE

_STATUSES = {"fail": FAILED, "refuse": REFUSED, "unavailable": UNAVAILABLE}

if __name__ == "__main__":
    end_with(int(sys.argv[1]))
    stage, folder = sys.argv[2], Path(sys.argv[3])
    starts = folder / f"{stage}.starts"
    with starts.open("a") as file:
        file.write(f"{time.monotonic()}\n")
    lines = (folder / stage).read_text().splitlines()
    word, _, rest = lines[min(len(starts.read_text().splitlines()), len(lines)) - 1].partition(" ")
    if word == "up":
        come_up()
        time.sleep(600)
    if rest:
        leave(rest)
    sys.exit(_STATUSES[word])
