"""The digest of the code that makes vectors: no source that can change a vector is missing in it."""

from pathlib import Path

import pytest

from features.source_closure import digest, read_own
from streams.messages.code_digest import code_digest, sources

# Here a reviewer sees that the vector has come to depend on another source.
SOURCES = """
features/__init__.py
features/arrays.py
features/compiled.py
features/definitions.py
features/encoding.py
features/errors.py
features/labels.py
features/online/__init__.py
features/online/on_demand.py
features/online/views.py
features/source_closure.py
features/state.py
features/tiles.py
features/times.py
features/vector.py
features/windows.py
streams/__init__.py
streams/blame.py
streams/ingest.py
streams/messages/__init__.py
streams/messages/answer.py
streams/messages/arrivals.py
streams/messages/batches.py
streams/messages/code_digest.py
streams/messages/decisions.py
streams/messages/diagnosis.py
streams/messages/events.py
streams/messages/headers.py
streams/messages/nesting.py
streams/messages/partitioner.py
streams/messages/readers.py
streams/messages/record.py
streams/messages/refusals.py
streams/messages/scoring_log.py
streams/messages/seal.py
streams/messages/topics.py
streams/messages/validation.py
streams/messages/wire.py
streams/score.py
streams/state/__init__.py
streams/state/duplicates.py
streams/state/merchants.py
streams/state/saved_state.py
streams/state/users.py
"""


def test_these_sources_are_in_it() -> None:
    assert list(sources()) == SOURCES.split()


@pytest.mark.parametrize(
    ("source", "old", "new"),
    [
        ("features/arrays.py", b"TOO_LATE = 2", b"TOO_LATE = 3"),
        ("features/definitions.py", b"REMEMBERED_DEVICES = 8", b"REMEMBERED_DEVICES = 9"),
        ("features/definitions.py", b"MOST_LARGE = 2", b"MOST_LARGE = 3"),
        ("features/tiles.py", b"before.start < start", b"before.start <= start"),
        ("features/windows.py", b"anchor - key.newest", b"anchor - key.first_seen"),
        ("features/online/on_demand.py", b"capacity=1", b"capacity=2"),
        ("streams/messages/batches.py", b"\n", b"\n\n"),
        ("streams/messages/events.py", b"\n", b"\n\n"),
        ("streams/messages/partitioner.py", b"\n", b"\n\n"),
        ("streams/messages/validation.py", b"\n", b"\n\n"),
        ("streams/state/duplicates.py", b"\n", b"\n\n"),
    ],
)
def test_a_planted_change_changes_it(source: str, old: bytes, new: bytes) -> None:
    def read(path: str) -> bytes | None:
        content = read_own(path)
        if path != source or content is None:
            return content
        assert old in content
        return content.replace(old, new, 1)

    assert digest(sources(read)) != code_digest()


def test_a_source_that_one_of_them_comes_to_import_is_in_it() -> None:
    def read(path: str) -> bytes | None:
        if path == "features/newcomer.py":
            return b"FACTOR = 2\n"
        content = read_own(path)
        return content + b"\nfrom features.newcomer import FACTOR\n" if content and path == "features/vector.py" else content

    assert set(sources(read)) - set(sources()) == {"features/newcomer.py"}


def test_what_a_model_makes_of_the_vector_is_not_in_it() -> None:
    assert not [source for source in sources() if source.startswith("models/")]


def test_all_of_them_are_files_of_this_tree() -> None:
    root = Path(__file__).parents[3]
    assert all((root / source).read_bytes() == content for source, content in sources().items())
