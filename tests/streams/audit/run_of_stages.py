"""Both stages over one log without a broker, and what they leave on the topics, for tests of the auditor.

``python -m tests.streams.audit.run_of_stages FILE`` runs the log of ``history`` and writes that; with another tree first on the path it is
that tree's stages that run.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import structs

from features.definitions import DAY
from features.online.on_demand import vector, vector_of_request
from models.experiments.variant import Variant
from streams.audit.auditor import Auditor
from streams.audit.recomputation import Shape, StateAt
from streams.messages import answer, scoring_log
from streams.messages.code_digest import code_digest
from streams.messages.record import LogRecord
from streams.messages.topics import BY_MERCHANT
from streams.score import decide
from tests.made.decisions import decision
from tests.made.log_in_memory import LogInMemory
from tests.made.records import FRAUD_V1, advanced, ingest_state, label, received, routed, score_state, scorer, transaction
from tests.made.seal import SEAL, sealed
from tests.made.seal import answered as with_answer

START = 1_700_000_000_000
TURN = 7
# After all of ``history``.
LATER = START + 41 * DAY


@dataclass
class Run:
    """The records of one partition of each topic."""

    transactions: list[LogRecord]
    by_merchant: list[LogRecord] = field(default_factory=list)
    scoring_log: list[bytes] = field(default_factory=list)
    decisions: list[bytes] = field(default_factory=list)

    shape = Shape("EUR", sources=1, targets=1, seal=SEAL)

    def read(self, topic: str, partition: int, begin: int, end: int) -> Iterator[Sequence[LogRecord]]:
        """An ``auditor.Reader``."""
        log = LogInMemory({"transactions": [self.transactions], "transactions.by-merchant": [self.by_merchant]})
        yield from log.read(topic, partition, begin, end)

    def scored(self) -> list[pa.Table]:
        """The rows of the scoring log."""
        return [scoring_log.decode(value) for value in self.scoring_log]


def history(n: int = 160, seed: int = 3) -> list[LogRecord]:
    """Transactions of a few users and merchants over forty days, a fifth of them labelled, some late, two sent twice, one refused;
    and labels of which a later one names another time and merchant."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(START, START + 40 * DAY, n))
    log: list[tuple[int, LogRecord]] = []
    for i, time in enumerate(times.tolist()):
        late = int(rng.integers(1, 2 * DAY)) if rng.random() < 0.1 else 0
        amount = int(rng.integers(1, 10**9))
        one = transaction(i, f"u{rng.integers(3)}", f"m{rng.integers(2)}", time - late, amount, device_id=f"d{rng.integers(4)}")
        log.append((time, one))
        if rng.random() < 0.2:
            log.append((time + 7 * DAY, label(0, one, time + 7 * DAY)))
        if i % 40 == 0:
            # Taken back by one that names another time and merchant.
            of = transaction(i, f"u{i % 3}", "m0", time - 5 * DAY)
            log.append((time, label(0, of, time)))
            other = transaction(i, f"u{i % 3}", "m1", time - 5 * DAY + 1)
            log.append((time + DAY, label(0, other, time + DAY, is_fraud=bool(i % 80))))
        if i in (30, 60):
            log.append((time + 1, one))
    log.append((START + DAY, structs.replace(transaction(0), value=b"{")))
    ordered = sorted(log, key=lambda entry: entry[0])
    return [structs.replace(record, offset=offset) for offset, (_, record) in enumerate(ordered)]


def run(records: list[LogRecord]) -> Run:
    """Ingests, scores and logs the records, some at a time."""
    left = Run(records)
    for sent in routed(ingest_state(), records, range(TURN, len(records), TURN)):
        left.by_merchant.append(sealed(BY_MERCHANT.name, LogRecord(len(left.by_merchant), 0, None, sent.value, sent.headers)))
    sent = [(record.value or b"", record.headers) for record in left.by_merchant]
    state, variant = score_state(), Variant(scorer())
    for batch in received([Sent(*one) for one in sent]):
        outcome = decide(advanced(state, [batch]), variant, "EUR", 0)
        left.scoring_log += outcome.log
        left.decisions += [message for _, message in outcome.decisions]
    return left


@dataclass
class Sent:
    """As ``ingest.Routed``, to the one partition."""

    value: bytes
    headers: list[tuple[str, bytes]]
    partition: int = 0


def answered(left: Run, user_offset: int, merchant_offset: int, *, degraded: bool = False) -> LogRecord:
    """A transaction as the API sends it on, which has read the states as of these offsets."""
    states = [StateAt("user", 0, user_offset, "u1"), StateAt("merchant", 0, merchant_offset, "m1")]
    known = Auditor(FRAUD_V1, left.shape, left.read, lambda _: scorer(), oracle_share=0).states(states)
    made = vector(FRAUD_V1, known[states[0]], known[states[1]], LATER, 500)
    made = vector_of_request(FRAUD_V1, LATER, 500) if degraded else made
    one = transaction(len(left.transactions), "u1", "m1", LATER, 500)
    model = scorer()
    given = decision(
        f"t{one.offset}",
        LATER,
        decision="approve",
        risk_score=0,
        risk_level="normal",
        probability=float(model.score(made[np.newaxis]).probability[0]),
        model_version="1",
        model_digest=model.model_digest,
        policy_digest=model.policy.digest,
        features_digest=FRAUD_V1.digest,
        degraded=degraded,
    )
    read = [answer.StatePosition(-1, -1)] * 2 if degraded else [answer.StatePosition(0, at.offset) for at in states]
    given_answer = answer.Answer(given, made.tobytes(), *read, code_digest())
    return with_answer(one, answer.encode(given_answer))


def load(file: Path) -> Run:
    """What another process has written."""
    found = msgspec.msgpack.decode(file.read_bytes(), type=tuple[list[LogRecord], list[LogRecord], list[bytes]])
    return Run(*found)


if __name__ == "__main__":
    made = run(history())
    Path(sys.argv[1]).write_bytes(msgspec.msgpack.encode((made.transactions, made.by_merchant, made.scoring_log)))
