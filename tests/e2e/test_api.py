"""POST /v1/score: the caller gets what the stream will say, from the state that the stream has.

The tests share a deployment and its logs, so each has transactions of its own and counts no others; any may run alone, or in any order.
"""

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
import redis

from features.online.feast_store import OnlineReader
from infra.local import processes, services
from infra.local import redis as redis_server
from infra.local.processes import Slot
from models.registry import mlflow_registry
from streams.messages import scoring_log
from streams.messages.events import Decision
from tests.made.records import label, transaction
from tests.parity.replayed import logged_vectors, recomputed_vectors
from tests.run.deployment import Deployment, champion, deployed, eventually
from tests.run.serving import Api, serving

DAY = 86_400_000
START = 1_700_000_000_000


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with deployed(tmp_path_factory.mktemp("api") / "home", partitions=2) as deployment:
        champion(deployment.config)
        with deployment.running("worker"):
            yield deployment


@pytest.fixture(scope="module")
def api(deployment: Deployment) -> Iterator[Api]:
    with serving(deployment) as served:
        yield served


@pytest.fixture(scope="module")
def history(deployment: Deployment) -> list[str]:
    """The ids of sixty transactions of one user at one merchant over forty days, two of them found to be fraud: all is decided."""
    sent = [transaction(i, "u1", "m1", START + i * 16 * 3_600_000, 500 + 37 * i) for i in range(60)]
    deployment.send([*sent, label(0, sent[3], START + 10 * DAY), label(0, sent[7], START + 12 * DAY)])
    deployment.settle()
    return [f"t{record.offset}" for record in sent]


@dataclass
class Outage:
    """What two APIs answered while the online store was down: one that refuses then, one that decides by the request alone."""

    before: dict[str, object]
    refused: tuple[int, dict[str, object]]
    degraded: tuple[int, dict[str, object]]
    metrics: bytes


@pytest.fixture(scope="module")
def outage(deployment: Deployment, api: Api) -> Outage:
    slot = Slot(deployment.home, redis_server.NAME)
    with serving(deployment, "--when-store-fails", "degrade") as degrading:
        before = api.score(transaction(20_000, "u1", "m1", START + 60 * DAY, 700).value or b"")[1]
        processes.stop(slot, 5)
        try:
            refused = api.score(transaction(20_001, "u1", "m1").value or b"")
            degraded = degrading.score(transaction(20_002, "u1", "m1", START + 60 * DAY, 900).value or b"")
            metrics = degrading.get("/metrics")[1]
        finally:
            services.up(deployment.home, report=lambda _line: None)
        deployment.settle()
    eventually(lambda: api.get("/readyz")[0] == 200, what="readiness")
    return Outage(before, refused, degraded, metrics)


