"""Tables of the offline store for tests, as the archive and the backfill write them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions import FeatureSet
from features.offline.parquet_tables import OfflineTable, write_file
from features.offline.storage import Storage

TIME = pa.timestamp("us", "UTC")
START = datetime(2018, 4, 1, tzinfo=UTC)


def at(minutes: float) -> datetime:
    """A moment after the start."""
    return START + timedelta(minutes=minutes)


def put(store: Storage, name: str, rows: pa.Table, number: int = 0) -> None:
    """Commits the rows, by the days of their event timestamps."""
    table = OfflineTable(store, name, rows.schema)
    days = pc.cast(rows["event_timestamp"], pa.date32())
    files = [write_file(table.storage, day, f"test-{number}", rows.filter(pc.equal(days, day))) for day in pc.unique(days).to_pylist()]
    assert table.commit(files, "test", number)


def stats(rows: Sequence[tuple[str, datetime, float, int]]) -> pa.Table:
    """``transaction_stats`` of (user, time, mean, count), in the order of their log, by which ``created`` rises."""
    users, times, means, counts = zip(*rows, strict=True)
    return pa.table(
        {
            "user_id": users,
            "event_timestamp": pa.array(times, TIME),
            "created": pa.array(range(len(rows)), pa.int64()).cast(TIME),
            "avg_transaction_amount": pa.array(means, pa.float64()),
            "transaction_count": pa.array(counts, pa.int64()),
        }
    )


def users(rows: Sequence[tuple[str, datetime, str | None]]) -> pa.Table:
    """``users`` of (user, since, segment) in the order of their log; all are of one country, or of none if removed."""
    names, times, segments = zip(*rows, strict=True)
    return pa.table(
        {
            "user_id": names,
            "event_timestamp": pa.array(times, TIME),
            "created": pa.array(range(len(rows)), pa.int64()).cast(TIME),
            "created_at": pa.array([int(START.timestamp()) * 1000 if segment else None for segment in segments], pa.int64()),
            "country": pa.array(["NL" if segment else None for segment in segments], pa.string()),
            "segment": pa.array(segments, pa.string()),
        }
    )


def vectors(feature_set: FeatureSet, ids: Sequence[str], times: Sequence[datetime], values: npt.NDArray[np.float32]) -> pa.Table:
    """Rows of ``scoring-log`` or of a backfill, in the columns that matter here."""
    columns = {name: pa.array(values[:, place], pa.float32()) for place, name in enumerate(feature_set.names)}
    return pa.table({"transaction_id": list(ids), "event_timestamp": pa.array(times, TIME), **columns})


def asked(column: str, keys: Sequence[str], times: Sequence[datetime]) -> pd.DataFrame:
    """An entity_df."""
    return pd.DataFrame({column: list(keys), "event_timestamp": pd.to_datetime(list(times), utc=True)})
