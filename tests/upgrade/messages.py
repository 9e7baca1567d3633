"""What goes over topics: messages, batches for SCORE, the scoring log, and what the archive keeps of them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from features.definitions import FEATURE_SETS
from features.offline.parquet_tables import OfflineTable, write_file
from features.offline.storage import Storage
from models.experiments.variant import Variant
from models.scoring import Scorer
from streams.archive.archived_topics import ARCHIVED
from streams.archive.rows.tables import LogPartition, by_day
from streams.ingest import Routed
from streams.messages import answer, scoring_log
from streams.messages.batches import Batch, batch_schema, decode
from streams.messages.events import DeadLetter, Decision, Label, Transaction, User, UserRisk
from streams.messages.headers import LABEL
from streams.messages.readers import label_reader, transaction_reader, user_reader
from streams.messages.record import LogRecord
from streams.messages.topics import TOPICS
from streams.score import Outcome, decide
from tests.made.records import advanced, ingest_state, received, routed, score_state
from tests.made.seal import ANSWER_KEY, sealed
from tests.made.user_records import user
from tests.upgrade.given import CURRENCY, FEATURE_SET, START, answer_of_the_api, log
from tests.upgrade.golden import exact, exact_rows, packed, unpacked

CODE = "c" * 64
READERS: Mapping[str, Callable[[bytes], msgspec.Struct]] = {
    "Transaction": transaction_reader(),
    "Label": label_reader(),
    "User": user_reader(),
    **{each.__name__: msgspec.json.Decoder(each).decode for each in (Decision, UserRisk, DeadLetter)},
}


def files(scorer: Scorer) -> dict[str, object]:
    """What this program writes, by file; decisions are those of this scorer."""
    outcome = decided(scorer)
    return {
        "topics.json": {topic.name: topic.settings() for topic in TOPICS},
        "batches.json": [_batch(sent) for sent in _routed()],
        "messages.json": {kind: [_message(kind, value) for value in values] for kind, values in _messages(outcome).items()},
        "answer.json": _answer(answer.encode(answer_of_the_api())),
        "scoring-log.json": scoring_log_of(_logged(scorer)),
        "archive_columns.json": {topic: {f.name: str(f.type) for f in archived.schema} for topic, archived in ARCHIVED.items()},
    }


def decided(scorer: Scorer) -> Outcome:
    """What SCORE says of the log."""
    return decide(_observed(), Variant(scorer), CURRENCY, START + 51 * 86_400_000)


def rows_of_batch(value: str, headers: Sequence[Sequence[str]], feature_set: str) -> dict[str, Any]:
    """A batch's rows and what its headers say, read by this program."""
    named = FEATURE_SETS[feature_set]
    given = [(name, text.encode()) for name, text in headers]
    batch: Batch = decode(unpacked(value), given, (0, 0), batch_schema(named), named)
    return {"previous": {str(source): offset for source, offset in batch.previous.items()}, "rows": exact_rows(batch.rows.to_pylist())}


def fields(kind: str, value: str) -> dict[str, Any]:
    """A message's fields as read by this program."""
    found = msgspec.to_builtins(READERS[kind](value.encode()))
    return {name: each.hex() if isinstance(each, float) else each for name, each in found.items()}


def fields_of_answer(value: str) -> dict[str, Any]:
    found = answer.decode(unpacked(value))
    own = msgspec.to_builtins(found)
    return {**own, "vector": exact(np.frombuffer(found.vector, np.float32))}


def rows_of_scoring_log(value: str) -> list[dict[str, Any]]:
    return exact_rows(scoring_log.decode(unpacked(value)).to_pylist())


def scoring_log_of(value: bytes) -> dict[str, Any]:
    """A record of the scoring log and its rows."""
    return {"value": packed(value), "rows": rows_of_scoring_log(packed(value))}


