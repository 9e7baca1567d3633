"""What PROJECT may rely on in an online store: one list of laws, for the one in memory that its tests use and for the real one on Redis."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from features.online import feast_repo_writer
from features.online.feast_store import ClaimLostError, OnlineReader, OnlineStoreError, OnlineWriter
from features.online.snapshot import Snapshot
from features.state import EntityState
from tests.made.online_states import history, label_only, state_of, whole
from tests.made.online_store import Store
from tests.run.redis_server import RedisServer, running_redis


class World(Protocol):
    """A store, whoever writes to it."""

    def writer(self) -> OnlineWriter: ...

    def held(self, key: str) -> tuple[bytes, int] | None:
        """A user's state and the position it was written at."""

    def wipe(self) -> None: ...

    def fail(self) -> None: ...

    def recover(self) -> None: ...


class InMemory:
    def __init__(self) -> None:
        self._first = Store()
        self._writers: list[Store] = []

    def writer(self) -> OnlineWriter:
        self._writers.append(self._first.another())
        return self._writers[-1]  # type: ignore[return-value]

    def held(self, key: str) -> tuple[bytes, int] | None:
        return self._first.rows.get(key)

    def wipe(self) -> None:
        self._first.wipe()

    def fail(self) -> None:
        for writer in self._writers:
            writer.failure = OnlineStoreError("gone")

    def recover(self) -> None:
        for writer in self._writers:
            writer.failure = None


class OnRedis:
    def __init__(self, server: RedisServer, repo: Path, application: str) -> None:
        self._server, self._repo, self._application = server, repo, application
        self._reader = OnlineReader(repo)
        self._writers: list[OnlineWriter] = []

    def writer(self) -> OnlineWriter:
        self._writers.append(OnlineWriter(self._repo, self._application, "ingest", "d" * 64, timeout=0.5))
        return self._writers[-1]

    def held(self, key: str) -> tuple[bytes, int] | None:
        found = self._reader.state("user", key)
        return None if found is None else (found.state, found.offset + 1)

    def wipe(self) -> None:
        with self._server.client() as client:
            client.flushall()

    def fail(self) -> None:
        self._server.stop()

    def recover(self) -> None:
        self._server.start()

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_redis() as running:
        yield running


@pytest.fixture(params=["in memory", "on Redis"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "in memory":
        yield InMemory()
        return
    server: RedisServer = request.getfixturevalue("server")
    feast_repo_writer.write(tmp_path / "feast", server.url)
    real = OnRedis(server, tmp_path / "feast", "contract")
    real.wipe()
    yield real
    real.close()


@pytest.fixture
def state() -> EntityState:
    return state_of("user", history(0, n=200))


def at(state: EntityState, position: int, partition: int = 0) -> Snapshot:
    return whole(state, partition, position)


def encoded(state: EntityState, key: str) -> bytes:
    return state.encode(state.slots([key]))[0]


def test_what_is_written_is_held_and_the_newest_counts(world: World, state: EntityState) -> None:
    writer = world.writer()
    writer.check()
    writer.write(at(state, 10))
    assert all(world.held(key) == (encoded(state, key), 10) for key in state.keys)
    label_only(state, "new")
    writer.write(at(state, 11).part(len(state) - 1, len(state)))
    assert world.held("new") == (encoded(state, "new"), 11)
    assert world.held("u1") == (encoded(state, "u1"), 10)
    assert world.held("nobody") is None


def test_writing_moves_no_position(world: World, state: EntityState) -> None:
    writer = world.writer()
    writer.check()
    writer.write(at(state, 10))
    assert writer.projected() == {}


def test_positions_are_noted_partition_by_partition_for_whoever_comes_next(world: World) -> None:
    writer = world.writer()
    assert writer.projected() == {}
    writer.check()
    writer.set_projected(0, 10)
    writer.set_projected(3, 7)
    writer.set_projected(0, 12)
    assert writer.projected() == world.writer().projected() == {0: 12, 3: 7}


def test_a_writer_first_knows_nothing_then_that_the_store_is_the_same_until_it_lost_its_data(world: World) -> None:
    writer = world.writer()
    assert [writer.check() for _ in range(3)] == [False, True, True]
    world.wipe()
    assert [writer.check() for _ in range(2)] == [False, True]


def test_a_store_that_lost_its_data_has_neither_keys_nor_positions(world: World, state: EntityState) -> None:
    writer = world.writer()
    writer.check()
    writer.write(at(state, 10))
    writer.set_projected(0, 10)
    world.wipe()
    assert writer.projected() == {}
    assert world.held("u1") is None


def test_a_position_noted_without_seeing_that_data_were_lost_does_not_count(world: World) -> None:
    writer = world.writer()
    writer.check()
    world.wipe()
    writer.set_projected(0, 10)
    assert writer.projected() == {}
    writer.check()
    writer.set_projected(0, 11)
    assert writer.projected() == {0: 11}


def test_a_partition_is_its_last_claimants(world: World, state: EntityState) -> None:
    former, owner = world.writer(), world.writer()
    for writer in (former, owner):
        writer.check()
    former.claim(0)
    former.claim(1)
    owner.claim(0)
    refused: list[Callable[[], None]] = [lambda: former.write(at(state, 10)), lambda: former.set_projected(0, 10)]
    for attempt in refused:
        with pytest.raises(ClaimLostError):
            attempt()
    assert world.held("u1") is None
    owner.write(at(state, 9))
    owner.set_projected(0, 9)
    former.set_projected(1, 4)
    assert owner.projected() == {0: 9, 1: 4}
    former.claim(0)
    former.write(at(state, 12))
    assert world.held("u1") == (encoded(state, "u1"), 12)


def test_a_partition_that_nobody_claimed_is_claimed_by_writing(world: World, state: EntityState) -> None:
    first, second = world.writer(), world.writer()
    first.check()
    first.write(at(state, 10))
    second.claim(0)
    with pytest.raises(ClaimLostError):
        first.write(at(state, 11))


def test_a_claim_that_was_lost_with_the_data_is_made_again_by_writing(world: World, state: EntityState) -> None:
    writer = world.writer()
    writer.check()
    writer.claim(0)
    world.wipe()
    writer.write(at(state, 10))
    assert world.held("u1") == (encoded(state, "u1"), 10)


def test_a_store_that_fails_says_so_and_serves_again_once_it_is_back(world: World, state: EntityState) -> None:
    writer = world.writer()
    writer.check()
    world.fail()
    asked: list[Callable[[], object]] = [
        writer.check,
        writer.projected,
        lambda: writer.claim(0),
        lambda: writer.write(at(state, 10)),
        lambda: writer.set_projected(0, 10),
    ]
    for ask in asked:
        with pytest.raises(OnlineStoreError):
            ask()
    world.recover()
    writer.check()
    writer.write(at(state, 10))
    writer.set_projected(0, 10)
    assert (world.held("u1"), writer.projected()) == ((encoded(state, "u1"), 10), {0: 10})
