"""A worker whose stages can be told to die: ``python -m tests.faults.worker CONFIG``."""

import logging
import signal
import sys
import threading

import msgspec

from streams.config import DeploymentConfig
from streams.workers.worker import Worker

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    worker = Worker(msgspec.json.decode(sys.argv[1], type=DeploymentConfig), program="tests.faults.stage")
    try:
        worker.start()
        fine = worker.run(stopping.is_set)
    finally:
        worker.stop()
    sys.exit(0 if fine else 1)
