"""Transactions in, decisions out, through the real broker, Faust, Feast on Redis, and a model from MLflow.

The tests share a deployment and its logs: each has transactions of its own, looks at these alone, and leaves no record unprocessed. So any
may run alone, or in any order.
"""

import base64
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from itertools import count

import httpx
import numpy as np
import pyarrow as pa
import pytest

from features.online.feast_store import OnlineReader
from infra.local import ports
from models.registry import mlflow_registry
from streams.config import DECIDING
from streams.messages import scoring_log
from streams.messages.events import DeadLetter, Decision
from streams.messages.partitioner import partition_of
from streams.messages.record import LogRecord
from tests.made.bad_records import BAD
from tests.made.records import label, transaction
from tests.parity.replayed import logged_vectors
from tests.run.deployment import Deployment, champion, deployed, eventually

NUMBER = count()


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with deployed(tmp_path_factory.mktemp("main-path") / "home") as deployment:
        champion(deployment.config)
        yield deployment


def some(n: int, **fields: object) -> list[LogRecord]:
    """Transactions of their own users and merchants, each with an id that no other test has."""
    made = []
    for _ in range(n):
        number = next(NUMBER)
        made.append(transaction(number, f"u{number % 37}", f"m{number % 23}", 1_700_000_000_000 + number * 60_000, **fields))
    return made


def ids(records: list[LogRecord]) -> set[str]:
    return {f"t{record.offset}" for record in records}


def decided(deployment: Deployment, records: list[LogRecord]) -> Counter[str]:
    """How often each of these transactions was decided."""
    own = ids(records)
    return Counter(found.transaction_id for found in deployment.messages("decisions", Decision) if found.transaction_id in own)


def once(records: list[LogRecord]) -> Counter[str]:
    return Counter(ids(records))


@pytest.mark.slow
def test_every_codec_and_bad_input_among_good_ones(deployment: Deployment) -> None:
    letters_before = deployment.messages("dead-letters", DeadLetter)
    good: list[LogRecord] = []
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        sent = some(50)
        deployment.send(sent, **{"compression.type": codec})
        good += sent
    before = some(20)
    deployment.send(before)
    # On u1's own partition, whatever the key, so that the reason is the one meant.
    home = partition_of(b"u1", 4)
    for record, _, _ in BAD.values():
        deployment.send([At(record, home)])
    deployment.send([At(transaction(next(NUMBER), "u1"), (home + 1) % 4)])
    after = some(20)
    deployment.send(after)
    good += before + after

    deployment.work_until_idle()

    assert decided(deployment, good) == once(good)
    letters = [letter for letter in deployment.messages("dead-letters", DeadLetter) if letter not in letters_before]
    expected = Counter(reason for _, reason, _ in BAD.values()) + Counter(["wrong_partition"])
    assert Counter(letter.reason for letter in letters) == expected
    assert len({(letter.partition, letter.offset) for letter in letters}) == len(letters)
    logged = logged_vectors(deployment)
    vectors, names = np.stack([logged[name] for name in sorted(ids(good))]), deployment.config.feature_set.names
    for name in ("amount", "hour", "user_tx_count_24h", "merchant_age_seconds"):
        assert np.isfinite(vectors[:, names.index(name)]).all()
    # Nothing new: a second worker finds nothing to do and says nothing twice.
    decisions = len(deployment.read("decisions"))
    deployment.work_until_idle()
    assert len(deployment.read("decisions")) == decisions


class At:
    """A record with a partition of its own choice."""

    def __init__(self, record: LogRecord, partition: int) -> None:
        self.key, self.value, self.headers, self.partition = record.key, record.value, record.headers, partition


def test_one_sent_again_is_decided_once_even_after_a_restart(deployment: Deployment) -> None:
    sent = some(30)
    # Of the same user, so that it is the same transaction with another amount.
    changed = transaction(sent[0].offset, f"u{sent[0].offset % 37}", "m1", 1_700_000_000_000, amount=1)
    deployment.send(sent + sent[:5])
    deployment.work_until_idle()
    deployment.send([*sent[10:], changed])
    deployment.work_until_idle()
    assert decided(deployment, sent) == once(sent)
    (letter,) = (letter for letter in deployment.messages("dead-letters", DeadLetter) if letter.reason == "conflict")
    assert changed.value == base64.b64decode(letter.value_base64 or "")


def test_what_the_stages_count_can_be_scraped(deployment: Deployment) -> None:
    first = ports.choose([], set())
    sent = some(20, user_id="counted", merchant_id="counted-shop")
    late = transaction(next(NUMBER), "counted", "counted-shop", 1_700_000_000_000 - 60_000)
    with deployment.running("worker", "--metrics", f"127.0.0.1:{first}"):
        deployment.send([*sent, sent[0], late])
        deployment.settle()
        ingest, score = (httpx.get(f"http://127.0.0.1:{first + place}/metrics").text for place in (1, 2))
        again = deployment.tidemark("worker", "--metrics", f"127.0.0.1:{first}")
    assert 'tidemark_stage_records_total{stage="ingest",what="duplicates"} 1.0' in ingest
    assert 'tidemark_stage_records_total{stage="ingest",what="late"} 1.0' in ingest
    assert 'tidemark_stage_records_total{stage="score",what="late"} 1.0' in score
    # The repeated one has no decision of its own.
    assert 'tidemark_decision_seconds_count{stage="score"} 21.0' in score
    assert 'tidemark_decision_seconds_bucket{le="60.0",stage="score"} 21.0' in score
    assert 'tidemark_decision_seconds_bucket{le="+Inf",stage="score"} 21.0' in score
    assert 'tidemark_stage_taken_records_total{stage="ingest"} 22.0' in ingest
    assert 'tidemark_online_age_seconds{stage="ingest"}' in ingest
    assert 'tidemark_stage_position{partition="0",stage="score"}' in score
    assert again.returncode == 2
    assert "Address already in use); give this worker another address with --metrics" in again.stderr


