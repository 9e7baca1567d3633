"""Dead letters on a real broker: counted, shown, and their records sent again, each once, whatever ends the sending."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import OFFSET_END, TopicPartition
from confluent_kafka.admin import AdminClient
from msgspec import structs

from features.errors import UserError
from streams.delivery import kafka_dead_letters
from streams.delivery.kafka_dead_letters import DeadLetters, Replayed
from streams.kafka.client import KafkaClients
from streams.kafka.producer import DeliveryError, StageProducer
from streams.messages.dead_letters import letter_header
from streams.messages.events import DeadLetter, Decision
from streams.messages.headers import LABEL, label_header
from streams.messages.record import LogRecord
from streams.messages.refusals import RefusedError
from streams.messages.seal import Seal
from streams.messages.validation import Validator
from tests.made.records import label, transaction
from tests.made.seal import SEAL
from tests.made.user_records import user
from tests.run.deployment import Deployment, champion
from tests.run.emptied import emptied

USERS, PARTITIONS = 60, 4
WRONG = "wrong_partition"


@pytest.fixture
def deployment(shared: Deployment, tmp_path: Path) -> Iterator[Deployment]:
    with emptied(shared, tmp_path / "home", partitions=PARTITIONS) as it:
        yield it


def send_misplaced(deployment: Deployment) -> None:
    """Transactions as a producer with librdkafka's default partitioner sends them, a label of one, garbage and a user."""
    made = [transaction(number, f"u{number}") for number in range(USERS)]
    deployment.send(made, partitioner="consistent")
    deployment.send([label(0, made[0], 1_700_600_000_000), LogRecord(0, 0, b"u1", b"\x1f\x8b\x08", [])])
    deployment.send([user(0, "u2", country=7)], "users")


def refuse(deployment: Deployment) -> None:
    """Sends the dead letters that workers would, which tests of what becomes of them needn't wait for."""
    made = []
    for topic in ("transactions", "users"):
        for record in deployment.read(topic):
            validator = Validator(topic, record.partition, PARTITIONS, "EUR")
            read = validator.user if topic == "users" else validator.label if LABEL in dict(record.headers) else validator.transaction
            try:
                read(record)
            except RefusedError as refused:
                made.append(sealed_letter(validator.dead_letter(record, refused)))
    deployment.send(made, "dead-letters")


def sealed_letter(value: bytes) -> LogRecord:
    return LogRecord(0, 0, None, value, [letter_header(SEAL, value)])


def letters(deployment: Deployment) -> Counter[tuple[str, str]]:
    return Counter((letter.topic, letter.reason) for letter in deployment.messages("dead-letters", DeadLetter))


def replayed(deployment: Deployment, reason: str) -> Replayed:
    with closing(DeadLetters(KafkaClients.of(deployment.config), SEAL)) as found:
        return found.replay(reason, lambda _: None, lambda: False)


@pytest.mark.slow
def test_what_lay_on_the_wrong_partition_is_decided_once_it_is_sent_again(deployment: Deployment) -> None:
    champion(deployment.config)
    send_misplaced(deployment)
    deployment.send([LogRecord(0, 0, b"u1", None, [])])
    deployment.work_until_idle()
    before = letters(deployment)
    wrong = before["transactions", WRONG]
    assert 0 < wrong < USERS
    listed = deployment.tidemark("dead-letters", "--json", "summary.json")
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.splitlines()[0].split() == [str(wrong), "transactions", WRONG]
    summary = msgspec.json.decode((deployment.home / "summary.json").read_bytes())
    assert {(one["topic"], one["reason"]): one["count"] for one in summary["by"]} == before
    assert (summary["letters"], summary["unreadable"]) == (before.total(), 0)

    shown = deployment.tidemark("dead-letters", "--show", "not_json").stdout.splitlines()
    assert shown[0].startswith("transactions[")
    assert "compressed with gzip" in shown[1]
    assert shown[2:4] == ["key    u1", "value  no UTF-8: 1f 8b 08"]
    place = shown[0].partition(":")[0].replace("[", "/").replace("] offset ", "/")
    assert deployment.tidemark("dead-letters", "--show", place).stdout.splitlines() == shown

    sent = deployment.tidemark("dead-letters", "--replay", WRONG)
    assert (sent.returncode, sent.stderr) == (0, "")
    assert sent.stdout == f"refused as {WRONG}: {wrong} records sent again\n"
    again = deployment.tidemark("dead-letters", "--replay", WRONG)
    assert again.stdout == f"refused as {WRONG}: 0 records sent again\n"
    assert "none was left to send again" in again.stderr
    listed = deployment.tidemark("dead-letters").stdout.splitlines()
    assert listed[0].split(maxsplit=2)[2] == f"{WRONG}, all replayed"
    assert not any("replayed" in line for line in listed[1:])
    deployment.work_until_idle()
    decided = Counter(decision.transaction_id for decision in deployment.messages("decisions", Decision))
    assert decided == Counter(f"t{number}" for number in range(USERS))
    assert letters(deployment) == before


