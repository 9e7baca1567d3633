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
from features.online_views import JOIN_KEYS, VIEWS, OnlineFeature, OnlineView, request_fields, state_view

FeastObject = Entity | DataSource | FeatureView | OnDemandFeatureView | FeatureService

_TYPES: dict[str, FeastType] = {"bytes": Bytes, "string": String, "int64": Int64, "float64": Float64}

# Feast keeps an on-demand view's function as this text in its registry and compiles it in the process that asks, which then needs our
# package, and only then: who reads the other views does not.
_FUNCTION = """def {name}(inputs):
    from features.on_demand import finish

    return finish("{name}", inputs)
"""


def objects(feature_sets: Iterable[FeatureSet] = tuple(FEATURE_SETS.values())) -> list[FeastObject]:
    """All that the repository defines, each object once.

    Sources are Parquet folders beside the repository, with the views' own columns and ``event_timestamp``, the time of the key's last
    event: the user views are values after that event.
    """
    entities = {
        name: Entity(name=name, join_keys=[join_key], value_type=ValueType.STRING, description=f"Told apart by {join_key}.")
        for name, join_key in JOIN_KEYS.items()
    }
    views = {view.name: _feature_view(view, entities[view.entity]) for view in VIEWS}
    sources = [view.batch_source for view in views.values() if view.batch_source is not None]
    states = [views[state_view(entity).name] for entity in JOIN_KEYS]
    on_demand = [_on_demand_view(feature_set, states) for feature_set in feature_sets]
    services = [FeatureService(name=view.name, features=[view], description=view.description, tags=dict(view.tags)) for view in on_demand]
    return [*entities.values(), *sources, *views.values(), *on_demand, *services]


def _field(feature: OnlineFeature) -> Field:
    return Field(name=feature.name, dtype=_TYPES[feature.kind], description=feature.description)


def _feature_view(view: OnlineView, entity: Entity) -> FeatureView:
    source = FileSource(
        name=f"{view.name}_log",
        path=f"../offline/{view.name}",
        timestamp_field="event_timestamp",
        description=f"{view.name} after each event of its key.",
    )
    return FeatureView(
        name=view.name,
        entities=[entity],
        schema=[Field(name=JOIN_KEYS[view.entity], dtype=String), *map(_field, view.features)],
        source=source,
        # A key's state never grows old: its windows are finished at the time of the request.
        ttl=timedelta(0),
        online=True,
        description=view.description,
    )


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