def write_archive(folder: Path, scorer: Scorer) -> None:
    """Archives the log and what was decided on it, each topic as a table with Delta's log."""
    outcome = decided(scorer)
    contents = {
        "transactions": log(),
        "labels": [record for record in log() if record.headers and record.headers[0][0] == LABEL],
        "users": [user(0), user(1, "u2", updated_at=START)],
        "decisions": [LogRecord(n, START, key, value, []) for n, (key, value) in enumerate(outcome.decisions)],
        "scoring-log": [sealed("scoring-log", LogRecord(0, START, None, _logged(scorer), []))],
    }
    for topic, records in contents.items():
        table = OfflineTable(Storage.of(folder), topic, ARCHIVED[topic].schema)
        rows = ARCHIVED[topic].rows(LogPartition(0, 1, CURRENCY, ANSWER_KEY), records)
        # One day, for each file takes thousands of bytes.
        ((day, _), *_) = by_day(rows)
        table.commit([write_file(table.storage, day, "0-0", rows)], "archive", 1)


def rows_of_archive(folder: Path, topic: str) -> list[dict[str, Any]]:
    """An archived topic's rows as this program reads them, without what is null."""
    rows: pa.Table = OfflineTable(Storage.of(folder), topic, ARCHIVED[topic].schema).read().sort_by([("offset", "ascending")])
    return [{name: value for name, value in row.items() if value is not None} for row in exact_rows(rows.to_pylist())]


def _routed() -> list[Routed]:
    return routed(ingest_state(2, feature_set=FEATURE_SET), log(), [9])


def _observed() -> Any:
    return advanced(score_state(FEATURE_SET), received(routed(ingest_state(feature_set=FEATURE_SET), log()), feature_set=FEATURE_SET))


def _batch(sent: Routed) -> dict[str, Any]:
    value, headers = packed(sent.value), [[name, text.decode()] for name, text in sent.headers]
    found = rows_of_batch(value, headers, FEATURE_SET.name)
    return {"partition": sent.partition, "feature_set": FEATURE_SET.name, "headers": headers, "value": value, **found}


def _messages(outcome: Outcome) -> dict[str, list[bytes]]:
    encode: Callable[[object], bytes] = msgspec.json.encode
    risk = UserRisk(
        user_id="u1",
        as_of=START,
        probability=0.1234567890123456,
        risk_score=12,
        risk_level="normal",
        payments=3,
        transaction_id="t1",
        event_time=START,
        model_name="tidemark",
        model_version="1",
        model_digest="d" * 64,
        policy_digest="e" * 64,
        features_digest=FEATURE_SET.digest,
    )
    return {
        "Decision": [value for _, value in outcome.decisions[-4:]],
        "DeadLetter": outcome.dead_letters,
        "UserRisk": [encode(risk)],
        # These come from others; the shortest, and one with all there may be.
        "Transaction": [
            log()[2].value or b"",
            encode(Transaction("t", START, "u", "m", 0, "EUR", "d", "NL", "web", "5411")),
            b'{"transaction_id":"t","event_time":"2023-11-14T23:13:20+01:00","user_id":"u","merchant_id":"m","amount":1,"currency":"EUR","new":1}',
        ],
        "Label": [log()[6].value or b"", encode(Label("t", "u", "m", START, START, False, "analyst"))],
        "User": [user(0).value or b"", encode(User("u", START, "NL", "new", START))],
    }


def _message(kind: str, value: bytes) -> dict[str, Any]:
    return {"value": value.decode(), "fields": fields(kind, value.decode())}


def _answer(value: bytes) -> dict[str, Any]:
    return {"value": packed(value), "fields": fields_of_answer(packed(value))}


def _logged(scorer: Scorer) -> bytes:
    """A record of the scoring log for the last decisions, the API's among them, as if a certain code had made them."""
    observed = _observed()
    rows, position, vectors = observed.rows.slice(len(observed.rows) - 3), observed.position[-3:], observed.vectors[-3:]
    given = {i: answer_of_the_api() for i, name in enumerate(rows["transaction_id"].to_pylist()) if name == "t9"}
    shared = {**Variant(scorer).identity, "features_digest": scorer.features_digest, "origin": "stream", "code_digest": CODE}
    (value,) = scoring_log.encode(rows, position, vectors, scorer.score(vectors).probability, shared, given)
    return value
