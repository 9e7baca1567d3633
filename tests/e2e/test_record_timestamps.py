"""A topic whose records the broker doesn't stamp: no sender's timestamp is believed, and `tidemark up` has them stamped again."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from features.offline.parquet_tables import OfflineTable
from features.offline.storage import Storage
from streams.archive.archived_topics import ARCHIVED
from streams.kafka.admin import create_missing
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.messages.events import DeadLetter
from streams.messages.record import UNSTAMPED
from streams.messages.topics import BY_MERCHANT, LABELS, STAMPED, STAMPING, TRANSACTIONS, USERS
from tests.made.records import label, transaction
from tests.made.user_records import user
from tests.run.deployment import Deployment, champion, eventually
from tests.run.emptied import emptied

# The furthest that Spark can read (docs/limits.md), and seconds for milliseconds.
FAR, SECONDS = 9 * 10**15, 1_700_000_000


@pytest.fixture(scope="module")
def deployment(shared: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with emptied(shared, tmp_path_factory.mktemp("stamps") / "home", partitions=1) as found:
        champion(found.config)
        yield found


def stamping(deployment: Deployment) -> Mapping[str, str]:
    admin = AdminClient({"bootstrap.servers": deployment.config.kafka})
    found = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in (*STAMPED, BY_MERCHANT.name)])
    return {resource.name: described.result()[STAMPING[0]].value for resource, described in found.items()}


def leave_stamps_to_senders(deployment: Deployment) -> None:
    admin = AdminClient({"bootstrap.servers": deployment.config.kafka})
    # Brokers of Kafka 4 refuse what lies more than an hour ahead, unless this is set too.
    settings = {STAMPING[0]: "CreateTime", "message.timestamp.after.max.ms": str(2**63 - 1)}
    changes = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in settings.items()]
    wanted = [ConfigResource(ResourceType.TOPIC, name, incremental_configs=changes) for name in STAMPED]
    for changed in admin.incremental_alter_configs(wanted).values():
        changed.result(30)


def send_stamped(deployment: Deployment, *stamps: int) -> None:
    """A transaction, a label and a user at each of the senders' times."""
    refused: list[object] = []
    producer = Producer({"bootstrap.servers": deployment.config.kafka, "on_delivery": lambda error, _: error and refused.append(error)})
    for number, stamp in enumerate(stamps):
        paid = transaction(number)
        known = label(number, paid, 1_700_600_000_000)
        producer.produce(TRANSACTIONS.name, paid.value, paid.key, timestamp=stamp)
        producer.produce(TRANSACTIONS.name, known.value, known.key, timestamp=stamp, headers=known.headers)
        producer.produce(LABELS.name, known.value, known.key, timestamp=stamp)
        profile = user(number, "u1")
        producer.produce(USERS.name, profile.value, profile.key, timestamp=stamp)
    assert (producer.flush(30), refused) == (0, [])


@pytest.mark.slow
def test_a_senders_timestamp_is_never_believed(deployment: Deployment, tmp_path: Path) -> None:
    leave_stamps_to_senders(deployment)
    assert set(stamping(deployment).values()) == {"CreateTime"}
    send_stamped(deployment, FAR, SECONDS)
    log = KafkaLog(KafkaClients.of(deployment.config), "test")
    try:
        for name in STAMPED:
            records = [record for some in log.read(name, 0, *log.bounds(name, 0)) for record in some]
            assert {record.timestamp for record in records} == {UNSTAMPED}
    finally:
        log.close()
    create_missing(KafkaClients.of(deployment.config), 1)
    assert stamping(deployment) == {**dict.fromkeys(STAMPED, STAMPING[1]), BY_MERCHANT.name: "CreateTime"}

    with deployment.running("worker", "--stages", "labels,ingest,profiles,score"):
        sent = [transaction(7), transaction(7, amount=2), user(7, "u1")]
        deployment.send(sent[:2])
        deployment.send(sent[2:], "users")
        deployment.settle()
        eventually(lambda: len(letters(deployment)) == 7, what="the dead letters")
    found = letters(deployment)
    assert [letter.reason for letter in found if letter.topic == "users"] == ["unstamped"] * 2
    # The copies of labels are stamped, whatever the labels were; and what came before can't have been forgotten by its time.
    assert sorted(letter.reason for letter in found if letter.topic == "transactions") == ["conflict", *["unstamped"] * 4]
    assert all("message.timestamp.type=LogAppendTime" in letter.sentence for letter in found if letter.reason == "unstamped")

    done = deployment.tidemark("archive", "--once", "--store", str(tmp_path), timeout=300)
    assert done.returncode == 0, done.stderr[-3_000:]
    for name, unstamped, taken in ((TRANSACTIONS.name, 4, 4), (LABELS.name, 2, 0), (USERS.name, 2, 1)):
        table = OfflineTable(Storage.of(tmp_path), name, ARCHIVED[name].schema).read(["timestamp", "refused"])
        rows = table.to_pylist()
        assert [row["timestamp"] for row in rows if "LogAppendTime" in (row["refused"] or "")] == [UNSTAMPED] * unstamped
        assert sum(row["refused"] is None for row in rows) == taken


def letters(deployment: Deployment) -> list[DeadLetter]:
    return deployment.messages("dead-letters", DeadLetter)


def test_nothing_is_changed_where_all_is_right(deployment: Deployment) -> None:
    before = stamping(deployment)
    create_missing(KafkaClients.of(deployment.config), 1)
    assert stamping(deployment) == before
