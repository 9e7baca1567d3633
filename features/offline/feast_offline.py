"""Feast's offline store on our tables: what was known of each key at given times, from the files that count.

Feast's own file store reads whatever lies in a folder, joins each row asked for with all of its key's history, and keeps one of several
rows asked for with equal keys and times. This looks up the one row of each; ``features/offline/feast_spark.py`` is for more than memory
holds.
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from feast.feature_view import FeatureView
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob, RetrievalMetadata
from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from feast.type_map import feast_value_type_to_pa

from features.arrays import Int64
from features.errors import UserError
from features.offline.parquet_tables import OfflineTable
from features.offline.point_in_time import last_rows
from features.offline.storage import Storage

_TIME = pa.timestamp("us", "UTC")


class ParquetOfflineStoreConfig(FeastConfigBaseModel):
    """The ``offline_store`` of ``feature_store.yaml``: ``url`` is the folder or s3:// prefix below which the tables lie."""

    type: Literal["features.offline.feast_offline.ParquetOfflineStore"] = "features.offline.feast_offline.ParquetOfflineStore"
    url: str


class ParquetOfflineStore(OfflineStore):
    """Answers ``get_historical_features`` from committed files only. A view's ttl is not looked at; ours never end.

    Nothing can be materialized from it: the stream writes the online store.
    """

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        **_: Any,
    ) -> RetrievalJob:
        """The rows of ``entity_df`` in their order, and beside each the features of its key's last row at or before its event timestamp.

        Columns keep the types they are stored with, null where a key has no such row. Raises UserError for a view without offline rows, for
        a table that isn't there yet, and unless ``entity_df`` is a DataFrame with the join keys.
        """
        if not isinstance(entity_df, pd.DataFrame):
            raise UserError("entity_df must be a pandas DataFrame of join keys and event_timestamp; SQL and date ranges are not answered")
        time_column = infer_event_timestamp_from_entity_df(dict(entity_df.dtypes))
        asked = entity_df.assign(**{time_column: pd.to_datetime(entity_df[time_column], utc=True)})
        tables = [_View(config.offline_store.url, view, feature_refs) for view in feature_views]
        for view in tables:
            view.require(asked.columns)

        def evaluate() -> pa.Table:
            found = pa.Table.from_pandas(asked, preserve_index=False)
            times = _microseconds(found[time_column].cast(_TIME, safe=False))
            for view in tables:
                found = view.join(found, times, full_feature_names)
            return found

        return _Job(
            evaluate,
            full_feature_names,
            OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            RetrievalMetadata(feature_refs, [name for name in asked.columns if name != time_column]),
        )

    @staticmethod
    def pull_all_from_table_or_query(*_: Any, **__: Any) -> RetrievalJob:
        """Raises UserError: what is materialized would overwrite what the stream has written since."""
        raise UserError("the stream writes the online store, so nothing is materialized; `tidemark rebuild-online` writes it anew")

    pull_latest_from_table_or_query = pull_all_from_table_or_query


def open_table(url: str, view: FeatureView) -> tuple[FileSource, OfflineTable]:
    """The source and the table that a view is read from, with the columns that it needs.

    Raises UserError if it has no source, or if nothing was ever written there.
    """
    source = view.batch_source
    if not isinstance(source, FileSource):
        raise UserError(
            f"{view.name} has no offline rows, it is kept online only; for the model's input of past transactions ask for a service "
            "such as fraud_v1_log (as served) or fraud_v1_backfill (recomputed)"
        )
    kinds = {column.name: feast_value_type_to_pa(column.dtype.to_value_type()) for column in (*view.entity_columns, *view.features)}
    times = {name: _TIME for name in (source.timestamp_field, source.created_timestamp_column) if name}
    table = OfflineTable(Storage.of(url), source.path, pa.schema({**kinds, **times}))
    if not table.exists():
        raise UserError(f"there is no table {source.path} in {url} yet, which {view.name} reads; see docs/features.md for what writes it")
    return source, table


class _View:
    """One view as it is asked for."""

    def __init__(self, url: str, view: FeatureView, feature_refs: Iterable[str]) -> None:
        self._name: str = view.projection.name_to_use()  # type: ignore[no-untyped-call]
        (self._key,) = (column.name for column in view.entity_columns)
        self._asked_key = view.projection.join_key_map.get(self._key, self._key)
        self._features = [feature for name, feature in (ref.split(":", 1) for ref in feature_refs) if name == self._name]
        self._source, self._table = open_table(url, view)

    def require(self, columns: Iterable[str]) -> None:
        """Raises UserError if the join key is missing among the columns."""
        if self._asked_key not in columns:
            raise UserError(f"entity_df lacks the column {self._asked_key}, by which {self._name} is joined")

    def join(self, asked: pa.Table, times: Int64, full_names: bool) -> pa.Table:
        """The rows asked for with this view's features beside them; ``times`` are theirs in µs."""
        time, created = self._source.timestamp_field, self._source.created_timestamp_column
        keys = asked[self._asked_key].cast(pa.string())
        wanted = pc.field(self._key).isin(pc.unique(keys)) & (pc.field(time) <= pa.scalar(int(times.max(initial=0)), _TIME))
        names = [self._key, time, *([created] if created else []), *self._features]
        rows = self._table.read(names, wanted)
        order = _microseconds(rows[created]) if created else np.arange(len(rows))
        at = last_rows(keys, times, rows[self._key], _microseconds(rows[time]), order)
        for name in self._features:
            asked = asked.append_column(f"{self._name}__{name}" if full_names else name, rows[name].combine_chunks().take(at))
        return asked


def _microseconds(times: pa.ChunkedArray) -> Int64:
    return np.asarray(times.cast(pa.int64()).to_numpy())


class _Job(RetrievalJob):
    """Looked up when it is asked for."""

    def __init__(
        self,
        evaluate: Callable[[], pa.Table],
        full_feature_names: bool,
        on_demand_feature_views: list[OnDemandFeatureView],
        metadata: RetrievalMetadata,
    ) -> None:
        self._evaluate = evaluate
        self._full_feature_names = full_feature_names
        self._on_demand_feature_views = on_demand_feature_views
        self._metadata = metadata

    @property
    def full_feature_names(self) -> bool:
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        return self._on_demand_feature_views

    @property
    def metadata(self) -> RetrievalMetadata:
        return self._metadata

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self._evaluate().to_pandas()

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return self._evaluate()
