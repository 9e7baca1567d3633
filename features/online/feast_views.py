"""Feast's objects, generated from the definitions: entities, sources, views, and a feature service for each feature set."""

from collections.abc import Iterable
from datetime import timedelta
from types import FunctionType
from typing import Any

from feast import Entity, FeatureService, FeatureView, Field, FileSource, OnDemandFeatureView, RequestSource
from feast.data_source import DataSource
from feast.types import Bytes, FeastType, Float32, Float64, Int64, String
from feast.value_type import ValueType

from features.definitions import FEATURE_SETS, FeatureSet
from features.online.views import JOIN_KEYS, VIEWS, OnlineFeature, OnlineView, request_fields, state_view

FeastObject = Entity | DataSource | FeatureView | OnDemandFeatureView | FeatureService

_TYPES: dict[str, FeastType] = {"bytes": Bytes, "string": String, "int64": Int64, "float64": Float64}

_TRANSACTION = ("transaction", "transaction_id")
_TIME, _ORDER = "event_timestamp", "created"
_LOG = "scoring-log"

# Feast keeps an on-demand view's function as this text in its registry and compiles it in the process that asks, which then needs our
# package, and only then: who reads the other views does not.
_FUNCTION = """def {name}(inputs):
    from features.online.on_demand import finish

    return finish("{name}", inputs)
"""


def objects(feature_sets: Iterable[FeatureSet] = tuple(FEATURE_SETS.values())) -> list[FeastObject]:
    """All that the repository defines, each object once.

    Sources are tables of the offline store, by name, with the views' own columns, ``event_timestamp`` and, where rows of a key may have
    equal ones, ``created``, a timestamp that rises in the order of the log.
    """
    entities = {
        name: Entity(name=name, join_keys=[join_key], value_type=ValueType.STRING, description=f"Identified by {join_key}.")
        for name, join_key in (*JOIN_KEYS.items(), _TRANSACTION)
    }
    feature_sets = tuple(feature_sets)
    views = {view.name: _feature_view(view, entities[view.entity]) for view in VIEWS}
    states = [views[state_view(entity).name] for entity in JOIN_KEYS]
    on_demand = [_on_demand_view(feature_set, states) for feature_set in feature_sets]
    log = FileSource(name=_LOG, path=_LOG, timestamp_field=_TIME, description="Vectors as the stream and the API used them.")
    past = [view for each in feature_sets for view in _past_views(each, entities[_TRANSACTION[0]], log)]
    sources = {view.batch_source.name: view.batch_source for view in (*views.values(), *past) if view.batch_source is not None}
    asked_together: list[FeatureView | OnDemandFeatureView] = [*on_demand, *past]
    services = [
        FeatureService(name=view.name, features=[view], description=view.description, tags=dict(view.tags)) for view in asked_together
    ]
    return [*entities.values(), *sources.values(), *views.values(), *past, *on_demand, *services]


def _field(feature: OnlineFeature) -> Field:
    return Field(name=feature.name, dtype=_TYPES[feature.kind], description=feature.description)


def _feature_view(view: OnlineView, entity: Entity) -> FeatureView:
    source = view.table and FileSource(
        name=view.table,
        path=view.table,
        timestamp_field=_TIME,
        created_timestamp_column=_ORDER,
        description=f"{view.name} after each event of its key.",
    )
    return FeatureView(
        name=view.name,
        entities=[entity],
        schema=[Field(name=JOIN_KEYS[view.entity], dtype=String), *map(_field, view.features)],
        source=source or None,
        # A key's state never grows old: its windows are finished at the time of the request.
        ttl=timedelta(0),
        online=True,
        description=view.description,
    )


def _past_views(feature_set: FeatureSet, transaction: Entity, log: FileSource) -> list[FeatureView]:
    """The vectors of past transactions: as served, and as recomputed from the archive."""
    recomputed = FileSource(
        name=f"{feature_set.name}_backfill",
        path=f"{feature_set.name}_backfill",
        timestamp_field=_TIME,
        description=f"Vectors of {feature_set.name}, recomputed.",
    )
    return [
        FeatureView(
            name=f"{feature_set.name}_{kind}",
            entities=[transaction],
            schema=[Field(name=_TRANSACTION[1], dtype=String), *(Field(name=name, dtype=Float32) for name in feature_set.names)],
            source=source,
            ttl=timedelta(0),
            online=False,
            description=f"The input of a {feature_set.name} model for a past transaction, {about}. Missing values are NaN.",
            tags={"features_digest": feature_set.digest},
        )
        for kind, source, about in (
            ("log", log, "as it was used when it was decided"),
            ("backfill", recomputed, "recomputed from the archive"),
        )
    ]


def _on_demand_view(feature_set: FeatureSet, states: list[FeatureView]) -> OnDemandFeatureView:
    request = RequestSource(name=f"{feature_set.name}_request", schema=[_field(field) for field in request_fields(feature_set)])
    text = _FUNCTION.format(name=feature_set.name)
    return OnDemandFeatureView(
        name=feature_set.name,
        sources=[*states, request],
        schema=[Field(name=name, dtype=Float32) for name in feature_set.names],
        mode="python",
        udf=_compiled(text, feature_set.name),
        udf_string=text,
        description=f"The input of a {feature_set.name} model for a transaction at hand, finished at its time. Missing values are null.",
        tags={"features_digest": feature_set.digest},
    )


def _compiled(text: str, name: str) -> FunctionType:
    # No module of ours as its home, so that Feast's pickle of it stands alone.
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(text, namespace)
    function: FunctionType = namespace[name]
    return function
