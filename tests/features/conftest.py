"""One Redis and one Feast repository for all tests of the online store; the data is wiped before each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from features.online import feast_repo_writer
from tests.run.redis_server import RedisServer, running_redis


@pytest.fixture(scope="session")
def store_server() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture(scope="session")
def store_repo(store_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    repo = tmp_path_factory.mktemp("home") / "feast"
    feast_repo_writer.write(repo, store_server.url)
    return repo


@pytest.fixture
def repo(store_server: RedisServer, store_repo: Path) -> Path:
    """The repository of an empty online store."""
    with store_server.client() as client:
        client.flushall()
    return store_repo
