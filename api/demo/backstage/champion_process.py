"""Makes sure that there is a champion: ``python -m api.demo.backstage.champion_process PARENT WORLD FEATURES [fresh]``.

WORLD is a ``World`` as JSON. It reads the registry's address, a line, from standard input once that is known, and writes to standard output
a ``Progress`` as JSON a line. With ``fresh``, where there can be no champion, it trains without waiting for the registry.
"""

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from models.promotion.gate import Force
from models.registry.record import MODEL_NAME
from streams.workers.parent import end_with

if TYPE_CHECKING:
    from api.demo.backstage.champion import Progress
    from api.demo.world import World
    from features.definitions import FeatureSet
    from models.registry.record import TrainingRecord
    from models.training.pipeline import Candidate, TrainingPlan

Say = Callable[["Progress"], None]


# A demo has no minute to choose a history in, and its intervals needn't be fine.
_RESAMPLES = 50

_USERS_TAG = "demo_users"  # of a version

Made = tuple["Candidate", "TrainingPlan", "TrainingRecord"]


def _train(world: "World", feature_set: "FeatureSet", say: Say) -> Made:
    import msgspec

    from api.demo.backstage.champion import Progress
    from api.demo.world import LABELS_AFTER_MS, WARM_DAYS
    from api.provenance import provenance
    from features.history.label_delay import with_label_times
    from features.online.on_demand import vector
    from models.training.pipeline import TrainingPlan, candidate, recorded
    from models.training_set.rows import training_set
    from models.training_set.snapshot import DataSnapshot, digest_of_names
    from streams.simulate import simulate
    from streams.simulate.spec import DAY_MS

    begin, end = world.begin_ms - world.learning_days * DAY_MS, world.begin_ms
    say(Progress(f"simulating {world.learning_days} days of {world.users:,} users"))
    table = with_label_times(simulate(world.simulation(begin, world.learning_days)), LABELS_AFTER_MS)
    say(Progress(f"features of {table.num_rows:,} transactions (on a new machine numba compiles first)"))
    rows = training_set(table, feature_set, begin + WARM_DAYS * DAY_MS, end, end, LABELS_AFTER_MS)
    vector(feature_set, None, None, end, 1_000)  # so that the API finds its part compiled, too
    say(Progress(f"training on {len(rows.is_fraud):,} transactions with {rows.frauds:,} frauds"))
    plan = TrainingPlan(feature_set, begin + WARM_DAYS * DAY_MS, end, end, LABELS_AFTER_MS, histories=(), resamples=_RESAMPLES)
    made = candidate(rows, plan)
    spec = msgspec.json.encode(world).decode()
    data = DataSnapshot((f"simulated {spec.replace(',', ', ')}",), table.num_rows, begin, end - 1, digest_of_names([spec]))
    return made, plan, recorded(made, plan, data, provenance("demo"))


def _champion(world: "World", tracking_uri: str, feature_set: "FeatureSet") -> "Progress | None":
    """The registry's champion; None if it has none, or one that this code can't serve any more, or that a demo has made for a world with
    another number of users, in which it would catch next to nothing."""
    from api.demo.backstage.champion import Progress
    from features.errors import UserError
    from models.registry import mlflow_registry

    version = mlflow_registry.champion_version(tracking_uri)
    if version is None:
        return None
    try:
        scorer = mlflow_registry.load(f"models:/{MODEL_NAME}/{version}", tracking_uri)
    except UserError as error:
        print(f"version {version} can't serve: {error}", file=sys.stderr)
        return None
    if scorer.features_digest != feature_set.digest:
        raise UserError(
            f"the champion, version {version}, computes other features than {feature_set.name}; "
            f"train one with --features {feature_set.name} and promote it, or give the demo a TIDEMARK_HOME of its own"
        )
    users = mlflow_registry.tags(version, tracking_uri).get(_USERS_TAG) or _users_of_run(version, tracking_uri)
    if users not in (None, str(world.users)):
        print(f"version {version} is of a simulated world of {users} users", file=sys.stderr)
        return None
    return Progress("", version, scorer.model_digest)


def _users_of_run(version: str, tracking_uri: str) -> str | None:
    """What the run of a demo of before 0.3.0 says, whose version doesn't."""
    from models.registry import mlflow_registry

    tags = mlflow_registry.run_tags(version, tracking_uri)
    return tags.get("users") if tags.get("data") == "demo" else None


def _ensure(world: "World", feature_set: "FeatureSet", fresh: bool, say: Say) -> "Progress":
    from api.demo.backstage.champion import Progress
    from models.promotion import mlflow_promotion
    from models.registry import mlflow_registry
    from models.training.mlflow_training import log

    made = _train(world, feature_set, say) if fresh else None
    tracking_uri = sys.stdin.readline().strip()
    found = _champion(world, tracking_uri, feature_set)
    if found is not None:
        return found
    made = made or _train(world, feature_set, say)
    say(Progress("registering the model"))
    registered = log(*made, tracking_uri, {"data": "demo", "users": str(world.users)})
    mlflow_registry.tag(registered.version, {_USERS_TAG: str(world.users)}, tracking_uri)
    if registered.role != "champion":
        force = Force("demo", "the present champion is of another simulated world, or of code that can't serve it any more")
        verdict = mlflow_promotion.judge(registered.version, mlflow_registry.CHAMPION, None, tracking_uri)
        mlflow_promotion.promote(verdict, tracking_uri, force)
    return Progress("", registered.version, registered.digests.model)


def _main(world_json: str, features: str, *fresh: str) -> None:
    # Standard output is for the answers; what libraries print goes to the log.
    answers = os.dup(1)
    os.dup2(2, 1)

    import msgspec

    from api.demo.backstage.champion import Progress
    from api.demo.world import World
    from features.definitions import FEATURE_SETS
    from features.errors import UserError

    def say(progress: Progress) -> None:
        os.write(answers, msgspec.json.encode(progress) + b"\n")

    try:
        say(_ensure(msgspec.json.decode(world_json, type=World), FEATURE_SETS[features], fresh == ("fresh",), say))
    except UserError as error:
        say(Progress(error=str(error)))


if __name__ == "__main__":
    end_with(int(sys.argv[1]))
    _main(*sys.argv[2:])