def test_labels_sent_to_their_topic_count(deployment: Deployment) -> None:
    first = transaction(next(NUMBER), "labelled", "labelled-shop", 1_700_000_000_000)
    with deployment.running("worker"):
        deployment.send([first])
        deployment.settle()
        deployment.send([label(0, first, 1_700_000_000_000 + 7 * 86_400_000)], topic="labels")
        deployment.settle()
        deployment.send([transaction(next(NUMBER), "labelled", "labelled-shop", 1_700_000_000_000 + 9 * 86_400_000)])
        deployment.settle()
    logged = pa.concat_tables(scoring_log.decode(record.value) for record in deployment.read("scoring-log"))
    mine = logged.filter(pa.array([user == "labelled" for user in logged["user_id"].to_pylist()])).sort_by("event_time")
    names = deployment.config.feature_set.names
    last = dict(zip(names, mine["vector"].to_pylist()[-1], strict=True))
    assert (last["user_fraud_rate_7d"], last["merchant_fraud_rate_7d"]) == (1.0, 1.0)


def test_the_online_store_has_what_the_stream_knows(deployment: Deployment) -> None:
    sent = some(5, user_id="online", merchant_id="online-shop", amount=700)
    deployment.send(sent)
    deployment.work_until_idle()
    from feast import FeatureStore

    store = FeatureStore(repo_path=deployment.config.feast_repo)
    row = store.get_online_features(
        features=["transaction_stats:avg_transaction_amount", "user_transaction_stats:count"], entity_rows=[{"user_id": "online"}]
    ).to_dict()
    assert row["avg_transaction_amount"] == [700.0]
    assert row["count"] == [5]
    user, merchant = OnlineReader(deployment.config.feast_path).states("online", "online-shop")
    assert user is not None
    assert merchant is not None
    assert user.partition == partition_of(b"online", 4)


@pytest.mark.slow
def test_workers_come_and_go(deployment: Deployment) -> None:
    """A killed worker's partitions move to the one that is left, its processes die with it, and nothing is lost or said twice."""
    with deployment.running("worker") as stays, deployment.running("worker") as killed:
        first = some(400)
        deployment.send(first)
        eventually(lambda: decided(deployment, first) == once(first), what="the first decisions")
        children = stage_processes(killed)
        assert len(children) == len(DECIDING)
        assert {os.getpgid(child) for child in children} == {os.getpgid(killed.pid)}
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
        second = some(400)
        deployment.send(second)
        eventually(lambda: decided(deployment, second) == once(second), timeout=30, what="decisions by the worker that is left")
        assert stays.poll() is None
    assert decided(deployment, first + second) == once(first + second)


def test_stages_end_when_their_worker_is_killed(deployment: Deployment) -> None:
    with deployment.running("worker") as worker:
        eventually(lambda: len(stage_processes(worker)) == len(DECIDING), what="every stage")
        children = stage_processes(worker)
        worker.kill()
        worker.wait()
        eventually(lambda: not any(alive(child) for child in children), timeout=15, what="the stages' end")


def stage_processes(worker: subprocess.Popen[bytes]) -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process(worker.pid).children()]


def alive(pid: int) -> bool:
    import psutil

    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_moved_alias_changes_the_model_without_a_restart(deployment: Deployment) -> None:
    with deployment.running("worker"):
        sent = some(5)
        deployment.send(sent)
        eventually(lambda: decided(deployment, sent) == once(sent), what="decisions by the first champion")
        second = champion(deployment.config, seed=1)
        assert second.role == "candidate"
        mlflow_registry.promote(second.version, deployment.config.mlflow)

        def decided_by_second() -> bool:
            deployment.send(some(1))
            return any(decision.model_digest == second.digests.model for decision in deployment.messages("decisions", Decision))

        eventually(decided_by_second, timeout=40, what="a decision by the new champion")
        deployment.settle()
    digests = {decision.model_version: decision.model_digest for decision in deployment.messages("decisions", Decision)}
    assert digests["2"] == second.digests.model
    assert len(digests) == 2


@pytest.mark.slow
def test_records_reach_a_stage_only_through_its_faust_agent(deployment: Deployment) -> None:
    """Runs INGEST's Faust app with its agent stopped: nothing moves; with it started again, everything does."""
    script = """
import asyncio, sys, faust, msgspec
from streams.config import DeploymentConfig
from streams.workers.faust_app import create_app
from streams.workers.stages import STAGES
app = create_app(STAGES["ingest"], msgspec.json.decode(sys.argv[1], type=DeploymentConfig), lambda error: sys.exit(f"failed {error!r}"))
@app.task
async def switch(app):
    (agent,) = app.agents.values()
    await agent.stop() if sys.argv[2] == "stopped" else None
    await asyncio.sleep(9)
    await app.stop()
    sys.exit(0)
faust.Worker(app, quiet=True, override_logging=False, redirect_stdouts=False).execute_from_commandline()
"""
    import msgspec

    def run(agent: str) -> int:
        before = len(deployment.read("transactions.by-merchant"))
        subprocess.run(
            [os.sys.executable, "-c", script, msgspec.json.encode(deployment.config).decode(), agent],  # type: ignore[attr-defined]
            env=deployment.environment,
            cwd=deployment.home,
            timeout=60,
            check=False,
        )
        return len(deployment.read("transactions.by-merchant")) - before

    deployment.work_until_idle()
    sent = some(40)
    deployment.send(sent)
    assert run("stopped") == 0
    assert run("running") > 0
    deployment.work_until_idle()
    assert decided(deployment, sent) == once(sent)
