"""Which champion a demo goes on with: none that another demo has made for another world."""

from pathlib import Path

import pytest

from api.demo.backstage.champion_process import _champion
from api.demo.world import world
from models.registry import mlflow_registry
from tests.made.models import V1
from tests.made.registered_models import sqlite, trained

NOW = 1_790_000_000_000
SMALL, LARGE = world(2_000, NOW), world(None, NOW)


@pytest.mark.parametrize(
    ("made_for", "found"),
    [(SMALL.users, False), (LARGE.users, True), (None, True)],
    ids=["another world's", "this world's", "nobody's of a demo"],
)
def test_a_champion_of_another_simulated_world_is_not_gone_on_with(tmp_path: Path, made_for: int | None, found: bool) -> None:
    registry = sqlite(tmp_path)
    registered = mlflow_registry.register(trained(), V1, registry)
    if made_for is not None:
        mlflow_registry.tag(registered.version, {"demo_users": str(made_for)}, registry)
    champion = _champion(LARGE, registry, V1)
    assert (champion is not None) == found
    if champion is not None:
        assert champion.version == registered.version
