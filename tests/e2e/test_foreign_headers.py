"""Whatever headers a producer sets, the stages, the archive and the audit take its transaction for what it is."""

import json
from collections.abc import Iterator

import pytest
from msgspec import structs

from streams.messages.events import DeadLetter, Decision
from streams.messages.headers import ANSWER, LABEL, REPLAY, SEQ, Mark, MarkKind, answer_header, label_header, mark_header
from streams.messages.partitioner import partition_of
from streams.messages.record import LogRecord
from streams.messages.seal import HEADER as SEAL
from streams.messages.seal import Seal
from streams.messages.topics import DEAD_LETTERS, DECISIONS, LABELS, SCORING_LOG, STATE_USERS, TRANSACTIONS
from tests.made.records import label, transaction
from tests.made.seal import marked
from tests.run import raw_records
from tests.run.deployment import Deployment, champion
from tests.run.emptied import emptied

START = 1_700_000_000_000
OTHERS = Seal("the key of another deployment altogether")
ANSWER_OF_MALLORY = b'{"decision":"approve","model_name":"mallory"}'
FOREIGN = [
    ("aligned", b"yes"),
    ("seq", b"abc"),
    ("type", b"label"),
    ("type", b"end-of-replay"),
    ("answer", ANSWER_OF_MALLORY),
    ("answer", b""),
    (ANSWER, ANSWER_OF_MALLORY),
    (ANSWER, b"\0" * 200),
    (LABEL, b"label"),
    (REPLAY, b"night:0:record:" + b"0" * 64),
    (REPLAY, b"\xff"),
    (SEQ, b"abc"),
    (SEAL, b"x"),
    ("tidemark-", b""),
    ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ("", b"without a name"),
]


@pytest.fixture(scope="module")
def deployment(shared: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with emptied(shared, tmp_path_factory.mktemp("headers") / "home") as deployment:
        champion(deployment.config)
        yield deployment


def forged(record: LogRecord, number: int) -> LogRecord:
    """The record with headers that only a process with the key could have made."""
    key, value = record.key or b"", record.value or b""
    mark = Mark("night", number, MarkKind.RECORD if number % 2 else MarkKind.END)
    place = partition_of(key, 4)
    made = [
        answer_header(OTHERS, key, value, ANSWER_OF_MALLORY),
        label_header(OTHERS, key, value),
        mark_header(OTHERS, mark, place, key, value),
    ]
    return structs.replace(record, headers=[made[number % 3]])


def test_each_is_decided_once_by_the_model_and_reported_by_archive_and_audit(deployment: Deployment) -> None:
    paid = [transaction(i, f"u{i % 7}", f"m{i % 3}", START + i * 60_000) for i in range(60)]
    for i, header in enumerate(FOREIGN):
        paid[i] = structs.replace(paid[i], headers=[header])
    for i in range(len(FOREIGN), len(FOREIGN) + 6):
        paid[i] = forged(paid[i], i)
    deployment.send(paid)
    # A name that isn't UTF-8, which no client reads, between others in one batch.
    late = [transaction(60 + i, "u1", "m1", START + (60 + i) * 60_000) for i in range(3)]
    place = partition_of(b"u1", 4)
    raw = [(record.key or b"", record.value or b"", [(b"\xff\xfe", b"x")] if i == 1 else []) for i, record in enumerate(late)]
    raw_records.send(deployment.config.kafka, TRANSACTIONS.name, place, raw)
    # On the topics that only we write anything is foreign.
    deployment.send([transaction(0), structs.replace(transaction(1), headers=[(SEAL, b"x")])], SCORING_LOG.name)
    deployment.send([transaction(2)], "transactions.by-merchant")
    deployment.send([transaction(3)], STATE_USERS.name)
    refused = label(0, paid[0], START)
    deployment.send([structs.replace(refused, value=b"{", headers=[("type", b"x")])], LABELS.name)
    deployment.work_until_idle()

    decided = deployment.messages(DECISIONS.name, Decision)
    assert sorted(decision.transaction_id for decision in decided) == sorted(f"t{i}" for i in range(63))
    assert {(decision.origin, decision.model_name) for decision in decided} == {("stream", "tidemark")}
    (letter,) = deployment.messages(DEAD_LETTERS.name, DeadLetter)
    assert (letter.topic, letter.reason) == (LABELS.name, "not_json")
    (sent,) = deployment.read(LABELS.name)
    assert (letter.partition, letter.offset) == (sent.partition, sent.offset)
    assert sent.offset == 0, "on transactions those of its user come before it"

    audited = deployment.tidemark("audit", "--all", "--json", str(deployment.home / "audit.json"))
    assert audited.returncode == 0, audited.stdout + audited.stderr
    assert json.loads((deployment.home / "audit.json").read_text())["audited"] == 63
    explained = deployment.tidemark("explain", "t1")
    assert explained.returncode == 0, explained.stderr

    archived = deployment.tidemark("archive", "--once", "--json", str(deployment.home / "archive.json"))
    assert archived.returncode == 0, archived.stderr
    assert json.loads((deployment.home / "archive.json").read_text())["rows"][TRANSACTIONS.name] == 64


def of_night(number: int) -> LogRecord:
    """The record at this place of the aligned replay ``night``."""
    record = transaction(100 + number, f"u{number}", "m1", START)
    return marked(record, "night", number, partition_of(record.key or b"", 4))


@pytest.mark.slow
def test_a_replay_that_was_broken_off_is_abandoned_by_name_and_work_goes_on(deployment: Deployment) -> None:
    before = len(deployment.messages(DECISIONS.name, Decision))
    deployment.send([of_night(i) for i in range(9)])
    deployment.send([transaction(200, "u1", "m1", START)])
    stopped = deployment.tidemark("worker", "--until-idle")
    assert stopped.returncode != 0
    assert "--stages labels,score, or have what was sent of it taken where it stands: tidemark replay --abandon night" in stopped.stderr
    abandoned = deployment.tidemark("replay", "--abandon", "night")
    assert (abandoned.returncode, abandoned.stderr) == (0, "")
    assert "aligned replay night is abandoned; workers take what was sent of it, at most 9 records" in abandoned.stdout
    deployment.work_until_idle()
    assert len(deployment.messages(DECISIONS.name, Decision)) == before + 10
    again = deployment.tidemark("replay", "--abandon", "night")
    assert (again.returncode, "none is unfinished" in again.stderr) == (2, True)
