"""After Redis has lost its data nobody may look as if he were new: the API says so at once, until a worker has written all again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.made.records import transaction
from tests.run.deployment import Deployment, champion, eventually
from tests.run.emptied import emptied
from tests.run.serving import serving

START = 1_700_000_000_000


@pytest.fixture
def deployment(shared: Deployment, tmp_path: Path) -> Iterator[Deployment]:
    with emptied(shared, tmp_path / "home") as deployment:
        champion(deployment.config)
        deployment.send([transaction(i, "u1", "m1", START + i * 3_600_000, 500 + 37 * i) for i in range(60)])
        deployment.work_until_idle()
        yield deployment


def test_an_emptied_store_is_noticed_at_once(deployment: Deployment) -> None:
    asked = (transaction(number, "u1", "m1", START + 70 * 3_600_000, 900).value or b"" for number in range(1_000, 1_100))
    with serving(deployment) as api, serving(deployment, "--when-store-fails", "degrade") as degrading:
        assert api.score(next(asked))[0] == degrading.score(next(asked))[0] == 200
        with redis.Redis.from_url(deployment.config.redis) as client:
            client.flushall()
        status, refused = api.score(next(asked))
        assert (status, "the online store can't be relied on" in str(refused["detail"])) == (503, True), refused
        assert degrading.score(next(asked))[1]["degraded"] is True
        status, why = api.get("/readyz")
        assert (status, b"the online store" in why) == (503, True)
        # Nor once somebody has looked, as the doctor does.
        eventually(lambda: b"lacks what these partitions know" in api.get("/readyz")[1], 30, "the look")
        assert api.score(next(asked))[0] == 503
        with deployment.running("worker"):
            eventually(lambda: api.get("/readyz")[0] == 200, 60, "all to be written again")
            deployment.settle()
            status, answer = api.score(next(asked))
        assert (status, answer["degraded"]) == (200, False)
