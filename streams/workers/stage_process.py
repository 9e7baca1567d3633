"""One stage's process: ``python -m streams.workers.stage_process PARENT STAGE CONFIG``, as ``streams/workers/worker.py`` starts it.

PARENT is the process id to end with, CONFIG a ``DeploymentConfig`` as JSON. On SIGQUIT it writes to stderr where each thread stands.
"""

import faulthandler
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from streams.workers.parent import end_with

if TYPE_CHECKING:
    from streams.config import DeploymentConfig


def run(before: Callable[[str], None] = lambda _stage: None, main: Callable[[str, "DeploymentConfig"], None] | None = None) -> None:
    """Does what the command line says; ``before`` is called with the stage's name before anything is opened.

    ``main`` runs a stage otherwise than in turns of whatever was read.
    """
    end_with(int(sys.argv[1]))
    faulthandler.register(signal.SIGQUIT)

    import logging

    import msgspec
    import uvloop

    from streams.config import DeploymentConfig
    from streams.workers.garbage import collect_rarely
    from streams.workers.repeated_log import LeaveOutRepeated

    uvloop.install()
    collect_rarely()
    logging.basicConfig(level=logging.WARNING, format=f"%(asctime)s %(levelname)s {sys.argv[2]}: %(message)s", stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.addFilter(LeaveOutRepeated("aiokafka"))
    logging.getLogger("streams").setLevel(logging.INFO)
    # Faust's services log their coming and going under the module that defines them.
    logging.getLogger("streams.workers.faust_transport").setLevel(logging.WARNING)
    before(sys.argv[2])
    if main is None:
        from streams.workers.faust_app import main as take_turns

        main = take_turns
    main(sys.argv[2], msgspec.json.decode(sys.argv[3], type=DeploymentConfig))


if __name__ == "__main__":
    run()
