"""Which code made a vector: a digest that every row of the scoring log carries, so that an auditor knows when it was another."""

import hashlib
from functools import cache
from pathlib import Path

# All that stands between a record of ``transactions`` and its vector; what the features mean has a digest of its own.
_SOURCES = (
    "features/compiled.py",
    "features/encoding.py",
    "features/labels.py",
    "features/online/on_demand.py",
    "features/state.py",
    "features/vector.py",
    "features/windows.py",
    "streams/state/duplicates.py",
    "streams/ingest.py",
    "streams/score.py",
    "streams/messages/validation.py",
)


@cache
def code_digest() -> str:
    """Hex SHA-256 of these sources, read once, as this program runs them."""
    root, digest = Path(__file__).parents[2], hashlib.sha256()
    for source in _SOURCES:
        digest.update(source.encode() + b"\0" + (root / source).read_bytes() + b"\0")
    return digest.hexdigest()
