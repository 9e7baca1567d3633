"""Which data a model was made from, and by whom, when and with which code: what a record of it needs so that it can be made again."""

import hashlib
from collections.abc import Iterable

import msgspec


class DataSnapshot(msgspec.Struct, frozen=True):
    """``paths`` of the data, its ``rows``, its first and last event time (ms), and a ``digest``: hex SHA-256 of the one file, or of the
    sorted names of a table's files."""

    paths: tuple[str, ...]
    rows: int
    first: int
    last: int
    digest: str


class Provenance(msgspec.Struct, frozen=True):
    """``author``, ``date`` (ISO 8601, UTC), ``code`` (commit or version of the program) and the ``command`` given."""

    author: str
    date: str
    code: str
    command: str = ""


def digest_of_names(names: Iterable[str]) -> str:
    """Hex SHA-256 of the sorted names, a line each."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()
