"""How long a killed worker's successor takes until it decides: ``python -m tests.benchmarks.recovery --users 100000``.

Every user has some transactions, all saved; then the stream runs at 1,000 a second, and the worker is killed (SIGKILL, the whole of it).
What its successor has to do is to wait until the dead one's session is over (6 s), to read the states, and to apply again what came
after them.
"""

import argparse
import json
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from api.bench.provenance import provenance
from tests.deployment import champion, deployed, eventually
from tests.faults.fleet import Fleet, said
from tests.faults.traffic import Sender
from tests.streams.logs import transaction

_START = 1_600_000_000_000
_RECOVERED = re.compile(r"(ingest|score): recovered (\S+)\[\d+\]: (\d+) keys, then offsets (\d+) to (\d+), in ([\d.]+) s")


def measure(users: int, each: int, home: Path, load_s: float) -> dict[str, Any]:
    """The figures of one kill; seconds."""
    rng = np.random.default_rng(0)
    with deployed(home) as deployment:
        champion(deployment.config)
        fleet = Fleet(deployment.config, home / "fleet")
        try:
            fleet.add()
            order = rng.permutation(np.repeat(np.arange(users), each))
            for begin in range(0, len(order), 50_000):
                chunk = order[begin : begin + 50_000]
                deployment.send(
                    [
                        transaction(begin + i, f"user-{user}", f"m{user % 5_000}", _START + 500 * (begin + i), int(user) % 10_000)
                        for i, user in enumerate(chunk.tolist())
                    ]
                )
            deployment.settle(timeout=900, unchanged_s=1.0)
            # Saved to the last key: a clean stop.
            fleet.stop()
            fleet.add()
            with Sender(deployment.config.kafka, 0, 1_000) as sender:
                fleet.watch(load_s)
                before = len(said(home / "fleet"))
                fleet.kill_worker()
                died = time.monotonic()
                decided = _decisions(deployment.config)
                fleet.look_after()
                eventually(lambda: _decisions(deployment.config) > decided, 300, "a decision by the successor")
                took = time.monotonic() - died
                assert sender.sent > 0
            deployment.settle(timeout=900, unchanged_s=1.0)
        finally:
            fleet.kill()
        lines = [_RECOVERED.search(line) for line in said(home / "fleet")[before:]]
    found = [match.groups() for match in lines if match]
    by_stage = {
        stage: {
            "keys": sum(int(keys) for of, _, keys, *_ in found if of == stage),
            "applied_again": sum(int(end) - int(begin) for of, _, _, begin, end, _ in found if of == stage),
            "seconds": round(sum(float(seconds) for of, *_, seconds in found if of == stage), 1),
        }
        for stage in ("ingest", "score")
    }
    return {"users": users, "transactions": users * each, "kill_to_first_decision_s": round(took, 1), "states": by_stage}


def _decisions(config: Any) -> int:
    from streams.kafka_log import KafkaLog

    log = KafkaLog(config.kafka, "recovery")
    try:
        return sum(log.bounds("decisions", partition)[1] for partition in range(4))
    finally:
        log.close()


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--each", type=int, default=4, help="transactions a user")
    parser.add_argument("--load", type=float, default=20.0, help="seconds of load before the kill")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    made_on = provenance(["python", "-m", "tests.benchmarks.recovery", *sys.argv[1:]])
    with tempfile.TemporaryDirectory(prefix="tidemark-recovery-") as folder:
        figures = measure(arguments.users, arguments.each, Path(folder) / "home", arguments.load)
    print(json.dumps(figures, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps({**made_on, **figures}, indent=1) + "\n")


if __name__ == "__main__":
    _main()
