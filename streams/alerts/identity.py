"""What tells one cause from another."""

import hashlib


def alert_id(kind: str, subject: str, model_digest: str) -> str:
    """16 hexadecimal digits that stand for a cause, whenever it comes back."""
    return hashlib.sha256(f"{kind}/{subject}/{model_digest}".encode()).hexdigest()[:16]
