"""Records of the topic ``users``."""

import msgspec

from streams.messages.record import LogRecord

NOW = 1_700_000_000_000
CREATED = NOW - 10_000_000


def user(offset: int, user_id: str = "u1", key: bytes | None = None, **changes: object) -> LogRecord:
    message = {"user_id": user_id, "created_at": CREATED, "country": "NL", "segment": "new", **changes}
    return LogRecord(offset, NOW, user_id.encode() if key is None else key, msgspec.json.encode(message), [])
