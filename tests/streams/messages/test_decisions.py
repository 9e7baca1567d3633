"""What is encoded apart is, put together, the message that the contract promises."""

import msgspec
import numpy as np
import pyarrow as pa

from models.reasons import Reason
from models.scoring import Scores
from streams.messages.decisions import DecisionFields, encode_decisions
from streams.messages.events import Decision, Source, decode_decision

ROWS = pa.RecordBatch.from_pydict(
    {
        "transaction_id": ["t1", 'with "quotes"\n'],
        "event_time": [1_700_000_000_000, 1_700_000_000_001],
        "user_id": ["u1", "ü"],
        "merchant_id": ["m1", "m2"],
        "amount": [0, 10**12],
        "source": [0, 3],
        "offset": [7, 2**40],
    }
)
SCORES = Scores(np.array([0.25, 0.875]), np.array([25, 87], np.int8), np.array([0, 1], np.int8), np.array([0, 2], np.int8))
SHARED = {
    "currency": "EUR",
    "model_name": "tidemark",
    "model_version": "3",
    "model_digest": "a" * 64,
    "policy_digest": "b" * 64,
    "variant": "champion",
    "control_revision": 5,
    "features_digest": "c" * 64,
    "origin": "stream",
    "decided_at": 1_700_000_000_123,
    "degraded": False,
}


def test_a_message_has_every_field_once() -> None:
    own = {field.name for field in msgspec.structs.fields(DecisionFields)}
    assert own | SHARED.keys() == {field.name for field in msgspec.structs.fields(Decision)}
    assert not own & SHARED.keys()


def test_messages_say_what_was_decided() -> None:
    why = [Reason("user_tx_count_1h", 9.0, 1.5)]
    approved, reviewed = map(decode_decision, encode_decisions(ROWS, SCORES, {1: why}, SHARED))
    assert (approved.transaction_id, approved.decision, approved.risk_level, approved.reasons) == ("t1", "approve", "normal", [])
    assert (reviewed.transaction_id, reviewed.user_id, reviewed.amount) == ('with "quotes"\n', "ü", 10**12)
    assert (reviewed.decision, reviewed.risk_score, reviewed.risk_level, reviewed.probability) == ("review", 87, "highest", 0.875)
    assert reviewed.source == Source("transactions", 3, 2**40)
    assert reviewed.reasons == why
    for decision in (approved, reviewed):
        assert {name: getattr(decision, name) for name in SHARED} == SHARED
