"""The process of an aligned replay's INGEST: ``python -m streams.replay.aligned.kafka_process PARENT ingest REPLAY``, as its replay
starts it.

REPLAY names the replay; for the rest see ``streams/workers/stage_process.py``.
"""

import sys

from streams.workers.stage_process import run

if __name__ == "__main__":

    def main(_stage: str, config: object) -> None:
        """Imported late, so that the process ends with its parent from the first."""
        from streams.config import DeploymentConfig
        from streams.replay.aligned.kafka_merge import main as merge

        assert isinstance(config, DeploymentConfig)
        merge(config, sys.argv[3])

    run(main=main)
