"""The contracts of the topics that others read and write: JSON Schema files and an AsyncAPI 3 document, made from the message types.

``python -m streams.messages.contracts docs`` writes them; a test checks that what is committed is current.
"""

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from streams.messages.events import Alert, AlertAction, DeadLetter, Decision, UserRisk
from streams.messages.topics import TOPICS, TRANSACTIONS, Topic
from streams.messages.wire import LabelMessage, TransactionMessage, UserMessage

_WRITTEN_BY_OTHERS = (TransactionMessage, LabelMessage, UserMessage)
_MESSAGES = (*_WRITTEN_BY_OTHERS, Decision, UserRisk, DeadLetter, Alert, AlertAction)


def files() -> dict[str, str]:
    """Every contract file's content by its path below ``docs/``."""
    schemas = {f"schemas/{_name(message)}.json": _text(_schema(message)) for message in _MESSAGES}
    return {**schemas, "asyncapi.json": _text(_asyncapi())}


def _schema(message: type) -> dict[str, Any]:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_by_contract_name(msgspec.json.schema(message))}


def _asyncapi() -> dict[str, Any]:
    topics = [topic for topic in TOPICS if topic.schema is not None]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tidemark",
            "version": "1",
            "description": "Transactions, labels and users in, decisions, users' risks, dead letters and alerts out. "
            "Times are int milliseconds UTC, amounts minor units. "
            "Keys are user_id in UTF-8, placed by murmur2 (Java's default; partitioner=murmur2_random in librdkafka). "
            "Read decisions, dead-letters and alerts with isolation.level=read_committed. Ignore fields you don't know.",
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in topics},
        "operations": {f"{_verb(topic)}-{topic.name}": _operation(topic) for topic in topics},
        "components": {"messages": {_name(message): _message(message) for message in _MESSAGES}},
    }


def _channel(topic: Topic) -> dict[str, Any]:
    messages = [topic.schema] + ([LabelMessage] if topic is TRANSACTIONS else [])
    return {
        "address": topic.name,
        "description": topic.about,
        "messages": {_name(message): {"$ref": f"#/components/messages/{_name(message)}"} for message in messages if message},
        "bindings": {"kafka": {"topic": topic.name, "topicConfiguration": _configuration(topic)}},
    }


def _configuration(topic: Topic) -> dict[str, Any]:
    return {"cleanup.policy": ["compact"]} if topic.retention_ms is None else {"retention.ms": topic.retention_ms}


def _operation(topic: Topic) -> dict[str, Any]:
    return {"action": _verb(topic), "channel": {"$ref": f"#/channels/{topic.name}"}, "summary": topic.about}


def _verb(topic: Topic) -> str:
    """As Tidemark sees it: it receives what others write and sends what they read."""
    return "receive" if topic.schema in _WRITTEN_BY_OTHERS else "send"


def _message(message: type) -> dict[str, Any]:
    key = None if message is DeadLetter else "alert_id" if message in (Alert, AlertAction) else "user_id"
    return {
        "name": _name(message),
        "summary": (message.__doc__ or "").splitlines()[0],
        "payload": {"schemaFormat": "application/schema+json;version=draft-07", "schema": inlined(message)},
        **({"bindings": {"kafka": {"key": {"type": "string", "description": key}}}} if key else {}),
    }


def inlined(message: type) -> dict[str, Any]:
    """The JSON Schema of a message type with every reference resolved, to stand inside another document."""
    (schema,), definitions = msgspec.json.schema_components([message], ref_template="#/components/schemas/{name}")

    def resolve(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return resolve(definitions[node["$ref"].rsplit("/", 1)[1]])
            return {key: resolve(value) for key, value in node.items()}
        return [resolve(item) for item in node] if isinstance(node, list) else node

    return _by_contract_name(resolve(schema))


def _by_contract_name(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with each message called what its readers and writers call it."""
    text = json.dumps(schema)
    for message in _WRITTEN_BY_OTHERS:
        text = text.replace(message.__name__, _title(message))
    renamed: dict[str, Any] = json.loads(text)
    return renamed


def _title(message: type) -> str:
    return message.__name__.removesuffix("Message")


def _name(message: type) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in _title(message)).lstrip("-")


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2) + "\n"


def _write(folder: Path) -> None:
    for path, text in files().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
