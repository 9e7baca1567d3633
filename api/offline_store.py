"""Where the deployment's offline store is."""

import os
from pathlib import Path

from features.offline.storage import Storage
from infra.local import deployment_file

VARIABLE = "TIDEMARK_OFFLINE"


def offline_store(home: Path, chosen: str | None = None) -> Storage:
    """The one ``chosen`` (--store), else that of TIDEMARK_OFFLINE, else the one that `up` has recorded, else the home's folder.

    Raises UserError if it can't be one.
    """
    place = chosen or os.environ.get(VARIABLE) or deployment_file.read(home).get("offline")
    return Storage.of(place or home / "offline")