def test_an_answer_is_the_streams_own_bit_for_bit(deployment: Deployment, api: Api, history: list[str]) -> None:
    # Two hours on from the last event, and once from before the key's anchor: a late one is judged by what is known now.
    asked = [
        transaction(100, "u1", "m1", START + 60 * 16 * 3_600_000, 90_000),
        transaction(101, "u1", "m1", START + 59 * 16 * 3_600_000 - 5_000, 1_000),
        transaction(102, "never-seen", "m1", START + 41 * DAY, 250),
        transaction(103, "u1", "never-seen", START + 41 * DAY, 250, device_id="phone", country="DE"),
    ]
    answers: dict[str, dict[str, object]] = {}
    for one in asked:
        status, answer = api.score(one.value or b"")
        assert status == 200, answer
        answers[str(answer["transaction_id"])] = answer
        # The next answer must rest on this one too, as the stream's would.
        deployment.settle()

    own = {*history, *answers}
    decided = [decision for decision in deployment.messages("decisions", Decision) if decision.transaction_id in own]
    decisions = {decision.transaction_id: decision for decision in decided}
    assert len(decided) == len(decisions) == 60 + len(asked)
    for name, answer in answers.items():
        assert msgspec.to_builtins(decisions[name]) == answer
        assert answer["origin"] == "api"

    streams_own = recomputed_vectors(deployment)
    scorer = mlflow_registry.load("models:/tidemark@champion", deployment.config.mlflow)
    logged_of = logged_vectors(deployment)
    for name in own:
        vector = logged_of[name]
        assert vector.tobytes() == streams_own[name].tobytes(), name
        assert decisions[name].probability == scorer.score(streams_own[name][np.newaxis]).probability[0]

    logged = pa.concat_tables(scoring_log.decode(record.value) for record in deployment.read("scoring-log"))
    read = {name: (user, merchant) for name, user, merchant in zip(
        *(logged[column].to_pylist() for column in ("transaction_id", "user_state_offset", "merchant_state_offset")), strict=True
    )}  # fmt: skip
    assert read["t0"] == (None, None)
    assert read["t102"][0] == -1
    assert read["t100"][0] > 0


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"{", "truncated"),
        (b"[]", "object"),
        (b'{"transaction_id":"1"}', "event_time"),
        (transaction(1, currency="USD").value, "EUR"),
        (transaction(1, amount=-5).value, "$.amount"),
        (transaction(1, event_time="2026-01-01T25:00:00").value, "no ISO 8601 time"),
        (b'{"x":' + b"[" * 3_000 + b"]" * 3_000 + b"}", "nested too deeply"),
        (transaction(1, event_time=int(time.time() * 1000) + 60 * 60_000).value, "more than 4 min after"),
        (transaction(1, country="x" * (1 << 20)).value, "1048576"),
    ],
)
def test_a_bad_request_gets_the_reason_and_leaves_nothing(deployment: Deployment, api: Api, body: bytes, says: str) -> None:
    before = len(deployment.read("transactions"))
    status, answer = api.score(body)
    assert status == 422
    assert says in str(answer["detail"])
    assert len(deployment.read("transactions")) == before


def test_what_operators_ask(api: Api) -> None:
    assert api.get("/healthz")[0] == 200
    assert api.get("/readyz")[0] == 200
    assert {api.get(f"/somebody-tries-{number}")[0] for number in range(3)} == {404}
    status, metrics = api.get("/metrics")
    assert status == 200
    assert b'tidemark_api_requests_total{route="other",status="404"}' in metrics
    assert b"somebody-tries" not in metrics
    assert b"tidemark_api_ready 1.0" in metrics
    assert b'tidemark_api_request_seconds_bucket{le="0.3",route="/v1/score"}' in metrics
    assert b"/v1/score" in api.get("/openapi.json")[1]
    assert api.get("/docs")[0] == 200


