"""The log behind the golden files: two users and three merchants over seven weeks, with all that can happen to a record."""

import msgspec
import numpy as np
from msgspec import structs

from features.definitions import DAY, FEATURE_SETS, HOUR, MINUTE
from streams.messages import answer
from streams.messages.events import Decision, Source
from streams.messages.record import LogRecord
from tests.made.records import label, transaction
from tests.made.seal import answered

START = 1_700_000_000_000
ARRIVED = START + 51 * DAY
FEATURE_SET = FEATURE_SETS["fraud_v2"]
CURRENCY = "EUR"
PLAN = [
    # User, merchant, hours after the start, amount in minor units, device.
    ("u1", "m1", 0, 1_250, "phone"),
    ("u1", "m1", 1, 99_900, "phone"),
    ("u2", "m2", 1.5, 300, None),
    ("u1", "m2", 30, 2_000, "laptop"),
    ("u1", "m1", 30.0003, 2_000, "laptop"),
    ("u2", "m1", 24 * 9, 4_500, "phone"),
    ("u1", "m3", 24 * 20, 0, None),
    ("u1", "m1", 24 * 48, 10**12, "phone"),
    ("u2", "m3", 24 * 49, 700, "phone"),
]


def answer_of_the_api() -> answer.Answer:
    """An answer to ``t9`` that was given when nothing was known of its merchant."""
    decision = Decision(
        transaction_id="t9",
        event_time=START + 50 * DAY,
        user_id="u2",
        merchant_id="m4",
        amount=500,
        currency=CURRENCY,
        decision="block",
        risk_score=97,
        risk_level="highest",
        probability=0.97,
        reasons=[],
        model_name="tidemark",
        model_version="9",
        model_digest="d" * 64,
        policy_digest="e" * 64,
        variant="champion",
        control_revision=3,
        features_digest=FEATURE_SET.digest,
        source=Source("transactions", -1, -1),
        origin="api",
        decided_at=START + 50 * DAY + 7,
    )
    vector = np.arange(len(FEATURE_SET.names), dtype=np.float32)
    return answer.Answer(decision, vector.tobytes(), answer.StatePosition(0, 12), answer.StatePosition(-1, -1), "c" * 64)


def log() -> list[LogRecord]:
    """The records of partition 0 of 1, in order; they arrived within an hour and a half, so the first are forgotten as duplicates."""
    paid = [
        transaction(i, user, merchant, START + round(hours * HOUR), amount, **({"device_id": device} if device else {}))
        for i, (user, merchant, hours, amount, device) in enumerate(PLAN)
    ]
    by_api = transaction(9, "u2", "m4", START + 50 * DAY, 500)
    order = [
        *paid[:6],
        label(0, paid[1], START + 10 * DAY),
        label(0, paid[0], START + 11 * DAY, is_fraud=False),
        paid[6],
        paid[2],  # sent again
        structs.replace(paid[3], value=msgspec.json.encode(msgspec.json.decode(paid[3].value or b"") | {"amount": 1})),  # changed
        structs.replace(paid[3], value=b"{"),
        paid[7],
        paid[8],
        label(0, paid[5], START + 49 * DAY),
        label(0, paid[6], START + 50 * DAY),
        answered(by_api, answer.encode(answer_of_the_api())),
    ]
    return [structs.replace(record, offset=n, timestamp=ARRIVED + n * 5 * MINUTE) for n, record in enumerate(order)]
