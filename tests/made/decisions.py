"""Decisions for tests: whole ones, of which a test says what matters to it."""

from typing import Any

from streams.messages.events import Decision, Source


def decision(transaction_id: str = "t1", event_time: int = 1_700_000_000_000, **fields: Any) -> Decision:
    """A blocked payment of u1 at m1; ``fields`` replace those of the same name."""
    whole: dict[str, Any] = {
        "user_id": "u1",
        "merchant_id": "m1",
        "amount": 500,
        "currency": "EUR",
        "decision": "block",
        "risk_score": 97,
        "risk_level": "highest",
        "probability": 0.97,
        "reasons": [],
        "model_name": "tidemark",
        "model_version": "9",
        "model_digest": "ab" * 32,
        "policy_digest": "cd" * 32,
        "variant": "champion",
        "control_revision": 0,
        "features_digest": "ef" * 32,
        "source": Source("transactions", -1, -1),
        "origin": "api",
        "decided_at": 7,
    }
    return Decision(transaction_id=transaction_id, event_time=event_time, **{**whole, **fields})
