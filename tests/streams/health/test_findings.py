"""What is made of what was seen: each fault is named with what helps, and what is in order with what it is."""

from collections import Counter
from dataclasses import replace

import pytest

from streams.health import findings
from streams.health.findings import HeldBack, Holder, OnlineSeen, PartitionSeen, StageSeen
from streams.messages.topics import TOPICS, TopicState

WHOLE = {topic.name: TopicState(1 if topic.partitions else 4, 1, topic.settings()) for topic in TOPICS}
PART = PartitionSeen(2, offset=50, begin=0, stable=60, end=60, waits_s=1.0)
STAGE = StageSeen("ingest", "transactions", members=2, partitions=[PART])


def test_topics_that_are_as_they_should_are_one_line() -> None:
    (found,) = findings.of_topics(WHOLE, 1)
    assert (found.ok, found.subject, found.detail) == (True, "topics", "18 topics with 51 partitions on 1 broker")


@pytest.mark.parametrize(
    ("name", "changed", "brokers", "says", "fix"),
    [
        ("decisions", None, 1, "is missing", "`tidemark up` creates it"),
        ("state.users", {"partitions": 2}, 1, "has 2 partitions, transactions 4: keys have moved away", "start over"),
        (
            "transactions",
            {"settings": {"message.timestamp.type": "CreateTime", "cleanup.policy": "delete"}},
            1,
            "is refused",
            "tidemark up",
        ),
        ("state.merchants", {"settings": {"cleanup.policy": "delete"}}, 1, "has cleanup.policy=delete, compact is needed", "tidemark up"),
        ("decisions", {}, 3, "is on one of 3 brokers only", "three replicas"),
    ],
)
def test_what_is_wrong_with_a_topic(name: str, changed: dict[str, object] | None, brokers: int, says: str, fix: str) -> None:
    seen = {key: replace(topic, replicas=3) if brokers > 1 else topic for key, topic in WHOLE.items()}
    if changed is None:
        del seen[name]
    else:
        seen[name] = replace(WHOLE[name], **changed)
    (found,) = findings.of_topics(seen, brokers)
    assert (found.ok, found.subject) == (False, f"topic {name}")
    assert says in found.detail
    assert fix in found.fix


def test_settings_that_one_may_not_see_are_left_alone() -> None:
    (found,) = findings.of_topics({name: replace(topic, settings={}) for name, topic in WHOLE.items()}, 2)
    assert found.ok


def test_a_stage_at_work_says_how_far_it_is() -> None:
    (found,) = findings.of_stage(STAGE)
    assert (found.ok, found.detail) == (True, "2 members, 10 offsets behind")
    (found,) = findings.of_stage(replace(STAGE, members=1, partitions=[replace(PART, offset=60, waits_s=0.0)]))
    assert (found.ok, found.detail) == (True, "1 member, has read everything")
    (found,) = findings.of_stage(replace(STAGE, partitions=[replace(PART, offset=None)]))
    assert (found.ok, found.detail) == (True, "2 members, 60 offsets behind")


@pytest.mark.parametrize(
    ("stage", "says", "fix"),
    [
        (replace(STAGE, members=0), "no worker runs it, 10 offsets behind", "tidemark worker"),
        (replace(STAGE, strangers=["'curious' at 10.0.0.7"]), "members of others", "a group of their own"),
        (replace(STAGE, partitions=[replace(PART, is_ours=False)]), "offset 50 of transactions[2] was set by", "tidemark offsets restore"),
        (replace(STAGE, partitions=[replace(PART, begin=51)]), "retention has removed", "start over"),
        (replace(STAGE, partitions=[replace(PART, stable=40, end=40)]), "created again or has lost its end", "start over"),
        (replace(STAGE, partitions=[replace(PART, waits_s=300.0)]), "has been waiting for 5 min", "another `tidemark worker`"),
    ],
)
def test_what_is_wrong_with_a_stage(stage: StageSeen, says: str, fix: str) -> None:
    (found,) = findings.of_stage(stage)
    assert (found.ok, says in found.detail, fix in found.fix) == (False, True, True), found


