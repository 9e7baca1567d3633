"""What ends a stage, and what doesn't: no record does, nor a service that is away; what only an operator can fix does, in one line."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from features.online.feast_repo_writer import write as write_feast_repo
from features.online.feast_store import OnlineReader, OnlineStoreError
from infra.local import kafka, ports, processes, services
from infra.local.processes import Slot
from streams.messages.events import DeadLetter, Decision
from streams.messages.partitioner import partition_of
from streams.messages.record import LogRecord
from tests.made.records import label, transaction
from tests.made.user_records import user
from tests.run.deployment import Deployment, champion, deployed, eventually
from tests.run.emptied import Emptied, emptied
from tests.run.redis_server import RedisServer, running_redis

NOWHERE = "http://127.0.0.1:1"
_AWAY_S = 6.0


@dataclass
class On:
    """A record that is sent to this partition, whatever its key."""

    record: LogRecord
    partition: int

    def __getattr__(self, name: str) -> object:
        return getattr(self.record, name)


@pytest.fixture
def deployment(shared: Deployment, tmp_path: Path) -> Iterator[Deployment]:
    with emptied(shared, tmp_path / "home", partitions=2) as found:
        champion(found.config)
        yield found


def sent(deployment: Deployment, begin: int, end: int) -> list[LogRecord]:
    made = [transaction(number, f"u{number % 17}", f"m{number % 11}", 1_700_000_000_000 + number * 60_000) for number in range(begin, end)]
    deployment.send(made)
    return made


def decided(deployment: Deployment) -> Counter[str]:
    return Counter(decision.transaction_id for decision in deployment.messages("decisions", Decision))


def once(*numbers: range) -> Counter[str]:
    return Counter(f"t{number}" for each in numbers for number in each)


def test_no_record_ends_a_stage_whatever_it_holds(deployment: Deployment) -> None:
    nested = b'{"user_id": "deep", "x": ' + b"[" * 3_000 + b"]" * 3_000 + b"}"
    first = sent(deployment, 0, 100)
    deployment.send([user(0, "u1"), LogRecord(0, 0, b"deep", nested, []), user(0, "u2", segment="after")], "users")
    # Compressed, the broker takes what no uncompressed copy of it could be.
    large = label(0, first[3], 1_700_100_000_000)
    large = LogRecord(0, 0, large.key, (large.value or b"") + b" " * (12 << 20), [])
    deployment.send([large, label(0, first[4], 1_700_100_000_000)], "labels", **{"compression.type": "zstd", "message.max.bytes": 32 << 20})
    huge_key = transaction(900, "u1", "m1")
    deployment.send([On(LogRecord(0, 0, b"\0" * (6 << 20), huge_key.value, []), partition_of(b"u1", 2))])
    deployment.send([LogRecord(0, 0, b"deep", nested, [])])
    sent(deployment, 100, 200)

    done = deployment.tidemark("worker", "--until-idle")
    assert done.returncode == 0, done.stderr[-4_000:]
    assert "it is started again" not in done.stderr
    assert decided(deployment) == once(range(200))
    letters = Counter((letter.topic, letter.reason) for letter in deployment.messages("dead-letters", DeadLetter))
    assert letters == {
        ("users", "not_json"): 1,
        ("labels", "too_large"): 1,
        ("transactions", "wrong_key"): 1,
        ("transactions", "not_json"): 1,
    }


def test_what_only_an_operator_can_fix_is_said_once_and_ends_the_worker_with_status_2(deployment: Deployment) -> None:
    sent(deployment, 0, 50)
    deployment.work_until_idle()
    admin = AdminClient({"bootstrap.servers": deployment.config.kafka})
    for grown in admin.create_partitions([NewPartitions("transactions.by-merchant", 3), NewPartitions("transactions", 3)]).values():
        grown.result(30)
    for arguments in (("worker",), ("worker", "--until-idle")):
        done = deployment.tidemark(*arguments)
        assert done.returncode == 2, done.stderr[-4_000:]
        assert "Traceback" not in done.stderr
        assert "it is started again" not in done.stderr
        assert done.stderr.count("error: stage ") == 1
        assert "partitions" in done.stderr.splitlines()[-1]


def test_a_broker_that_comes_back_finds_the_stages_at_work(tmp_path: Path) -> None:
    """Nothing had to be started again for that; until 0.3.0 both stages hung for 15 s first."""
    with deployed(tmp_path / "home") as deployment:
        champion(deployment.config)
        with deployment.running("worker"):
            sent(deployment, 0, 40)
            deployment.settle()
            broker = processes.running_pid(Slot(deployment.home, kafka.NAME))
            assert broker is not None
            os.kill(broker, signal.SIGKILL)
            time.sleep(_AWAY_S)
            services.up(deployment.home, report=lambda _line: None)
            sent(deployment, 40, 60)
            deployment.settle()
            found = decided(deployment)
            (log,) = deployment.home.glob("worker-*.log")
            lines = log.read_text().splitlines()
            down = deployment.tidemark("down")
            assert (down.returncode, "note: 1 worker still runs" in down.stderr) == (0, True), down.stderr
        assert found == once(range(60))
        assert not [line for line in lines if "ended with status" in line or "took more than" in line]
        assert not [line for line in lines if line.startswith("%")], "librdkafka writes to stderr by itself"


def test_what_lies_where_the_command_is_run_is_not_imported(deployment: Deployment, tmp_path: Path) -> None:
    for name in ("features", "streams", "models", "statistics", "calendar"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('hijacked')")
    program = Path(sys.executable).with_name("tidemark")
    command = [program, "worker", "--until-idle"]
    done = subprocess.run(command, cwd=tmp_path, env=deployment.environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, "hijacked" in done.stderr) == (0, False), done.stderr


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "nosuchhost.invalid:9100"])
def test_an_address_at_which_no_metrics_can_be_served_is_refused_at_once(deployment: Deployment, address: str) -> None:
    done = deployment.tidemark("worker", "--until-idle", "--metrics", address)
    assert done.returncode == 2
    assert done.stderr.strip().startswith(f"error: metrics can't be served at {address}")
    assert len(done.stderr.strip().splitlines()) == 1


@dataclass
class Moved(Emptied):
    """One whose Redis and registry are elsewhere."""

    redis: str = ""
    registry: str = ""

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "TIDEMARK_REDIS": self.redis, "TIDEMARK_MLFLOW": self.registry}


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.mark.slow
def test_a_worker_starts_and_decides_while_redis_and_the_registry_are_away(deployment: Deployment, own_redis: RedisServer) -> None:
    config = msgspec.structs.replace(deployment.config, redis=own_redis.url)
    write_feast_repo(config.feast_path, config.redis)
    whole = Moved(deployment.home, config, redis=own_redis.url, registry=config.mlflow)
    sent(whole, 0, 50)
    whole.work_until_idle()
    before = whole.messages("decisions", Decision)
    own_redis.stop()

    apart = replace(whole, registry=NOWHERE)
    with apart.running("worker"):
        whole.send([user(0, "u1"), user(0, "u2")], "users")
        sent(whole, 50, 150)
        eventually(lambda: sum(decided(whole).values()) >= 150, 120, "every decision, without Redis and MLflow")
        assert decided(whole) == once(range(150))
        named = {
            (decision.model_version, decision.model_digest, decision.policy_digest) for decision in whole.messages("decisions", Decision)
        }
        assert named == {(decision.model_version, decision.model_digest, decision.policy_digest) for decision in before}
        reader = OnlineReader(config.feast_path)
        with pytest.raises(OnlineStoreError):
            reader.states("u1", "m1")
        port = ports.choose([], set())
        with apart.running("serve", "--port", str(port)):
            eventually(lambda: answer(port, "healthz") == 200, 60, "an API that started without either")
            assert answer(port, "readyz") == 503
            own_redis.start()
            # Profiles waited, and states are projected: all that the stages have.
            apart.settle(180)
            assert all(reader.states(f"u{number}", "m1")[0] for number in range(17))
            eventually(lambda: answer(port, "readyz") == 200, 60, "an API that is ready without the registry")
    (log,) = deployment.home.glob("worker-*.log")
    assert "serves, which is kept in" in log.read_text()
    assert "it is started again" not in log.read_text()


def answer(port: int, path: str) -> int:
    """The status with which the API answers; 0 if it doesn't."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=30) as found:
            return int(found.status)
    except urllib.error.HTTPError as refused:
        return refused.code
    except OSError:
        return 0
