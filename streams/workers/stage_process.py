"""One stage's process: ``python -m streams.workers.stage_process PARENT STAGE``, as ``streams/workers/worker.py`` starts it.

PARENT is the process id to end with; a ``DeploymentConfig`` comes as JSON on standard input. On SIGQUIT it writes to stderr where each
thread stands. How it ended is its status, see ``streams/workers/statuses.py``.
"""

import atexit
import faulthandler
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from streams.workers.parent import end_with

if TYPE_CHECKING:
    from streams.config import DeploymentConfig


def run(before: Callable[[str], None] = lambda _stage: None, main: Callable[[str, "DeploymentConfig"], None] | None = None) -> None:
    """Does what the command line says, and ends the process; ``before`` is called with the stage's name before anything is opened.

    ``main`` runs a stage otherwise than in turns of whatever was read.
    """
    end_with(int(sys.argv[1]))
    faulthandler.register(signal.SIGQUIT)
    try:
        _run(before, main)
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    # All that matters is closed. The interpreter's own end would also wait for threads, which may be asking a server that is away.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _run(before: Callable[[str], None], main: Callable[[str, "DeploymentConfig"], None] | None) -> None:
    import logging

    import uvloop

    from features.errors import UnavailableError, UserError
    from streams.config import DeploymentConfig
    from streams.kafka.outage import as_unavailable
    from streams.kafka.repeated_log import LeaveOutRepeated
    from streams.workers.garbage import collect_rarely
    from streams.workers.handover import receive
    from streams.workers.logs import log_to_stderr
    from streams.workers.notes import leave
    from streams.workers.outage_log import SayOutagesOnce
    from streams.workers.statuses import FAILED, REFUSED, UNAVAILABLE

    uvloop.install()
    collect_rarely()
    log_to_stderr(logging.WARNING, sys.argv[2])
    for handler in logging.getLogger().handlers:
        handler.addFilter(LeaveOutRepeated("aiokafka"))
    logging.getLogger("streams").setLevel(logging.INFO)
    # Faust's services log their coming and going under the module that defines them.
    logging.getLogger("streams.workers.faust_transport").setLevel(logging.WARNING)
    before(sys.argv[2])
    if main is None:
        from streams.workers.faust_app import main as take_turns

        main = take_turns
    config = receive(DeploymentConfig)
    for handler in logging.getLogger().handlers:
        handler.addFilter(SayOutagesOnce(config.kafka))
    try:
        main(sys.argv[2], config)
    except Exception as error:
        passing = error if isinstance(error, UnavailableError) else as_unavailable(error, config.kafka)
        if passing is None and not isinstance(error, UserError):
            logging.getLogger(__name__).error("stage %s can't go on: %s", sys.argv[2], error, exc_info=error)
            sys.exit(FAILED)
        sentence = str(passing or error)
        # The worker says it, with what follows from it.
        if not leave(sentence):
            logging.getLogger(__name__).error("%s", sentence)
        sys.exit(REFUSED if passing is None else UNAVAILABLE)


if __name__ == "__main__":
    run()
