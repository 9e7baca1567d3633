"""What is committed under docs/ is what the message types say."""

from pathlib import Path

import jsonschema
import msgspec

from streams.messages import contracts
from tests.made.records import transaction

DOCS = Path(__file__).parents[3] / "docs"


def test_committed_contracts_are_current() -> None:
    for path, text in contracts.files().items():
        assert (DOCS / path).read_text() == text, f"docs/{path} is out of date; run python -m streams.messages.contracts docs"
    assert {f"schemas/{file.name}" for file in (DOCS / "schemas").iterdir()} == {
        path for path in contracts.files() if path.startswith("schemas/")
    }


def test_the_schemas_accept_what_the_validator_accepts() -> None:
    schema = msgspec.json.decode(contracts.files()["schemas/transaction.json"])
    jsonschema.Draft202012Validator.check_schema(schema)
    message = msgspec.json.decode(transaction(0).value or b"")
    jsonschema.validate(message, schema)
    assert not jsonschema.Draft202012Validator(schema).is_valid({**message, "amount": -1})


def test_the_asyncapi_document_resolves() -> None:
    document = msgspec.json.decode(contracts.files()["asyncapi.json"])
    assert document["asyncapi"] == "3.0.0"

    def references(node: object) -> list[str]:
        if isinstance(node, dict):
            return [value for key, value in node.items() if key == "$ref"] + [
                found for value in node.values() for found in references(value)
            ]
        return [found for item in node for found in references(item)] if isinstance(node, list) else []

    for reference in references(document):
        node = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]
