"""What lies in topics and in the archive outlives the program that wrote it."""

import pytest

from streams.archive.archived_topics import ARCHIVED
from streams.messages.record import LogRecord
from streams.messages.topics import TOPICS
from tests.made.seal import SEAL
from tests.upgrade import messages
from tests.upgrade.golden import HERE, holding, read, unpacked


@pytest.mark.parametrize("version", holding("topics.json"))
def test_topics_keep_their_names_and_what_the_broker_does_to_them(version: str) -> None:
    now = {topic.name: topic.settings() for topic in TOPICS}
    assert {name: now.get(name) for name in read(version, "topics.json")} == read(version, "topics.json")


SEALED = [version for version in holding("batches.json") if version not in ("0.1.0", "0.2.0")]


def test_a_batch_of_before_there_were_seals_is_nobodys() -> None:
    """``tidemark up`` refuses topics with such records."""
    for kept in read("0.2.0", "batches.json"):
        headers = [(name, text.encode()) for name, text in kept["headers"]]
        record = LogRecord(0, 0, None, unpacked(kept["value"]), headers)
        assert not SEAL.is_ours("transactions.by-merchant", kept["partition"], record)


@pytest.mark.parametrize("version", SEALED)
def test_a_batch_for_score_is_read_to_the_same_rows(version: str) -> None:
    for kept in read(version, "batches.json"):
        found = messages.rows_of_batch(kept["value"], kept["headers"], kept["feature_set"])
        assert found == {"previous": kept["previous"], "rows": kept["rows"]}


@pytest.mark.parametrize("version", SEALED)
def test_a_batch_of_another_feature_set_is_refused_in_words(version: str) -> None:
    kept = read(version, "batches.json")[0]
    with pytest.raises(
        ValueError, match=r"was made for features .* this worker computes fraud_v1 .*run INGEST and SCORE with one feature set"
    ):
        messages.rows_of_batch(kept["value"], kept["headers"], "fraud_v1")


@pytest.mark.parametrize("version", holding("messages.json"))
@pytest.mark.parametrize("kind", messages.READERS)
def test_a_message_is_read_to_the_same_fields(version: str, kind: str) -> None:
    for kept in read(version, "messages.json")[kind]:
        found = messages.fields(kind, kept["value"])
        assert {name: found[name] for name in kept["fields"]} == kept["fields"]


@pytest.mark.parametrize("version", holding("answer.json"))
def test_an_answer_of_the_api_is_read_to_the_same_fields(version: str) -> None:
    kept = read(version, "answer.json")
    found = messages.fields_of_answer(kept["value"])
    assert {name: found[name] for name in kept["fields"] if name != "decision"} == {
        name: value for name, value in kept["fields"].items() if name != "decision"
    }
    assert {name: found["decision"][name] for name in kept["fields"]["decision"]} == kept["fields"]["decision"]


@pytest.mark.parametrize("version", holding("scoring-log.json"))
def test_rows_of_the_scoring_log_are_read_to_the_same_values(version: str) -> None:
    """Those of 0.1.0 don't say which code made them: their digest of it is empty."""
    kept = read(version, "scoring-log.json")
    found = messages.rows_of_scoring_log(kept["value"])
    assert [{name: row[name] for name in before} for row, before in zip(found, kept["rows"], strict=True)] == kept["rows"]


@pytest.mark.parametrize("version", holding("archive.json"))
@pytest.mark.parametrize("topic", ARCHIVED)
def test_an_archive_is_read_to_the_same_rows(version: str, topic: str) -> None:
    kept = read(version, "archive.json")[topic]
    found = messages.rows_of_archive(HERE / version / "archive", topic)
    assert [{name: row.get(name) for name in before} for row, before in zip(found, kept, strict=True)] == kept
    assert kept
