"""Users in, profiles out of Feast: through the real broker and Redis, by a worker that runs."""

from collections.abc import Iterator

import pytest
import redis
from feast import FeatureStore

from features.online.feast_store import ClaimLostError, OnlineWriter
from features.online.snapshot import Profile, Profiles
from streams.messages.events import DeadLetter
from streams.messages.partitioner import partition_of
from streams.messages.record import LogRecord
from tests.made.user_records import CREATED, user
from tests.run.deployment import Deployment, eventually
from tests.run.emptied import emptied

FEATURES = ["user_profile:created_at", "user_profile:country", "user_profile:segment"]
USERS = [f"u{i}" for i in range(40)]


@pytest.fixture(scope="module")
def deployment(shared: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with emptied(shared, tmp_path_factory.mktemp("users") / "home", partitions=2) as found, found.running("worker", "--stages", "profiles"):
        found.send([user(0, name) for name in USERS], "users")
        eventually(lambda: len(profiles(found, *USERS)) == len(USERS), what="every profile")
        yield found


def profiles(deployment: Deployment, *users: str) -> dict[str, tuple[int, str, str]]:
    """What Feast says of those users that it knows."""
    store = FeatureStore(repo_path=deployment.config.feast_repo)
    found = store.get_online_features(FEATURES, [{"user_id": name} for name in users]).to_dict()
    rows = zip(found["user_id"], *(found[name.split(":")[1]] for name in FEATURES), strict=True)
    return {name: (created, country, segment) for name, created, country, segment in rows if created is not None}


def test_a_profile_is_what_the_newest_record_says(deployment: Deployment) -> None:
    deployment.send([user(0, "u1", segment="silver"), user(0, "u1", segment="gold", country="BE", updated_at=CREATED + 1)], "users")
    eventually(lambda: profiles(deployment, "u1", "nobody") == {"u1": (CREATED, "BE", "gold")})


def test_what_is_refused_is_a_dead_letter(deployment: Deployment) -> None:
    deep = LogRecord(0, 0, b"u2", b'{"x":' + b"[" * 3_000 + b"]" * 3_000 + b"}", [])
    deployment.send([user(0, "u2", country=7), deep, user(0, "u2", segment="after")], "users")
    eventually(lambda: profiles(deployment, "u2") == {"u2": (CREATED, "NL", "after")})
    letters = [found for found in deployment.messages("dead-letters", DeadLetter) if found.topic == "users"]
    assert [letter.reason for letter in sorted(letters, key=lambda letter: letter.offset)] == ["invalid_field", "not_json"]


def test_a_user_that_is_removed_is_gone_online(deployment: Deployment) -> None:
    deployment.send([LogRecord(0, 0, b"u3", None, [])], "users")
    eventually(lambda: not profiles(deployment, "u3"))


def test_profiles_come_back_when_redis_has_lost_everything(deployment: Deployment) -> None:
    before = profiles(deployment, *USERS)
    deployment.settle(timeout=30)
    with redis.Redis.from_url(deployment.config.redis) as client:
        client.flushall()
    assert not profiles(deployment, *USERS)
    eventually(lambda: profiles(deployment, *USERS) == before, what="every profile again")


def test_a_former_owner_turns_no_profile_back(deployment: Deployment) -> None:
    partition, config = partition_of(b"u5", 2), deployment.config
    former = OnlineWriter(config.feast_path, config.application, "profiles", config.feature_set.digest)
    former.claim(partition)
    owner = OnlineWriter(config.feast_path, config.application, "profiles", config.feature_set.digest)
    owner.write(Profiles(partition, 0, {"u5": Profile(CREATED, CREATED, "NL", "owner's")}))
    with pytest.raises(ClaimLostError):
        former.write(Profiles(partition, 0, {"u5": Profile(CREATED, CREATED, "NL", "former's")}))
    assert profiles(deployment, "u5") == {"u5": (CREATED, "NL", "owner's")}
    # The worker has lost its claim by this; it claims the partition again and writes what the log says.
    deployment.send([user(0, "u5", segment="from the log")], "users")
    eventually(lambda: profiles(deployment, "u5") == {"u5": (CREATED, "NL", "from the log")}, 40, "the log's profile")
