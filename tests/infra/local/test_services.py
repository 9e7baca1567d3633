"""`tidemark up`, `status`, `down` with the real services, as a user's shell runs them."""

import json
import os
import signal
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from redis import Redis

from infra.local import services
from tests.infra.local.service_home import Home


def addresses(home: Home) -> dict[str, Any]:
    done = home.tidemark("status", "--json")
    assert done.returncode == 0, done.stderr
    found = dict(json.loads(done.stdout))
    assert {finding["subject"] for finding in found.pop("findings")} >= {"workers", "champion"}
    return found


def produce(bootstrap: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce("decisions", value, partition=0)
    assert producer.flush(20) == 0


def values(bootstrap: str) -> Iterator[bytes]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest"})
    _, end = consumer.get_watermark_offsets(TopicPartition("decisions", 0), timeout=20)
    consumer.assign([TopicPartition("decisions", 0, 0)])
    for message in consumer.consume(end, timeout=20):
        yield message.value() or b""
    consumer.close()


def test_status_prints_the_addresses_and_nothing_else(whole: Home) -> None:
    known = addresses(whole)
    assert {name: list(part) for name, part in known.items()} == {
        "kafka": ["bootstrap_servers", "answers"],
        "redis": ["url", "answers"],
        "mlflow": ["tracking_uri", "answers"],
        "feast": ["repo_path"],
    }
    assert Path(known["feast"]["repo_path"]) == whole.path / "feast"
    assert (whole.path / "feast" / "feature_store.yaml").is_file()


def test_the_broker_takes_and_gives_and_has_the_topics(whole: Home) -> None:
    bootstrap = addresses(whole)["kafka"]["bootstrap_servers"]
    topics = AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=10).topics
    assert len(topics["transactions"].partitions) == 2
    produce(bootstrap, b"taken")
    assert b"taken" in values(bootstrap)


def test_redis_answers(whole: Home) -> None:
    with Redis.from_url(addresses(whole)["redis"]["url"]) as client:
        client.set("key", b"value")
        assert client.get("key") == b"value"


def test_mlflow_keeps_its_records_and_artifacts_under_the_home(whole: Home) -> None:
    tracking = addresses(whole)["mlflow"]["tracking_uri"]
    name = {"name": uuid.uuid4().hex}
    request = urllib.request.Request(
        f"{tracking}/api/2.0/mlflow/experiments/create", json.dumps(name).encode(), {"Content-Type": "application/json"}
    )
    created = json.load(urllib.request.urlopen(request, timeout=20))["experiment_id"]
    got = json.load(urllib.request.urlopen(f"{tracking}/api/2.0/mlflow/experiments/get?experiment_id={created}", timeout=20))
    assert got["experiment"]["artifact_location"] == f"{whole.path}/mlartifacts/{created}"
    assert (whole.path / "mlflow.db").stat().st_size > 0


def test_a_second_up_changes_nothing(whole: Home) -> None:
    before = whole.pids()
    done = whole.tidemark("up")
    assert done.returncode == 0, done.stderr
    assert whole.pids() == before
    assert None not in before.values()


def test_the_services_belong_to_no_shell(whole: Home) -> None:
    for pid in whole.pids().values():
        assert pid is not None
        assert os.getsid(pid) == pid


def test_up_after_a_hard_kill_recovers_and_keeps_what_was_stored(whole: Home) -> None:
    before, ports = addresses(whole), whole.pids()
    mark = uuid.uuid4().bytes
    produce(before["kafka"]["bootstrap_servers"], mark)
    for process in whole.family():
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs(whole.family(), timeout=10)

    done = whole.tidemark("status", "--json")
    gone = {name: {**whereabouts, "answers": False} for name, whereabouts in before.items() if name != "feast"}
    assert (done.returncode, json.loads(done.stdout)) == (2, {**before, **gone})
    done = whole.tidemark("status")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert "tidemark up" in done.stderr

    done = whole.tidemark("up")
    assert done.returncode == 0, done.stderr
    assert all(pid is not None and pid != ports[name] for name, pid in whole.pids().items())
    after = addresses(whole)
    assert after == before, "the ports were free and are kept"
    assert mark in values(after["kafka"]["bootstrap_servers"])


def test_outside_services_are_used_instead_of_embedded_ones(whole: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = addresses(whole)
    monkeypatch.setenv("TIDEMARK_KAFKA", theirs["kafka"]["bootstrap_servers"])
    monkeypatch.setenv("TIDEMARK_REDIS", theirs["redis"]["url"])
    monkeypatch.setenv("TIDEMARK_MLFLOW", theirs["mlflow"]["tracking_uri"])
    guest = Home(tmp_path / "guest")
    expected = services.Endpoints(
        theirs["kafka"]["bootstrap_servers"], theirs["redis"]["url"], theirs["mlflow"]["tracking_uri"], guest.path / "feast"
    )
    assert services.up(guest.path) == expected
    assert services.status(guest.path) == expected
    assert services.answering(guest.path) == {"kafka": True, "redis": True, "mlflow": True}
    assert guest.family() == []


@pytest.mark.parametrize(
    ("variable", "address"),
    [("TIDEMARK_KAFKA", "127.0.0.1:1"), ("TIDEMARK_REDIS", "redis://127.0.0.1:1/0"), ("TIDEMARK_MLFLOW", "http://127.0.0.1:1")],
)
def test_an_outside_service_that_does_not_answer_is_an_error_that_names_it(tmp_path: Path, variable: str, address: str) -> None:
    done = Home(tmp_path / "home").tidemark("up", **{variable: address})
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert f"{variable}={address}" in done.stderr


def test_down_ends_every_process_and_the_status_shows_it(whole: Home) -> None:
    family = whole.family()
    assert len(family) >= 3
    done = whole.tidemark("down")
    assert done.returncode == 0, done.stderr
    assert [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE] == []
    assert whole.family() == []
    assert whole.tidemark("status").returncode == 2
    assert "nothing was running" in whole.tidemark("down").stdout
