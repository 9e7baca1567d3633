"""Where the deployment's offline store is."""

import os
from pathlib import Path

from api.deployment import Facts
from features.offline.storage import Storage
from infra.local import deployment_file

VARIABLE = "TIDEMARK_OFFLINE"


def offline_store(home: Path, chosen: str | None = None) -> Storage:
    """The one ``chosen`` (--store), else that of TIDEMARK_OFFLINE, else the one that `up` has recorded, else the home's folder.

    Raises UserError if it can't be one.
    """
    place = chosen or os.environ.get(VARIABLE) or deployment_file.read(home).get("offline")
    return Storage.of(place or home / "offline")


def archive_store(home: Path, chosen: str | None = None) -> Storage:
    """As ``offline_store``, for who reads what is archived there. Raises UserError too if that is in another currency than the
    deployment's."""
    import pyarrow as pa  # commands that only name the store don't wait for these

    from features.offline.parquet_tables import OfflineTable

    place, currency = offline_store(home, chosen), Facts.resolve(home).currency
    for table in ("transactions", "scoring-log"):
        OfflineTable(place, table, pa.schema([])).require_currency(currency)
    return place
