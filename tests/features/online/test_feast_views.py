"""Feast's views follow from the definitions."""

from dataclasses import replace

import pytest
from feast import FeatureService, FeatureView, OnDemandFeatureView
from feast.types import Float32

from features.definitions import FEATURE_SETS, HOUR, MINUTE, FeatureSet, Window
from features.online.feast_views import objects
from features.online.views import VIEWS
from tests.made.online_states import V1, V2

WITH_2H = replace(V1, name="with_2h", activity=(*V1.activity, Window("2h", 2 * HOUR, MINUTE)))


@pytest.mark.parametrize("feature_set", [*FEATURE_SETS.values(), WITH_2H], ids=lambda feature_set: feature_set.name)
def test_a_feature_set_s_view_and_service_have_its_features_in_its_order(feature_set: FeatureSet) -> None:
    made = objects([feature_set])
    (view,) = (each for each in made if isinstance(each, OnDemandFeatureView))
    services = {each.name: each for each in made if isinstance(each, FeatureService)}
    assert list(services) == [feature_set.name, f"{feature_set.name}_log", f"{feature_set.name}_backfill"]
    assert [feature.name for feature in view.features] == list(feature_set.names)
    assert {feature.dtype for feature in view.features} == {Float32}
    assert view.name == feature_set.name
    for service in services.values():
        (projection,) = service.feature_view_projections
        assert [feature.name for feature in projection.features] == list(feature_set.names)
        assert {feature.dtype for feature in projection.features} == {Float32}


def test_the_stored_views_are_those_of_the_data() -> None:
    made = {view.name: view for view in objects() if isinstance(view, FeatureView)}
    past = [f"{name}_{kind}" for name in FEATURE_SETS for kind in ("log", "backfill")]
    assert list(made) == [*(view.name for view in VIEWS), *past]
    for view in VIEWS:
        assert [feature.name for feature in made[view.name].features] == [feature.name for feature in view.features]
        assert made[view.name].join_keys == [f"{view.entity}_id"]


def test_no_two_stored_views_of_a_request_share_a_feature_name() -> None:
    names = [feature.name for view in VIEWS for feature in view.features]
    assert len(set(names)) == len(names)


def test_only_sets_with_devices_ask_for_the_device() -> None:
    views = {view.name: view for view in objects([V1, V2]) if isinstance(view, OnDemandFeatureView)}
    assert list(views["fraud_v1"].get_request_data_schema()) == ["event_time", "amount"]
    assert list(views["fraud_v2"].get_request_data_schema()) == ["event_time", "amount", "device_id"]
