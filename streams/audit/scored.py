"""One decision as the scoring log has it, and what may be wrong with it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from features.arrays import Float32
from features.definitions import Entity
from features.oracle import BOTH
from streams.audit.causes import Cause
from streams.audit.recomputation import StateAt
from streams.messages.record import SourcePosition


class Scored(NamedTuple):
    """One row of the scoring log. ``place`` is the transaction's on ``transactions``, ``log_place`` its batch's on the merchants' log;
    ``states`` are those that the API read, None for a key it had never seen, and no states at all for what the stream decided."""

    transaction_id: str
    event_time: int
    user_id: str
    merchant_id: str
    amount: int
    probability: float
    place: SourcePosition
    log_place: SourcePosition
    states: Sequence[StateAt | None] | None
    model_version: str
    model_digest: str
    policy_digest: str
    variant: str
    control_revision: int
    features_digest: str
    code_digest: str
    vector: Float32

    @classmethod
    def of(cls, rows: pa.Table, i: int) -> "Scored":
        """The row of that number."""
        row: dict[str, Any] = {name: rows[name][i].as_py() for name in rows.column_names if name != "vector"}
        read = tuple(_state(row, entity) for entity in BOTH) if row["origin"] == "api" else None
        own = {name: row[name] for name in cls._fields if name in row}
        return cls(
            **own,
            place=(row["source_partition"], row["source_offset"]),
            log_place=(row["log_partition"], row["log_offset"]),
            states=read,
            vector=np.array(rows["vector"][i].as_py(), np.float32),
        )

    @property
    def where(self) -> str:
        """Which transaction this is, for people."""
        return f"{self.transaction_id} of user {self.user_id} (transactions[{self.place[0]}] at {self.place[1]})"


def _state(row: dict[str, Any], entity: Entity) -> StateAt | None:
    partition, offset = row[f"{entity}_state_partition"], row[f"{entity}_state_offset"]
    return None if offset < 0 else StateAt(entity, partition, offset, row[f"{entity}_id"])


class Difference(NamedTuple):
    """One figure, as it was served and as it must be."""

    feature: str
    served: float
    expected: float


@dataclass(frozen=True)
class Mismatch:
    """A decision that can't be reproduced: its ``vector`` against the kernel's, its ``probability`` against the model's, or the kernel's
    vector against the ``oracle``'s. ``expected`` is None if by the logs there is nothing to decide. The cause may be found later."""

    what: str
    scored: Scored
    expected: Float32 | None
    cause: Cause | None = None
    sentence: str = ""
    differences: Sequence[Difference] = field(default=())


def differences(names: Sequence[str], served: Float32, expected: Float32) -> list[Difference]:
    """The figures (float32, len(names) each) that differ in any bit."""
    differing = np.flatnonzero(served.view(np.uint32) != expected.view(np.uint32)).tolist() if len(served) == len(expected) else []
    return [Difference(names[i], float(served[i]), float(expected[i])) for i in differing]
