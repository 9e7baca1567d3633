"""PROJECT: fresh, bounded, patient with Redis, and never writing what it no longer owns."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from features.errors import UserError
from features.online import feast_repo_writer
from features.online.feast_store import OnlineReader, OnlineStoreError, OnlineWriter
from features.state import EntityState
from streams.metrics.catalogue import ONLINE_AGE, ONLINE_FLUSHED
from streams.online import feast_projector as project_module
from streams.online.changes import snapshot
from streams.online.feast_projector import Projector
from tests.made.online_states import history, label_only, state_of, whole
from tests.made.online_store import Store
from tests.run.redis_server import RedisServer, running_redis


def eventually(true: Callable[[], Any], within: float = 5.0) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.005)


@contextmanager
def projecting(store: Store, **settings: float) -> Iterator[Projector]:
    projector = Projector(Path("anywhere"), "app", "ingest", open_writer=lambda *_: store, **settings)  # type: ignore[arg-type]
    try:
        yield projector
    finally:
        store.may_write.set()
        projector.close()


def project(projector: Projector, state: EntityState, position: int, partition: int = 0) -> None:
    """What a stage does once it is time."""
    eventually(lambda: projector.wants(partition))
    projector.offer(snapshot(state, partition, position, everything=projector.wants_everything(partition)))


def test_what_is_offered_is_written_and_its_position_after_it() -> None:
    store, state = Store(), state_of("user", history(0))
    with projecting(store) as projector:
        assert projector.flushed(0) is None
        project(projector, state, 10)
        eventually(lambda: projector.flushed(0) == 10)
        label_only(state, "u1")
        project(projector, state, 11)
        eventually(lambda: projector.flushed(0) == 11)
    assert store.positions == {0: 11}
    assert store.rows == {key: (store.rows[key][0], 11 if key == "u1" else 10) for key in state.keys}
    assert [len(part) for part in store.writes] == [len(state), 1]


def test_an_idle_partition_moves_its_position_only_when_there_is_something_to_note() -> None:
    store, state = Store(), state_of("user", history(0))
    with projecting(store, freshness=0.01) as projector:
        project(projector, state, 10)
        eventually(lambda: projector.flushed(0) == 10)
        store.positions.clear()
        project(projector, state, 10)
        project(projector, state, 10)
        assert store.positions == {}
        project(projector, state, 12)
        eventually(lambda: projector.flushed(0) == 12)
        assert store.positions == {0: 12}


def test_one_snapshot_of_a_partition_is_under_way_at_most_and_partitions_do_not_wait_for_each_other() -> None:
    store, states = Store(), [state_of("user", history(seed)) for seed in range(2)]
    with projecting(store, freshness=0.0) as projector:
        for partition in range(2):
            eventually(partial(projector.wants, partition))
        store.may_write.clear()
        project(projector, states[0], 10, partition=0)
        assert not projector.wants(0)
        with pytest.raises(ValueError, match="ask wants"):
            projector.offer(whole(states[0], partition=0))
        assert projector.wants(1)
        project(projector, states[1], 20, partition=1)
        store.may_write.set()
        eventually(lambda: (projector.flushed(0), projector.flushed(1)) == (10, 20))


def test_a_partition_that_another_claimed_is_left_to_it_and_written_anew_if_it_stays_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project_module, "_CLAIM_AGAIN_S", 0.5)
    monkeypatch.setattr(project_module, "_CHECK_EVERY_S", 0.05)
    store, state = Store(), state_of("user", history(0))
    with projecting(store, freshness=0.01) as projector:
        project(projector, state, 10)
        eventually(lambda: projector.flushed(0) == 10)
        label_only(state, "u1")
        store.another().claim(0)
        store.rows.clear()
        project(projector, state, 11)
        eventually(lambda: projector.flushed(0) is None)
        assert store.rows == {}
        assert not projector.wants(0)
        eventually(lambda: projector.wants(0))
        assert projector.wants_everything(0)
        project(projector, state, 12)
        eventually(lambda: projector.flushed(0) == 12)
    assert store.claimed == [0, 0]
    assert set(store.rows) == set(state.keys)


def test_snapshots_are_as_far_apart_as_freshness_asks() -> None:
    store, state = Store(), state_of("user", history(0, n=50))
    with projecting(store, freshness=0.3) as projector:
        project(projector, state, 10)
        offered = time.monotonic()
        eventually(lambda: projector.flushed(0) == 10)
        assert not projector.wants(0)
        eventually(lambda: projector.wants(0))
        assert time.monotonic() - offered > 0.25


@pytest.mark.parametrize(("share", "longest", "expected"), [(0.25, 60.0, 0.8), (0.001, 0.4, 0.4)])
def test_costly_writing_stretches_the_interval_up_to_the_longest(share: float, longest: float, expected: float) -> None:
    """0.2 s of CPU at a quarter of a core is once in 0.8 s; at a thousandth it would be once in minutes."""
    store, state = Store(), state_of("user", history(0, n=50))
    store.busy = 0.2
    with projecting(store, longest=longest, share=share) as projector:
        project(projector, state, 10)
        offered = time.monotonic()
        eventually(lambda: projector.wants(0))
        assert time.monotonic() - offered > expected - 0.05


def test_while_the_store_fails_it_keeps_trying_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "streams.online.feast_projector")
    store, state = Store(), state_of("user", history(0))
    with projecting(store) as projector:
        eventually(lambda: projector.wants(0))
        store.failure = OnlineStoreError("Redis is gone")
        project(projector, state, 10)
        eventually(lambda: store.failed >= 3)
        assert not projector.wants(0)
        assert projector.flushed(0) is None
        label_only(state, "u1")
        store.failure = None
        eventually(lambda: projector.flushed(0) == 10)
        # What changed meanwhile was kept in the state.
        project(projector, state, 11)
        eventually(lambda: projector.flushed(0) == 11)
        assert store.rows["u1"] == (state.encode(state.slots(["u1"]))[0], 11)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert "Redis is gone" in messages[0]
    assert "again after" in messages[1]


def test_an_error_of_any_kind_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    store, state = Store(), state_of("user", history(0))
    with projecting(store) as projector:
        eventually(lambda: projector.wants(0))
        store.failure = RuntimeError("a bug")
        project(projector, state, 10)
        eventually(lambda: caplog.records)
        store.failure = None
        eventually(lambda: projector.flushed(0) == 10)
    assert caplog.records[0].exc_info is not None


def test_nothing_is_wanted_before_the_store_answered() -> None:
    store = Store()
    store.failure = OnlineStoreError("not up yet")
    with projecting(store) as projector:
        assert not projector.wants(0)
        eventually(lambda: store.failed >= 2)
        assert not projector.wants(0)
        store.failure = None
        eventually(lambda: projector.wants(0))


def test_everything_is_wanted_of_a_partition_the_store_does_not_have() -> None:
    store, state = Store(), state_of("user", history(0))
    store.positions[1] = 5
    snapshot(state, 0, 1)  # nothing is touched any more
    with projecting(store) as projector:
        for partition in (0, 1):
            eventually(partial(projector.wants, partition))
        assert projector.wants_everything(0)
        assert not projector.wants_everything(1)
        # A snapshot of less is written, but doesn't count as everything before its position.
        projector.offer(snapshot(state, 0, 9))
        eventually(lambda: projector.wants(0))
        assert projector.flushed(0) is None
        assert store.positions == {1: 5}
        project(projector, state, 10)
        eventually(lambda: projector.flushed(0) == 10)
    assert store.rows.keys() == state.keys.keys()


def test_a_wiped_store_is_filled_again_even_if_nothing_happens() -> None:
    store, state = Store(), state_of("user", history(0))
    with projecting(store) as projector:
        project(projector, state, 10)
        eventually(lambda: projector.flushed(0) == 10)
        store.wipe()
        eventually(lambda: projector.wants_everything(0))
        assert projector.flushed(0) is None
        project(projector, state, 10)
        eventually(lambda: projector.flushed(0) == 10)
    assert store.rows.keys() == state.keys.keys()
    assert store.positions == {0: 10}


def test_after_a_drop_nothing_of_the_partition_is_written() -> None:
    store, state = Store(), state_of("user", history(0, n=20_000, users=30_000))
    assert len(state) > 3_000
    with projecting(store) as projector:
        eventually(lambda: projector.wants(0))
        store.may_write.clear()
        project(projector, state, 10)
        assert store.entered.wait(5)
        dropping = threading.Thread(target=projector.drop, args=(0, 0.05))
        dropping.start()
        dropping.join(0.2)
        assert dropping.is_alive(), "it must wait for the write under way"
        store.may_write.set()
        dropping.join(5)
        written = len(store.writes)
        time.sleep(0.2)
        assert len(store.writes) == written == 1
        assert store.positions == {}
        # What was lost is made good should it come back.
        store.positions[0] = 3
        eventually(lambda: projector.wants(0))
        assert projector.wants_everything(0)


def test_a_drop_lets_the_snapshot_at_hand_be_written_first() -> None:
    store, state = Store(), state_of("user", history(0, n=20_000, users=30_000))
    with projecting(store) as projector:
        project(projector, state, 10)
        projector.drop(0)
        assert store.positions == {0: 10}
        eventually(lambda: projector.wants(0))
        assert not projector.wants_everything(0)


def test_a_drop_does_not_wait_for_a_store_that_fails() -> None:
    store, state = Store(), state_of("user", history(0))
    with projecting(store) as projector:
        eventually(lambda: projector.wants(0))
        store.failure = OnlineStoreError("gone")
        project(projector, state, 10)
        began = time.monotonic()
        projector.drop(0, patience=60)
        assert time.monotonic() - began < 30


def test_close_writes_what_was_offered() -> None:
    store, state = Store(), state_of("user", history(0))
    with projecting(store) as projector:
        project(projector, state, 10)
    assert store.positions == {0: 10}


def test_close_does_not_wait_for_a_store_that_fails() -> None:
    store, state = Store(), state_of("user", history(0))
    with projecting(store) as projector:
        eventually(lambda: projector.wants(0))
        store.failure = OnlineStoreError("gone")
        project(projector, state, 10)
        began = time.monotonic()
        projector.close(timeout=60)
        assert time.monotonic() - began < 30


def test_a_missing_repository_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="tidemark up"):
        Projector(tmp_path, "app", "ingest")


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with running_redis() as running:
        yield running


def test_redis_stopped_and_started_again_gets_everything_back(server: RedisServer, tmp_path: Path) -> None:
    repo = tmp_path / "feast"
    feast_repo_writer.write(repo, server.url)
    log = history(0)
    users, merchants = state_of("user", log), state_of("merchant", log)
    reader = OnlineReader(repo)
    ingest, score = Projector(repo, "app", "ingest"), Projector(repo, "app", "score")

    def read(user: str, merchant: str) -> tuple[bytes | None, bytes | None]:
        return tuple(found and found.state for found in reader.states(user, merchant))  # type: ignore[return-value]

    def held(user: str, merchant: str) -> tuple[bytes, bytes]:
        return users.encode(users.slots([user]))[0], merchants.encode(merchants.slots([merchant]))[0]

    try:
        project(ingest, users, 10)
        project(score, merchants, 20)
        eventually(lambda: (ingest.flushed(0), score.flushed(0)) == (10, 20))
        assert read("u1", "m1") == held("u1", "m1")
        assert OnlineWriter(repo, "app", "ingest").projected() == {0: 10}
        server.stop()
        label_only(users, "u1")
        time.sleep(1.2)
        server.start()
        for projector, state, position in ((ingest, users, 11), (score, merchants, 20)):
            eventually(partial(projector.wants_everything, 0))
            project(projector, state, position)
        eventually(lambda: (ingest.flushed(0), score.flushed(0)) == (11, 20))
        for user, merchant in zip(list(users.keys)[:15], list(merchants.keys)[:15], strict=True):
            assert read(user, merchant) == held(user, merchant)
    finally:
        ingest.close()
        score.close()


def test_what_the_store_lacks_grows_older_until_it_is_written() -> None:
    store, state = Store(), state_of("user", history(0))

    def age() -> float:
        return float(dict(projector.figures())[ONLINE_AGE])  # type: ignore[arg-type]

    with projecting(store, freshness=0.0) as projector:
        eventually(lambda: projector.wants(0))
        assert age() == 0
        projector.note(0, 10)
        first = age()
        eventually(lambda: age() > first)
        store.may_write.clear()
        project(projector, state, 10)
        # It waits as long as the change does, not as long as its snapshot.
        second = age()
        assert second > first
        projector.note(0, 11)
        assert age() >= second
        store.may_write.set()
        eventually(lambda: projector.flushed(0) == 10)
        third = age()
        eventually(lambda: age() > third)
        project(projector, state, 11)
        eventually(lambda: age() == 0)
        projector.note(0, 11)
        assert age() == 0
        assert dict(projector.figures())[ONLINE_FLUSHED] == 2
