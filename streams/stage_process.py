"""One stage's process: ``python -m streams.stage_process PARENT STAGE CONFIG``, as ``streams/worker.py`` starts it.

PARENT is the process id to end with, CONFIG a ``StreamConfig`` as JSON.
"""

import sys

from streams.parent import end_with

if __name__ == "__main__":
    end_with(int(sys.argv[1]))

    import logging

    import msgspec
    import uvloop

    from streams.config import StreamConfig
    from streams.faust_app import main
    from streams.garbage import collect_rarely

    uvloop.install()
    collect_rarely()
    logging.basicConfig(level=logging.WARNING, format=f"%(asctime)s %(levelname)s {sys.argv[2]}: %(message)s", stream=sys.stderr)
    logging.getLogger("streams").setLevel(logging.INFO)
    # Faust's services log their coming and going under the module that defines them.
    logging.getLogger("streams.faust_transport").setLevel(logging.WARNING)
    main(sys.argv[2], msgspec.json.decode(sys.argv[3], type=StreamConfig))
