"""Feast's offline store by Spark, for more rows than memory holds: Feast's own, reading the files of our tables that count."""

import copy
from typing import Any, Literal

from feast.feature_view import FeatureView
from feast.infra.offline_stores.contrib.spark_offline_store.spark import (
    SparkOfflineStore,
    SparkOfflineStoreConfig,
    get_spark_session_or_start_new_with_repoconfig,
)
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.infra.offline_stores.offline_store import RetrievalJob
from feast.repo_config import RepoConfig

from features.offline.feast_offline import ParquetOfflineStore, open_table
from features.offline.storage import Storage


class SparkParquetOfflineStoreConfig(SparkOfflineStoreConfig):
    """The ``offline_store`` of ``feature_store.spark.yaml``: Feast's settings, and ``url`` as in ``ParquetOfflineStoreConfig``."""

    type: Literal["features.offline.feast_spark.SparkParquetOfflineStore"] = "features.offline.feast_spark.SparkParquetOfflineStore"
    url: str


class SparkParquetOfflineStore(SparkOfflineStore):
    """Gives what ``ParquetOfflineStore`` gives, rows in any order; ``entity_df`` may also be a Spark DataFrame or SQL."""

    @staticmethod
    def get_historical_features(config: RepoConfig, feature_views: list[FeatureView], *arguments: Any, **named: Any) -> RetrievalJob:
        """As ``ParquetOfflineStore``, and raises as that does."""
        session = get_spark_session_or_start_new_with_repoconfig(config.offline_store)
        url = config.offline_store.url
        return SparkOfflineStore.get_historical_features(
            config, [_on_spark(session, url, view) for view in feature_views], *arguments, **named
        )

    pull_all_from_table_or_query = staticmethod(ParquetOfflineStore.pull_all_from_table_or_query)
    pull_latest_from_table_or_query = pull_all_from_table_or_query


def _on_spark(session: Any, url: str, view: FeatureView) -> FeatureView:
    """The view with a source that Spark reads: its table's files as they count now."""
    source, table = open_table(url, view)
    name = f"tidemark_{source.path.replace('-', '_')}"
    session.read.parquet(*(Storage(uri).spark_url for uri in table.uris())).createOrReplaceTempView(name)
    found = copy.copy(view)
    found.batch_source = SparkSource(
        name=source.name, table=name, timestamp_field=source.timestamp_field, created_timestamp_column=source.created_timestamp_column
    )
    return found
