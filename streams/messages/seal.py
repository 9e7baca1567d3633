"""Seals: what shows that a record, or what a header says of one, comes from a process of this deployment.

Whoever may write to a topic can put any bytes there under any header. What decides (an answer of the API, the mark of an aligned replay,
a label's copy, a batch, a saved state) therefore carries an HMAC-SHA256 by the deployment's key, and counts only if that holds.
"""

import hmac
import struct
from collections.abc import Sequence

from streams.messages.record import Record

HEADER = "tidemark-seal"
"""Of a record on a topic that only we write."""
SIZE = 32
RESERVED = "tidemark-"
"""How every header of ours begins."""

Headers = Sequence[tuple[str, bytes]]


class Seal:
    """Makes seals and checks them. ``key`` is the deployment's secret text; without one nothing holds, and nothing can be sealed."""

    def __init__(self, key: str = "") -> None:
        self._key = key.encode()

    @property
    def has_key(self) -> bool:
        """Whether anything can be sealed, or hold."""
        return bool(self._key)

    def of(self, purpose: bytes, *parts: bytes | None) -> bytes:
        """The seal (32 bytes) of these parts, for one purpose only. Raises ValueError without a key."""
        if not self.has_key:
            raise ValueError("there is no key to seal with")
        # With their lengths, so that no two lists of parts are the same bytes.
        lengths = struct.pack(f">{len(parts)}q", *(-1 if part is None else len(part) for part in parts))
        return hmac.digest(self._key, b"".join((purpose, b"\0", lengths, *(part or b"" for part in parts))), "sha256")

    def holds(self, seal: bytes | None, purpose: bytes, *parts: bytes | None) -> bool:
        """Whether ``seal`` is that of these parts."""
        return self.has_key and seal is not None and hmac.compare_digest(seal, self.of(purpose, *parts))

    def header(self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers = ()) -> tuple[str, bytes]:
        """The header that seals a record with these other ``headers`` of ours for one partition."""
        purpose, parts = _parts(topic, partition, key, value, headers)
        return HEADER, self.of(purpose, *parts)

    def is_ours(self, topic: str, partition: int, record: Record) -> bool:
        """Whether a record of a topic that only we write carries the seal of its place and content. One that doesn't is ignored."""
        ours = [(name, value) for name, value in record.headers if name.startswith(RESERVED)]
        if not ours or ours[-1][0] != HEADER:
            return False
        purpose, parts = _parts(topic, partition, record.key, record.value, ours[:-1])
        return self.holds(ours[-1][1], purpose, *parts)


def _parts(topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers) -> tuple[bytes, list[bytes | None]]:
    """The purpose, and what is sealed for it."""
    return topic.encode(), [b"%d" % partition, key, value, *(part for name, content in headers for part in (name.encode(), content))]
