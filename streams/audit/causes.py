"""Why a vector is not what the logs say: one thing is changed in the past of its user and merchant, and the vector made again.

What makes the very vector that was served is the cause. Only that one transaction's keys are replayed, by the kernel.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np

from features.arrays import Float32, RecordKind
from features.definitions import Entity, FeatureSet
from features.state import EntityState
from features.vector import device_hashes
from streams.audit.dossier import History
from streams.audit.recomputation import Applied
from streams.messages.events import Label, Transaction

# fmt: off
Cause = Literal[
    "late", "duplicate", "code version", "definition version", "missing event", "lag", "float", "unknown",
    "undecided", "missing decision", "repeated decision", "differing decision", "foreign decision",
]
# fmt: on
CAUSES: tuple[Cause, ...] = get_args(Cause)
OF_COMPLETENESS = CAUSES[CAUSES.index("undecided") :]

# Of so many of a key's newest events each is left out, or counted twice, by itself.
_EVENTS = 300
_MOST_BEHIND = 50

_UNIT_ROUNDOFF = 2.0**-24
# Divisions and the last rounding add to what summing does.
_ROUNDINGS = 4


class Suspicion(NamedTuple):
    """A change that makes the vector that was served, and the one event that it is about, if it is about one."""

    cause: Cause
    sentence: str
    event: tuple[int, int] | None = None


@dataclass(frozen=True)
class Case:
    """A vector as it was served and as the logs say (float32, len(names)), what its keys had seen, None if the logs no longer tell, and
    whether other code made it."""

    served: Float32
    expected: Float32
    history: History | None
    foreign_code: bool


def suspicions(feature_set: FeatureSet, case: Case) -> list[Suspicion]:
    """All that explains the whole difference, the most telling first."""
    request = len(feature_set.of("request"))
    split = request + len(feature_set.of("user"))
    if case.history is None or not _same(case.served[:request], case.expected[:request]):
        return []
    found: list[list[Suspicion]] = []
    halves: tuple[tuple[Entity, slice], ...] = (("user", slice(request, split)), ("merchant", slice(split, None)))
    for entity, part in halves:
        if not _same(case.served[part], case.expected[part]):
            found.append(_of_half(feature_set, entity, case.history, case.served[part], case.expected[part]))
    if not found:
        return []
    first, *others = found
    return [suspicion for suspicion in first if all(suspicion.cause in {other.cause for other in half} for half in others)]


def verdicts(cases: Sequence[tuple[Case, Sequence[Suspicion]]]) -> list[tuple[Cause, str]]:
    """The cause of each case and a sentence about it, seen together.

    Faulty code leaves mismatches that nothing in the past explains, and by chance some that something does: those of other code are laid to
    the past only if all of them can be. An event that is missing for good looks like lag to the next transaction only.
    """
    past = all(suspected for case, suspected in cases if case.foreign_code)
    missing = Counter(
        suspicion.event
        for _, suspected in cases
        for suspicion in suspected
        if suspicion.cause == "missing event" and not _has_lag(suspected)
    )
    found: list[tuple[Cause, str]] = []
    for case, suspected in cases:
        likely = [one for one in suspected if one.cause == "float"] if case.foreign_code and not past else list(suspected)
        for_good = [one for one in likely if one.cause == "missing event" and missing[one.event]]
        chosen = next(iter([*for_good, *likely]), None)
        if chosen is not None:
            found.append((chosen.cause, chosen.sentence))
        elif case.foreign_code:
            found.append(("code version", "other code made it, and no change of what it had seen does"))
        elif case.history is None:
            found.append(("unknown", "the logs no longer tell what user and merchant had seen, so no cause can be looked for"))
        else:
            found.append(("unknown", "no single change of what user and merchant had seen makes it"))
    return found


def _has_lag(suspected: Sequence[Suspicion]) -> bool:
    return any(suspicion.cause == "lag" for suspicion in suspected)


def _of_half(feature_set: FeatureSet, entity: Entity, history: History, served: Float32, expected: Float32) -> list[Suspicion]:
    at_hand, past = history.transaction, list(history.of(entity))
    changes = list(_changes(entity, at_hand, past))
    made = _halves(feature_set, entity, [past, *(changed for _, changed in changes)], at_hand)
    if not _same(made[0], expected):
        # What is known of the past doesn't give what the logs say, as after a long absence: changes of it would prove nothing.
        return []
    found = [suspicion for (suspicion, _), half in zip(changes, made[1:], strict=True) if _same(half, served)]
    if _is_rounding(feature_set, entity, served, expected):
        found.append(Suspicion("float", "no count differs, and no value by more than adding up in float32 may"))
    return found


def _changes(entity: Entity, at_hand: Applied, past: list[Applied]) -> Iterator[tuple[Suspicion, list[Applied]]]:
    """Pasts with one thing changed, and what it would mean."""
    of = f"the {entity}'s"
    # To one that comes late, the events that are ahead of it in time look like the newest.
    time = at_hand.event.event_time
    ordered = sorted(past, key=lambda applied: applied.event.event_time)
    yield Suspicion("late", f"{of} anchor was rewound to a late transaction"), [a for a in ordered if a.event.event_time <= time]
    yield Suspicion("late", f"{of} events were taken in the order of their event times"), ordered
    for k in range(1, min(_MOST_BEHIND, len(past)) + 1):
        yield Suspicion("lag", f"{of} newest {k} of {len(past)} events were not there yet"), past[:-k]
    for number in range(len(past) - 1, max(-1, len(past) - 1 - _EVENTS), -1):
        event = past[number]
        where = (event.source, event.offset)
        title = f"{_title(event)} at transactions{list(where)}"
        yield Suspicion("missing event", f"{of} {title} was left out", where), past[:number] + past[number + 1 :]
        if isinstance(event.event, Transaction):
            yield Suspicion("duplicate", f"{of} {title} was counted twice", where), [*past[: number + 1], *past[number:]]
    yield Suspicion("duplicate", f"{of} transaction at hand was counted before it was judged"), [*past, at_hand]


def _title(applied: Applied) -> str:
    return f"{'label of ' if isinstance(applied.event, Label) else ''}{applied.event.transaction_id!r}"


def _halves(feature_set: FeatureSet, entity: Entity, pasts: Sequence[Sequence[Applied]], at_hand: Applied) -> Float32:
    """What the transaction at hand would see after each of these pasts (float32, n × width): each is a key of its own."""
    state = EntityState(feature_set, entity, capacity=len(pasts))
    slots = state.slots([str(number) for number in range(len(pasts))])
    # An event stands in nearly every past, so its figures are made once.
    figures = {id(applied): _figures(applied) for past in (*pasts[:1], [at_hand]) for applied in past}
    rows = [(slot, *figures[id(applied)]) for slot, past in zip(slots.tolist(), pasts, strict=True) for applied in past]
    slot, kind, time, amount, fraud, device = np.array(rows, np.int64).reshape(-1, 6).T
    state.apply(kind.astype(np.int8), slot, time, amount, fraud, device)
    at = [np.full(len(pasts), figure, np.int64) for figure in _figures(at_hand)]
    return state.observe(slots, at[1], at[2], at[4])


def _figures(applied: Applied) -> tuple[int, int, int, int, int]:
    """Kind, time, amount, fraud and device, as the kernel takes them."""
    event = applied.event
    if isinstance(event, Label):
        return RecordKind.LABEL, event.event_time, 0, applied.fraud, 0
    return RecordKind.TRANSACTION, event.event_time, event.amount, 0, int(device_hashes([event.device_id])[0])


def _is_rounding(feature_set: FeatureSet, entity: Entity, served: Float32, expected: Float32) -> bool:
    """Whether all that differs are quotients, by no more than float32 sums may be wrong (Higham, "Accuracy and Stability of Numerical
    Algorithms", 2002, section 4.2: (n − 1) unit roundoffs for n summands of one sign)."""
    features = feature_set.of(entity)
    counts: Mapping[object, float] = {
        feature.window: float(value)
        for feature, value in zip(features, expected, strict=True)
        if feature.measure in ("tx_count", "matured_count")
    }
    for feature, was, should in zip(features, served.tolist(), expected.tolist(), strict=True):
        if was == should or (was != was and should != should):
            continue
        if feature.measure not in ("mean_amount", "amount_ratio", "fraud_rate"):
            return False
        if not abs(was - should) <= (counts[feature.window] + _ROUNDINGS) * 2 * _UNIT_ROUNDOFF * abs(should):
            return False
    return True


def _same(one: Float32, other: Float32) -> bool:
    return one.tobytes() == other.tobytes()
