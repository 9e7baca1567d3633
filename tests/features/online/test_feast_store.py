"""The online store on a real Redis: what is written is what follows from the log, and a failing Redis is reported soon."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from feast import FeatureStore

from features.errors import UserError
from features.online.feast_store import ClaimLostError, KeyState, OnlineReader, OnlineStoreError, OnlineWriter
from tests.made.online_states import START, V1, History, history, label_only, state_of, whole
from tests.run.redis_server import RedisServer, running_redis

# Said in SQL's own words: a user's last event time is its anchor, and the window reaches back to 30 days before its 12 hours' beginning.
STATS = """
with anchors as (select user, max(time) as anchor from log group by user)
select log.user, 1.0 * sum(amount) / count(*), count(*)
from log join anchors on log.user = anchors.user
where time >= anchor / (12 * 3600000) * (12 * 3600000) - 30 * 86400000 and time <= anchor
group by log.user
"""
ALL_TIME = "select user, 1.0 * sum(amount) / count(*), count(*) from log group by user"


def by_sql(log: History, query: str) -> dict[str, tuple[float, int]]:
    with sqlite3.connect(":memory:") as database:
        database.execute("create table log (user text, time integer, amount integer)")
        database.executemany("insert into log values (?, ?, ?)", zip(log.user, log.time.tolist(), log.amount.tolist(), strict=True))
        return {user: (mean, count) for user, mean, count in database.execute(query)}


@pytest.mark.parametrize("seed", range(4))
def test_the_stats_of_every_user_are_sql_s(seed: int, repo: Path) -> None:
    log = history(seed, n=1_000, users=40)
    OnlineWriter(repo, "app", "ingest").write(whole(state_of("user", log)))
    users = sorted(set(log.user))
    refs = ["transaction_stats:avg_transaction_amount", "transaction_stats:transaction_count"]
    refs += ["user_transaction_stats:avg_amount", "user_transaction_stats:count"]
    found = FeatureStore(repo_path=str(repo)).get_online_features(refs, [{"user_id": user} for user in users]).to_dict()
    last = dict(zip(found["user_id"], zip(found["avg_transaction_amount"], found["transaction_count"], strict=True), strict=True))
    ever = dict(zip(found["user_id"], zip(found["avg_amount"], found["count"], strict=True), strict=True))
    assert last == by_sql(log, STATS)
    assert ever == by_sql(log, ALL_TIME)
    assert last != ever


def test_who_claimed_a_partition_last_is_the_only_one_to_write_it(repo: Path) -> None:
    former, owner = OnlineWriter(repo, "app", "ingest"), OnlineWriter(repo, "app", "ingest")
    state = state_of("user", history(0))
    early, late = whole(state, position=100), whole(state, position=200)
    former.claim(0)
    former.write(early)
    owner.check()
    owner.claim(0)
    owner.write(late)
    owner.set_projected(0, 200)
    for refused in (lambda: former.write(early), lambda: former.set_projected(0, 100)):
        with pytest.raises(ClaimLostError, match=r"partition 0 of .*claimed by another"):
            refused()
    assert former.projected() == {0: 200}
    user, _ = OnlineReader(repo).states(next(iter(state.keys)), "nobody")
    assert user is not None
    assert user.offset == 199
    former.write(whole(state, partition=1))


def test_a_plain_user_s_process_needs_nothing_of_ours(repo: Path, tmp_path: Path) -> None:
    log = history(0)
    OnlineWriter(repo, "app", "ingest").write(whole(state_of("user", log)))
    script = (
        "import sys; from feast import FeatureStore\n"
        "found = FeatureStore(repo_path=sys.argv[1], fs_yaml_file=f'{sys.argv[1]}/feature_store.online.yaml').get_online_features("
        "features=['transaction_stats:avg_transaction_amount'], entity_rows=[{'user_id': 'u3'}, {'user_id': 'nobody'}]).to_dict()\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('features', 'streams')]\n"
        "print(found)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(repo)], cwd=tmp_path, capture_output=True, text=True, check=True)
    mean, _ = by_sql(log, STATS)["u3"]
    assert done.stdout.strip() == str({"user_id": ["u3", "nobody"], "avg_transaction_amount": [mean, None]})


def test_a_key_known_from_a_label_only_has_no_transactions_yet(repo: Path) -> None:
    state = state_of("user", history(0, n=10))
    label_only(state, "labelled")
    OnlineWriter(repo, "app", "ingest").write(whole(state))
    refs = ["transaction_stats:avg_transaction_amount", "transaction_stats:transaction_count", "user_transaction_stats:count"]
    found = FeatureStore(repo_path=str(repo)).get_online_features(refs, [{"user_id": "labelled"}]).to_dict()
    assert found == {"user_id": ["labelled"], "avg_transaction_amount": [None], "transaction_count": [0], "count": [0]}


def test_a_later_write_replaces_the_earlier_one_even_at_the_same_event_time(repo: Path) -> None:
    writer = OnlineWriter(repo, "app", "ingest")
    state = state_of("user", history(0))
    writer.write(whole(state))
    label_only(state, "u1")  # moves no anchor
    writer.write(whole(state, position=101))
    found, _ = OnlineReader(repo).states("u1", "nobody")
    assert found is not None
    assert found.offset == 100
    assert found.state == state.encode(state.slots(["u1"]))[0]


def test_the_reader_gives_both_states_with_their_positions(repo: Path) -> None:
    log = history(0)
    users, merchants = state_of("user", log), state_of("merchant", log)
    OnlineWriter(repo, "app", "ingest").write(whole(users, partition=2, position=50))
    OnlineWriter(repo, "app", "score").write(whole(merchants, partition=1, position=9))
    reader = OnlineReader(repo)
    assert reader.states("u3", "m2") == (
        KeyState(users.encode(users.slots(["u3"]))[0], 2, 49, V1.digest),
        KeyState(merchants.encode(merchants.slots(["m2"]))[0], 1, 8, V1.digest),
    )
    assert reader.states("nobody", "nowhere") == (None, None)


def test_positions_are_kept_per_application_stage_and_partition(repo: Path) -> None:
    writer = OnlineWriter(repo, "app", "ingest")
    writer.check()
    writer.set_projected(0, 10)
    writer.set_projected(3, 2**40)
    writer.set_projected(0, 11)
    assert OnlineWriter(repo, "app", "ingest").projected() == {0: 11, 3: 2**40}
    assert OnlineWriter(repo, "app", "score").projected() == OnlineWriter(repo, "other", "ingest").projected() == {}


def test_after_a_wipe_positions_do_not_count_until_it_was_noticed(repo: Path, store_server: RedisServer) -> None:
    writer = OnlineWriter(repo, "app", "ingest")
    assert not writer.check()
    assert writer.check()
    writer.set_projected(0, 10)
    with store_server.client() as client:
        client.flushall()
    # It writes on before it checks: that must not look like everything written.
    writer.set_projected(0, 11)
    assert writer.projected() == {}
    assert not writer.check()
    writer.set_projected(0, 12)
    assert writer.projected() == {0: 12}


def test_after_a_restart_positions_do_not_count_and_the_writer_goes_on(tmp_path: Path, store_repo: Path) -> None:
    with running_redis() as server:
        repo = at(server, tmp_path, store_repo)
        writer, reader = OnlineWriter(repo, "app", "ingest"), OnlineReader(repo)
        users = whole(state_of("user", history(0)))
        writer.check()
        writer.write(users)
        writer.set_projected(0, 10)
        assert reader.states("u1", "m1")[0] is not None
        server.stop()
        server.start()
        assert writer.projected() == {}
        assert not writer.check()
        assert reader.states("u1", "m1")[0] is None
        writer.write(users)
        assert reader.states("u1", "m1")[0] is not None


def at(server: RedisServer, folder: Path, repo: Path) -> Path:
    """The repository, on another Redis."""
    moved = folder / "feast"
    moved.mkdir()
    (moved / "registry.db").write_bytes((repo / "registry.db").read_bytes())
    settings = (repo / "feature_store.yaml").read_text()
    old = settings.split("connection_string: ")[1].split(",")[0]
    (moved / "feature_store.yaml").write_text(settings.replace(old, f"127.0.0.1:{server.port}"))
    return moved


def test_a_dead_and_a_silent_redis_are_reported_within_the_deadline(tmp_path: Path, store_repo: Path) -> None:
    with running_redis() as server:
        repo = at(server, tmp_path, store_repo)
        writer, reader = OnlineWriter(repo, "app", "ingest", timeout=0.3), OnlineReader(repo, timeout=0.2)
        users = whole(state_of("user", history(0)))
        calls = (
            writer.check,
            writer.projected,
            lambda: writer.write(users),
            lambda: writer.set_projected(0, 1),
            lambda: reader.states("u", "m"),
        )

        def all_fail_soon() -> None:
            for call in calls:
                with pytest.raises(OnlineStoreError, match=f"127.0.0.1:{server.port}"):
                    call()

        for call in calls:
            call()
        with server.paused():
            all_fail_soon()
        server.stop()
        all_fail_soon()
        server.start()
        for call in calls:
            call()


def test_no_repository_is_an_error_the_user_can_fix(tmp_path: Path) -> None:
    for opened in (lambda: OnlineWriter(tmp_path, "app", "ingest"), lambda: OnlineReader(tmp_path)):
        with pytest.raises(UserError, match="run `tidemark up`"):
            opened()


def test_reading_does_not_leak(repo: Path) -> None:
    log = history(0)
    OnlineWriter(repo, "app", "ingest").write(whole(state_of("user", log)))
    reader, store = OnlineReader(repo), FeatureStore(repo_path=str(repo))
    resident = psutil.Process().memory_info

    def read(times: int) -> None:
        for number in range(times):
            reader.states(f"u{number % 40}", "m1")
            store.get_online_features(["transaction_stats:avg_transaction_amount"], [{"user_id": f"u{number}"}]).to_dict()

    read(500)
    before = resident().rss
    read(2_000)
    # Feast 0.64 and 0.65 grew by a kilobyte or more a read.
    assert resident().rss - before < 1_000_000


def test_the_mean_is_exact_beyond_float32(repo: Path) -> None:
    amounts = np.array([16_777_217, 33_554_435, 10**12], np.int64)
    log = History(["u"] * 3, ["m"] * 3, [None] * 3, START + np.arange(3, dtype=np.int64), amounts)
    OnlineWriter(repo, "app", "ingest").write(whole(state_of("user", log)))
    found = (
        FeatureStore(repo_path=str(repo)).get_online_features(["transaction_stats:avg_transaction_amount"], [{"user_id": "u"}]).to_dict()
    )
    assert found["avg_transaction_amount"] == [int(amounts.sum()) / 3]
