"""A vector that was made of another past than the log's is traced to what was changed."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from features.arrays import Float32
from features.definitions import DAY, HOUR, MINUTE
from features.oracle import Oracle
from streams.audit.causes import Case, Suspicion, suspicions, verdicts
from streams.audit.dossier import History
from streams.audit.recomputation import Applied
from streams.messages.events import Transaction
from tests.made.records import FRAUD_V1

START = 1_700_000_000_000


def applied(offset: int, time: int, amount: int = 700) -> Applied:
    return Applied(0, offset, offset, None, 0, Transaction(f"t{offset}", START + time, "u", "m", amount, "EUR"))


# One a quarter of an hour, the amounts all different, the sixth an hour late.
PAST = [applied(i, i * 15 * MINUTE - (HOUR if i == 5 else 0), 100 + i * i) for i in range(12)]
AT_HAND = applied(12, 12 * 15 * MINUTE)
LATE = applied(12, 10 * 15 * MINUTE)


def seen(past: Sequence[Applied], at_hand: Applied) -> Float32:
    """What the oracle says after this past."""
    oracle = Oracle.of(FRAUD_V1)
    for one in past:
        oracle.apply_transaction(one.event)  # type: ignore[arg-type]
    features = oracle.observe(at_hand.event)  # type: ignore[arg-type]
    return np.array([features[name] for name in FRAUD_V1.names], np.float32)


def case(served: Float32, at_hand: Applied = AT_HAND, foreign_code: bool = False) -> tuple[Case, list[Suspicion]]:
    made = Case(served, seen(PAST, at_hand), History(at_hand, PAST, PAST), foreign_code)
    return made, suspicions(FRAUD_V1, made)


@pytest.mark.parametrize(
    ("change", "cause", "sentence"),
    [
        (lambda past: past[:7] + past[8:], "missing event", "'t7' at transactions[0, 7] was left out"),
        (lambda past: [*past[:8], *past[7:]], "duplicate", "'t7' at transactions[0, 7] was counted twice"),
        (lambda past: [*past, AT_HAND], "duplicate", "transaction at hand was counted before it was judged"),
        (lambda past: past[:-4], "lag", "newest 4 of 12 events were not there yet"),
    ],
)
def test_another_past_is_named(change: Callable[[list[Applied]], list[Applied]], cause: str, sentence: str) -> None:
    ((found, words),) = verdicts([case(seen(change(PAST), AT_HAND))])
    assert found == cause
    assert sentence in words


def test_a_rewound_anchor_is_late() -> None:
    served = seen([one for one in PAST if int(one.event.event_time) <= int(LATE.event.event_time)], LATE)
    ((found, words),) = verdicts([case(served, LATE)])
    assert found == "late"
    assert "rewound" in words


def test_a_mean_that_is_off_by_a_rounding_is_float_and_by_more_is_unknown() -> None:
    served = seen(PAST, AT_HAND)
    mean = FRAUD_V1.names.index("user_mean_amount_24h")
    for ulps, cause in ((3, "float"), (300, "unknown")):
        off = served.copy()
        off.view(np.uint32)[mean] += ulps
        ((found, _),) = verdicts([case(off)])
        assert found == cause


def test_a_count_that_is_off_is_no_rounding() -> None:
    off = seen(PAST, AT_HAND)
    off[FRAUD_V1.names.index("user_tx_count_24h")] += 1
    ((found, _),) = verdicts([case(off)])
    assert found == "unknown"


def test_an_event_that_stays_away_is_missing_to_the_next_transaction_too() -> None:
    newest = case(seen(PAST[:-1], AT_HAND))
    assert [found for found, _ in verdicts([newest])] == ["lag"]
    later = applied(13, 13 * 15 * MINUTE)
    past = [*PAST, AT_HAND]
    made = Case(seen([*PAST[:-1], AT_HAND], later), seen(past, later), History(later, past, past), False)
    assert [found for found, _ in verdicts([newest, (made, suspicions(FRAUD_V1, made))])] == ["missing event"] * 2


def test_other_code_is_to_blame_unless_one_past_explains_all_that_it_made() -> None:
    explained = case(seen(PAST[:7] + PAST[8:], AT_HAND), foreign_code=True)
    off = seen(PAST, AT_HAND)
    off[FRAUD_V1.names.index("user_tx_count_24h")] += 1
    inexplicable = case(off, foreign_code=True)
    assert [found for found, _ in verdicts([explained])] == ["missing event"]
    assert [found for found, _ in verdicts([explained, inexplicable])] == ["code version"] * 2


def test_what_the_request_itself_says_has_no_past() -> None:
    off = seen(PAST, AT_HAND)
    off[FRAUD_V1.names.index("hour")] += 1
    ((found, _),) = verdicts([case(off)])
    assert found == "unknown"
    assert int(AT_HAND.event.event_time) < START + DAY
