"""A worker whose stages can be made to die: ``python -m tests.faults.worker STAGE…``, its configuration on standard input."""

import logging
import signal
import sys
import threading

from features.errors import UserError
from streams.config import DeploymentConfig
from streams.workers.handover import receive
from streams.workers.logs import log_to_stderr
from streams.workers.worker import Worker

if __name__ == "__main__":
    log_to_stderr(logging.INFO)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    worker = Worker(receive(DeploymentConfig), sys.argv[1:], program="tests.faults.stage")
    try:
        worker.start()
        fine = worker.run(stopping.is_set)
    except UserError as error:
        logging.getLogger(__name__).error("%s", error)
        sys.exit(2)
    finally:
        worker.stop()
    sys.exit(0 if fine else 1)
