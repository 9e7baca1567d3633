"""A record, as every reader of a log sees it."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct


class Record(Protocol):
    """A record as a Kafka consumer hands it out; ``timestamp`` in ms."""

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
    """One record; ``timestamp`` in ms."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


SourcePosition = tuple[int, int]
"""Partition and offset of a record of ``transactions``."""