def test_many_callers_at_once_each_get_their_decision_once(deployment: Deployment, api: Api) -> None:
    answers: list[dict[str, object]] = []

    def call(caller: int) -> None:
        for i in range(25):
            status, answer = api.score(transaction(10_000 + caller * 100 + i, f"caller{caller}", "m9", START + i).value or b"")
            assert status == 200
            answers.append(answer)

    callers = [threading.Thread(target=call, args=(caller,)) for caller in range(8)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert len(answers) == 200
    deployment.settle()
    decisions = deployment.messages("decisions", Decision)
    assert sum(d.user_id.startswith("caller") for d in decisions) == 200
    by_id = {str(answer["transaction_id"]): answer for answer in answers}
    assert {d.transaction_id: msgspec.to_builtins(d) for d in decisions if d.transaction_id in by_id} == by_id


def test_without_its_store_the_api_refuses_or_says_that_it_decides_by_the_request_alone(deployment: Deployment, outage: Outage) -> None:
    assert outage.before["degraded"] is False
    status, answer = outage.refused
    assert status == 503
    assert "online store" in str(answer["detail"])
    status, answer = outage.degraded
    assert (status, answer["degraded"]) == (200, True)
    assert b"tidemark_api_degraded_total 1.0" in outage.metrics
    decisions = {decision.transaction_id: decision for decision in deployment.messages("decisions", Decision)}
    assert "t20001" not in decisions
    assert msgspec.to_builtins(decisions["t20002"]) == answer
    vector = logged_vectors(deployment)["t20002"]
    names = deployment.config.feature_set.names
    assert vector[names.index("amount")] == 900
    assert all(np.isnan(value) for name, value in zip(names, vector, strict=True) if name.startswith(("user_", "merchant_")))


def test_decisions_of_stream_and_api_pass_the_audit_and_are_explained(
    deployment: Deployment, api: Api, history: list[str], outage: Outage, tmp_path: Path
) -> None:
    assert api.score(transaction(60_000, "u1", "m1", START + 61 * DAY, 90_000).value or b"")[0] == 200
    deployment.settle()
    passed = deployment.tidemark("audit", "--all", "--oracle-share", "1", "--json", str(tmp_path / "audit.json"))
    assert passed.returncode == 0, passed.stdout + passed.stderr
    found = json.loads((tmp_path / "audit.json").read_text())
    decisions = deployment.messages("decisions", Decision)
    origins = Counter(decision.origin for decision in decisions)
    assert (found["by_stream"], found["by_api"]) == (origins["stream"], origins["api"])
    assert found["degraded"] == sum(decision.degraded for decision in decisions) == 1
    for name, origin in ((history[40], "stream"), ("t60000", "api"), (str(outage.degraded[1]["transaction_id"]), "api")):
        explained = deployment.tidemark("explain", name)
        assert explained.returncode == 0, explained.stdout + explained.stderr
        assert f"decided by the {origin}" in explained.stdout
        assert explained.stdout.rstrip().endswith("reproduced bit for bit")
    unknown = deployment.tidemark("explain", "no-such-thing")
    assert unknown.returncode == 2
    assert "there is no decision on transaction 'no-such-thing'" in unknown.stderr


@pytest.mark.usefixtures("history")
def test_a_following_audit_reports_to_prometheus_what_it_has_audited(deployment: Deployment) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    followed = Api(f"http://127.0.0.1:{port}")
    deployment.settle()
    before = len(deployment.read("decisions"))
    with deployment.running("audit", "--all", "--from-beginning", "--follow", "--dry-run", "--metrics-port", str(port)):
        eventually(lambda: f"tidemark_audit_decisions_total {before}.0".encode() in followed.get("/metrics")[1], what="the first audit")
        deployment.send([transaction(40_000 + i, f"followed{i % 3}", "m1", START + 70 * DAY + i) for i in range(30)])
        eventually(
            lambda: f"tidemark_audit_decisions_total {before + 30}.0".encode() in followed.get("/metrics")[1], what="the next decisions"
        )
        metrics = followed.get("/metrics")[1]
    assert b'tidemark_audit_mismatches_total{cause="lag"} 0.0' in metrics
    assert b'tidemark_audit_offset{partition="0"}' in metrics


@pytest.mark.slow
def test_an_audit_finds_a_key_of_the_store_that_somebody_has_changed(deployment: Deployment, tmp_path: Path) -> None:
    client = redis.Redis.from_url(deployment.config.redis)
    deployment.send([transaction(50_000, "anybody", "tampered-with"), transaction(50_001, "anybody", "another", amount=7)])
    deployment.settle()
    (key,) = (key for key in client.scan_iter() if b"tampered-with" in key)
    (whole,) = (key for key in client.scan_iter() if b"another" in key)
    kept = client.hgetall(key)
    client.hset(key, mapping=client.hgetall(whole))
    failed = deployment.tidemark("audit", "--json", str(tmp_path / "audit.json"))
    client.hset(key, mapping=kept)
    assert failed.returncode == 1, failed.stdout + failed.stderr
    found = json.loads((tmp_path / "audit.json").read_text())
    (example,) = found["store"]["examples"]
    assert example["about"] == "merchant tampered-with in the online store"
    assert found["mismatches"] == 0
    refused = deployment.tidemark("promote", "1")
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert "use --despite-audit" in refused.stderr
    assert deployment.tidemark("promote", "1", "--despite-audit").returncode == 0


def test_the_online_store_is_rebuilt_by_hand(deployment: Deployment, api: Api) -> None:
    deployment.send([transaction(30_000, "rebuilt", "m1")])
    deployment.settle()
    reader = OnlineReader(deployment.config.feast_path)
    before = reader.states("rebuilt", "m1")
    assert before[0] is not None
    client = redis.Redis.from_url(deployment.config.redis)
    (key,) = (key for key in client.scan_iter() if b"rebuilt" in key)
    client.delete(key)
    assert reader.states("rebuilt", "m1")[0] is None
    done = deployment.tidemark("rebuild-online")
    assert done.returncode == 0, done.stderr
    eventually(lambda: api.get("/readyz")[0] == 200, what="readiness")
    assert "every key of" in done.stdout
    assert reader.states("rebuilt", "m1")[0] == before[0]