def test_labels_and_users_are_sent_again_as_what_they_were(deployment: Deployment) -> None:
    made = transaction(0)
    broken = LogRecord(0, 0, b"u1", b"{", [label_header(SEAL, b"u1", b"{"), ("traceparent", b"00-1")])
    deployment.send([made, broken])
    deployment.send([user(0, "u2", country=7)], "users")
    refuse(deployment)
    assert letters(deployment) == {("transactions", "not_json"): 1, ("users", "invalid_field"): 1}
    assert (replayed(deployment, "not_json"), replayed(deployment, "invalid_field")) == (Replayed(1), Replayed(1))
    assert [record.headers for record in deployment.read("labels")] == [[("traceparent", b"00-1")]]
    assert [record.value for record in deployment.read("users")] == [user(0, "u2", country=7).value] * 2


def test_once_the_topic_has_lost_them_the_letters_give_the_records_back(deployment: Deployment) -> None:
    send_misplaced(deployment)
    deployment.send([LogRecord(0, 0, b"u1", b"{" * 300_000, [])])
    refuse(deployment)
    misplaced = [(letter.partition, letter.offset) for letter in deployment.messages("dead-letters", DeadLetter) if letter.reason == WRONG]
    lost = {record.value for record in deployment.read("transactions") if (record.partition, record.offset) in misplaced}
    wrong = letters(deployment)["transactions", WRONG]
    admin = AdminClient({"bootstrap.servers": deployment.config.kafka})
    for removed in admin.delete_records([TopicPartition("transactions", number, OFFSET_END) for number in range(4)]).values():
        removed.result(30)
    assert replayed(deployment, WRONG) == Replayed(wrong)
    assert replayed(deployment, "not_json") == Replayed(1, lost=1), "of the large one the letter has the beginning only"
    assert replayed(deployment, "not_json") == Replayed()
    listed = deployment.tidemark("dead-letters")
    assert listed.stderr == "note: of those replayed as not_json, 1 record could not be sent again\n"
    assert {record.value for record in deployment.read("transactions")} == lost | {b"\x1f\x8b\x08"}


def test_whatever_ends_it_the_next_run_goes_on_where_it_was(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    send_misplaced(deployment)
    refuse(deployment)
    wrong = letters(deployment)["transactions", WRONG]
    before = len(deployment.read("transactions"))
    monkeypatch.setattr(kafka_dead_letters, "_AT_ONCE", 5)
    commit, commits = StageProducer.commit, 0

    def fails_now_and_then(producer: StageProducer) -> None:
        nonlocal commits
        commits += 1
        if commits % 3 == 0:
            raise DeliveryError("the process dies here")
        commit(producer)

    monkeypatch.setattr(StageProducer, "commit", fails_now_and_then)
    for _ in range(3):
        with pytest.raises(UserError, match="they are remembered"):
            replayed(deployment, WRONG)
    some = len(deployment.read("transactions")) - before
    assert 0 < some < wrong
    monkeypatch.undo()
    assert replayed(deployment, WRONG) == Replayed(wrong - some)
    assert replayed(deployment, WRONG) == Replayed()
    again = Counter(record.value for record in deployment.read("transactions"))
    assert again.total() == before + wrong
    assert max(again.values()) == 2


def test_letters_that_somebody_made_up_or_copied_send_nothing(deployment: Deployment) -> None:
    """A made-up one about a good record would have it sent again, others would write to topics of ours."""
    made = transaction(0)
    deployment.send([made, LogRecord(0, 0, b"u1", b"{", [])])
    forged = [
        msgspec.json.encode(DeadLetter(topic, number, offset, "not_json", "x", None, None, 0, None))
        for topic, number, offset in (("decisions", 0, 0), ("scoring-log", 0, 0), ("deployment", 0, 0), ("nowhere", 0, 0))
    ]
    forged += [Validator("transactions", 0, PARTITIONS, "EUR").dead_letter(made, RefusedError("not_json", "x"))]
    others = [(LogRecord(0, 0, None, value, [])) for value in (*forged, b"{", b"\xff", None)]
    others += [structs.replace(others[4], headers=[letter_header(Seal("of another"), forged[4])])]
    deployment.send(others, "dead-letters")
    refuse(deployment)
    (genuine,) = [record for record in deployment.read("dead-letters") if SEAL.is_ours("dead-letters", -1, record)]
    copies = [LogRecord(0, 0, None, genuine.value, genuine.headers)] * 5
    deployment.send(copies, "dead-letters")
    before = {topic: len(deployment.read(topic)) for topic in ("decisions", "scoring-log", "transactions")}
    assert replayed(deployment, "not_json") == Replayed(1)
    # On every partition, so that some are met before the one that was sent again.
    deployment.send([replace(genuine, partition=number) for number in range(PARTITIONS)], "dead-letters")
    assert replayed(deployment, "not_json") == Replayed()
    after = {topic: len(deployment.read(topic)) for topic in before}
    assert after == {**before, "transactions": before["transactions"] + 1}
    listed = deployment.tidemark("dead-letters")
    assert (listed.returncode, listed.stdout.splitlines()[0].split()) == (0, ["1", "transactions", "not_json,", "all", "replayed"])
    assert f"note: {len(others)} records on dead-letters not written by this deployment" in listed.stderr
    missing = deployment.tidemark("dead-letters", "--show", "nothing")
    assert (missing.returncode, len(missing.stderr.splitlines())) == (2, 1)
