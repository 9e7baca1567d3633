"""An audit of a deployment goes on from the one before, so that it can be repeated for longer than Kafka keeps the logs."""

import json
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from features.definitions import DAY
from streams.messages.record import LogRecord
from tests.made.records import label, transaction
from tests.run.deployment import Deployment, champion
from tests.run.emptied import emptied
from tests.run.serving import serving
from tests.run.topics import create_again

SENT, START = 300, 1_700_000_000_000
AUDITED = ("transactions", "transactions.by-merchant", "scoring-log", "decisions")


@pytest.fixture(scope="module")
def deployment(shared: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with emptied(shared, tmp_path_factory.mktemp("continued") / "home") as deployment:
        champion(deployment.config)
        yield deployment


def made(begin: int, user: str = "u") -> list[LogRecord]:
    return [transaction(i, f"{user}{i % 23}", f"m{i % 7}", START + i * 60_000, 100 + i) for i in range(begin, begin + SENT)]


def trickle(deployment: Deployment, stop: threading.Event) -> None:
    """Sends some transactions of other users every tenth of a second."""
    records = iter(made(SENT, "other") + made(2 * SENT, "other") + made(3 * SENT, "other"))
    while not stop.wait(0.1):
        deployment.send(list(islice(records, 3)))


def work(deployment: Deployment, begin: int) -> None:
    """Has as many transactions decided, and a tenth of them labelled, of users and merchants that were there before."""
    sent = made(begin)
    labels = [label(0, one, START + i * 60_000 + 3_600_000) for i, one in enumerate(sent, begin) if i % 10 == 0]
    deployment.send([*sent, *labels])
    deployment.work_until_idle()


def audited(deployment: Deployment, status: int, *arguments: str) -> dict[str, Any]:
    """What an audit reports; it ends with this status."""
    file = deployment.home / "audit.json"
    done = deployment.tidemark("audit", *arguments, "--json", str(file))
    assert done.returncode == status, done.stdout + done.stderr
    return {**(json.loads(file.read_text()) if file.exists() else {}), "out": done.stdout, "err": done.stderr}


def saved(deployment: Deployment) -> list[Path]:
    return sorted((deployment.home / "audits" / "fraud_v1").glob("*"))


def forget(deployment: Deployment, ends: dict[tuple[str, int], int]) -> None:
    """Has the broker remove what lies before these offsets, as retention does."""
    admin = AdminClient({"bootstrap.servers": deployment.config.kafka})
    for removed in admin.delete_records([TopicPartition(*place, end) for place, end in ends.items()]).values():
        removed.result(30)


def test_audits_go_on_from_each_other_though_the_logs_lose_their_beginning(deployment: Deployment) -> None:
    work(deployment, 0)
    first = audited(deployment, 0, "--all")
    assert (first["audited"], first["since"], Path(first["saved"])) == (SENT, None, saved(deployment)[0])

    manifest = json.loads((saved(deployment)[0] / "saved.json").read_text())
    positions = manifest["so_far"]["positions"]
    forget(deployment, {(topic, i): end for topic in AUDITED for i, end in enumerate(positions[topic])})
    assert "the log has lost what an audit must look at" in audited(deployment, 2, "--all", "--from-beginning")["err"]

    nothing_new = audited(deployment, 0)
    assert (nothing_new["audited"], nothing_new["since"]["audited"], len(saved(deployment))) == (0, SENT, 1), "a sample isn't saved"
    work(deployment, SENT)
    second = audited(deployment, 0, "--all")
    assert (second["audited"], second["since"]["audited"], second["complete"]["decisions"]) == (SENT, SENT, SENT)
    assert second["store"]["keys"] == 30
    assert f"when {SENT} decisions were audited and nothing differed" in second["out"]
    assert "the oracle was not asked" in second["out"]
    assert len(saved(deployment)) == 2


@pytest.mark.slow
def test_what_was_changed_is_left_aside_for_the_one_before(deployment: Deployment) -> None:
    states = saved(deployment)[-1] / "states.arrow"
    states.write_bytes(states.read_bytes()[:-20])
    before = audited(deployment, 0, "--all")
    assert (before["audited"], before["since"]["audited"]) == (SENT, SENT)
    assert "(states.arrow has another digest than when it was written); it goes on from the one before" in before["err"]


def test_what_differs_later_is_found_until_it_is_explained(deployment: Deployment) -> None:
    before = saved(deployment)
    again = deployment.read("decisions")[0]
    rogue = Producer({"bootstrap.servers": deployment.config.kafka})
    rogue.produce("decisions", again.value, again.key, again.partition)
    assert rogue.flush(10) == 0
    found = audited(deployment, 1, "--all")
    assert found["causes"] == {"repeated decision": 1}
    assert "was settled before" in found["out"]
    assert "until it is explained: tidemark audit --all --accept REASON" in found["out"]
    assert saved(deployment) == before, "an audit that found something isn't gone on from"


@pytest.mark.slow
def test_what_is_explained_is_not_found_again(deployment: Deployment) -> None:
    """``decisions`` is created again, and has lost one that nobody has audited."""
    deployment.send([transaction(2 * SENT, "u1")])
    deployment.work_until_idle()
    create_again(deployment.config, "decisions")
    accepted = audited(deployment, 1, "--all", "--accept", "deleted by mistake")
    assert accepted["causes"] == {"missing decision": 1}
    assert "accepted: the next audit goes on from here" in accepted["out"]
    deployment.send([transaction(2 * SENT + 1, "u1")])
    deployment.work_until_idle()
    after = audited(deployment, 0, "--all")
    (found,) = after["since"]["accepted"]
    assert (after["audited"], found["reason"], found["causes"]) == (1, "deleted by mistake", {"missing decision": 1})
    assert "missing decision 1; deleted by mistake" in after["out"]
    create_again(deployment.config, "transactions.by-merchant")
    other = audited(deployment, 2, "--all")
    assert "the saved audit is left aside, for transactions.by-merchant was created again since" in other["err"]


def test_under_traffic_nothing_differs(shared: Deployment, tmp_path: Path) -> None:
    """Decisions are published while an audit looks; keys that were quiet for two audits are asked about, and the logs have lost them."""
    with emptied(shared, tmp_path / "home", partitions=2) as deployment:
        champion(deployment.config)
        with deployment.running("worker"), serving(deployment) as api:
            deployment.send(made(0))
            deployment.settle()
            assert audited(deployment, 0, "--all")["audited"] == SENT
            stop = threading.Event()
            sender = threading.Thread(target=trickle, args=(deployment, stop))
            sender.start()
            try:
                during = [audited(deployment, 0, "--all") for _ in range(2)]
            finally:
                stop.set()
                sender.join()
            deployment.settle()
            assert sum(found["audited"] for found in during) > 0
            last = audited(deployment, 0, "--all")
            positions = json.loads((saved(deployment)[-1] / "saved.json").read_text())["so_far"]["positions"]
            forget(deployment, {(topic, i): end for topic in AUDITED for i, end in enumerate(positions[topic])})
            for number in range(10):
                # After all that its quiet user has done.
                asked = transaction(9_000 + number, f"u{number}", f"m{number % 7}", START + 30 * DAY, 100)
                status, answer = api.score(asked.value or b"")
                assert (status, answer["degraded"]) == (200, False), answer
            deployment.settle()
            found = audited(deployment, 0, "--all")
            assert (found["by_api"], found["mismatches"], found["since"]["audited"]) == (10, 0, last["since"]["audited"] + last["audited"])
