"""``python -m tests.run.killed before|after COMMAND…``: the command tidemark, killed at its first commit of files to the offline store."""

import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from api.cli import main
from features.offline.parquet_tables import OfflineTable, WrittenFile

if __name__ == "__main__":
    moment = sys.argv.pop(1)
    commit = OfflineTable.commit

    def commit_and_die(table: OfflineTable, files: Sequence[WrittenFile], *arguments: Any, **more: Any) -> bool:
        if files and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        done = commit(table, files, *arguments, **more)
        if files:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    OfflineTable.commit = commit_and_die  # type: ignore[method-assign]
    main()
