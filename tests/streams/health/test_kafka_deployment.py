"""The doctor sees a deployment on real services as it is: each fault that is made is found, and what it names as fix helps."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType
from msgspec import structs

from streams.config import INGEST
from streams.health import kafka_deployment as health
from streams.health.findings import Finding
from streams.messages.record import LogRecord
from tests.made.records import transaction
from tests.run.deployment import Deployment, champion, eventually
from tests.run.emptied import emptied
from tests.run.topics import delete, move_offset, open_transaction


@pytest.fixture(scope="module")
def deployment(shared: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with emptied(shared, tmp_path_factory.mktemp("health") / "home") as deployment:
        yield deployment


def broken(deployment: Deployment) -> dict[str, Finding]:
    return {finding.subject: finding for finding in health.examine(deployment.config) if not finding.ok}


def test_what_a_new_deployment_lacks_is_a_model_and_a_worker(deployment: Deployment) -> None:
    assert {subject: finding.fix for subject, finding in broken(deployment).items()} == {
        "workers": "start `tidemark worker`",
        "champion": "`tidemark train` makes the first one",
    }


def test_one_that_works_is_in_order_throughout(deployment: Deployment) -> None:
    champion(deployment.config)
    with deployment.running("worker"):
        deployment.send([transaction(number, f"u{number}") for number in range(40)])
        deployment.settle()
        found = health.examine(deployment.config)
    assert not [finding for finding in found if not finding.ok]
    said = {finding.subject: finding.detail for finding in found}
    assert said["stage ingest"] == "1 member, has read everything"
    assert said["dead letters"] == "0 of 40 in the last hour (0.0%)"
    assert said["decisions"].startswith("the last one ")
    assert said["champion"] == "version 1"
    assert said["online store"] == "has all that the stages know"


def test_a_producer_whose_records_are_refused_is_found_by_reason(deployment: Deployment) -> None:
    deployment.send([LogRecord(0, 0, b"u1", b"{", [])] * 20)
    deployment.work_until_idle()
    found = broken(deployment)["dead letters"]
    assert found.detail == "20 of 60 in the last hour (33.3%): not_json 20"
    shown = deployment.tidemark("dead-letters", "--show", "not_json")
    assert "`tidemark dead-letters --show not_json`" in found.fix
    assert shown.returncode == 0, shown.stderr


def test_an_online_store_that_was_emptied_is_found_and_a_worker_fills_it(deployment: Deployment) -> None:
    with redis.Redis.from_url(deployment.config.redis) as client:
        client.flushall()
    found = broken(deployment)["online store"]
    assert "ingest [0, 1, 2, 3]" in found.detail
    assert "`tidemark worker`" in found.fix
    deployment.work_until_idle()
    assert "online store" not in broken(deployment)


def test_a_moved_offset_is_found_and_restored(deployment: Deployment) -> None:
    move_offset(deployment.config, INGEST, 2, -1)
    found = broken(deployment)["stage ingest"]
    assert found.detail.endswith("transactions[2] was set by another tool")
    assert "`tidemark offsets restore`" in found.fix
    restored = deployment.tidemark("offsets", "restore")
    assert restored.returncode == 0, restored.stderr
    assert "stage ingest" not in broken(deployment)


def test_settings_that_lose_records_are_found_and_set_by_up(deployment: Deployment) -> None:
    admin = AdminClient({"bootstrap.servers": deployment.config.kafka})
    change = ConfigEntry("cleanup.policy", "delete", incremental_operation=AlterConfigOpType.SET)
    for changed in admin.incremental_alter_configs(
        [ConfigResource(ResourceType.TOPIC, "state.users", incremental_configs=[change])]
    ).values():
        changed.result(10)
    eventually(lambda: "topic state.users" in broken(deployment), 30, "the broker's change")
    assert broken(deployment)["topic state.users"].detail.startswith("has cleanup.policy=delete, compact is needed")
    up = deployment.tidemark("up")
    assert up.returncode == 0, up.stderr
    eventually(lambda: "topic state.users" not in broken(deployment), 30, "the change back")


def test_an_open_transaction_is_found_with_its_producer_and_aborted(deployment: Deployment) -> None:
    _open = open_transaction(deployment.config.kafka, "nightly", "transactions", 1)
    found = broken(deployment)["open transaction"]
    assert found.detail.startswith("transactions[1] has 1 offset that can't be read, held back by producer ")
    assert found.fix == "`tidemark transactions abort nightly`"
    wrong = deployment.tidemark("transactions", "abort", "weekly")
    assert (wrong.returncode, wrong.stderr) == (2, "error: 'weekly' holds nothing back; those are nightly\n")
    aborted = deployment.tidemark("transactions", "abort", "nightly")
    assert (aborted.returncode, aborted.stdout) == (0, "the transaction of nightly is aborted\n"), aborted.stderr
    listed = deployment.tidemark("transactions", "list")
    assert (listed.returncode, listed.stdout) == (0, "no transaction holds anything back\n"), listed.stderr
    assert "open transaction" not in broken(deployment)


def test_a_topic_that_is_gone_is_found_and_made_again(deployment: Deployment) -> None:
    """The last of the module: its decisions are gone."""
    delete(deployment.config, "decisions")
    assert broken(deployment)["topic decisions"].fix == "`tidemark up` creates it"
    done = deployment.tidemark("doctor")
    assert (done.returncode, "BROKEN topic decisions" in done.stdout) == (1, True), done.stdout
    up = deployment.tidemark("up")
    assert up.returncode == 0, up.stderr
    assert "topic decisions" not in broken(deployment)


@pytest.mark.slow
def test_what_cannot_be_reached_is_a_finding(deployment: Deployment, tmp_path: Path) -> None:

    away = structs.replace(deployment.config, kafka="127.0.0.1:9", feast_repo=str(tmp_path), mlflow="http://127.0.0.1:9")
    assert {finding.subject for finding in health.examine(away) if not finding.ok} >= {"deployment", "champion"}