def test_a_position_behind_an_open_transaction_is_none_beyond_the_end() -> None:
    (found,) = findings.of_stage(replace(STAGE, partitions=[replace(PART, offset=60, stable=55)]))
    assert found.ok


def test_without_any_worker_that_is_said_once_beside_what_else_is_wrong() -> None:
    alone = replace(STAGE, members=0)
    (found,) = findings.of_stages([alone, replace(alone, stage="score")])
    assert (found.subject, found.detail) == ("workers", "none runs, so nothing is decided; 20 offsets wait")
    wrong, workers = findings.of_stages([replace(alone, partitions=[replace(PART, is_ours=False)])])
    assert "another tool" in wrong.detail
    assert workers.subject == "workers"
    assert [found.subject for found in findings.of_stages([alone, replace(STAGE, stage="score")])] == ["stage ingest", "stage score"]


def test_open_transactions_name_who_holds_back_what() -> None:
    found = findings.of_held_back(HeldBack("transactions", 1, 7, (Holder(12, 40, "nightly"),)))
    assert found.detail == "transactions[1] has 7 offsets that can't be read, held back by producer 12 (nightly) since offset 40"
    assert found.fix == "`tidemark transactions abort nightly`"
    found = findings.of_held_back(HeldBack("transactions", 1, 1))
    assert (found.detail, found.fix) == ("transactions[1] has 1 offset that can't be read", "have its producer commit or abort it")


@pytest.mark.parametrize(
    ("age", "says"), [(None, "none yet"), (0.4, "the last one 0 s ago"), (300, "the last one 5 min ago"), (90_000, "the last one 25 h ago")]
)
def test_decisions_have_an_age(age: float | None, says: str) -> None:
    assert findings.of_decisions(age).detail == says


def test_a_tenth_of_refusals_is_too_much() -> None:
    few = findings.of_dead_letters(Counter(not_json=10), 90)
    assert (few.ok, few.detail) == (True, "10 of 100 in the last hour (10.0%): not_json 10")
    many = findings.of_dead_letters(Counter(not_json=1, wrong_partition=74), 25)
    assert (many.ok, many.detail) == (False, "75 of 100 in the last hour (75.0%): wrong_partition 74, not_json 1")
    assert "`tidemark dead-letters --show wrong_partition`" in many.fix
    assert findings.of_dead_letters(Counter(), 0).ok
    assert findings.of_dead_letters(Counter(), 5).detail == "0 of 5 in the last hour (0.0%)"


def test_an_online_store_that_lacks_something_is_broken() -> None:
    assert findings.of_online_store([]) == findings.of_online_store([OnlineSeen("ingest", {0: 0})])
    (behind,) = findings.of_online_store([OnlineSeen("ingest", {0: 0, 1: 12}, waits_s=2)])
    assert (behind.ok, behind.detail) == (True, "at most 12 offsets behind the stages")
    (empty,) = findings.of_online_store(
        [OnlineSeen("ingest", {0: None, 1: 12}), OnlineSeen("score", {2: 0}), OnlineSeen("profiles", {3: None})]
    )
    assert (empty.ok, empty.detail) == (
        False,
        "lacks what these partitions know: ingest [0], profiles [3]; it was emptied, or nobody writes",
    )
    (late,) = findings.of_online_store([OnlineSeen("ingest", {0: 500}, waits_s=400)])
    assert (late.ok, "the last 7 min" in late.detail) == (False, True)


def test_clocks_that_differ_are_told() -> None:
    assert findings.of_clocks({}) == []
    (near,) = findings.of_clocks({"Redis": -1.0})
    assert (near.ok, near.detail) == (True, "within 2 s of Redis")
    (apart,) = findings.of_clocks({"Redis": -400.0, "Kafka": 0.1})
    assert (apart.ok, apart.detail) == (False, "that of Redis is 7 min behind this machine's")
