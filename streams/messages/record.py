"""A record, as every reader of a log sees it."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

UNSTAMPED = -1
"""The timestamp of a record of a topic that the broker should stamp, and didn't: what its sender has put there is not believed."""


class Record(Protocol):
    """A record as a Kafka consumer hands it out; ``timestamp`` in ms, or UNSTAMPED."""

    @property
    def offset(self) -> int: ...  # noqa: D102

    @property
    def timestamp(self) -> int: ...  # noqa: D102

    @property
    def key(self) -> bytes | None: ...  # noqa: D102

    @property
    def value(self) -> bytes | None: ...  # noqa: D102

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...  # noqa: D102


class LogRecord(Struct, frozen=True, gc=False, array_like=True):
    """One record; ``timestamp`` in ms, or UNSTAMPED."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


SourcePosition = tuple[int, int]
"""Partition and offset of a record of ``transactions``."""
