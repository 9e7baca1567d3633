"""Records that must not be scored: what a careless producer might send, one kind after the other."""

import json
from typing import Any

_AHEAD_MS = 365 * 86_400_000  # far enough for a demo of any length


def bad_record(number: int, transaction: dict[str, Any], present_ms: int) -> bytes:
    """The ``number``-th bad value, made from a valid transaction that is spoilt; ``present_ms`` (ms UTC) is about now."""
    kinds: tuple[dict[str, Any] | None, ...] = (
        None,  # cut off in the middle
        {"amount": -transaction["amount"] - 1},
        {"merchant_id": ...},  # left out
        {"currency": "USD"},
        {"event_time": transaction["event_time"] // 1000},  # seconds
        {"event_time": present_ms + _AHEAD_MS},
        {"amount": str(transaction["amount"])},
    )
    spoilt = kinds[number % len(kinds)]
    if spoilt is None:
        return json.dumps(transaction)[:-9].encode()
    return json.dumps({name: value for name, value in {**transaction, **spoilt}.items() if value is not ...}).encode()
