"""The fifteen features that the Fraud Detection Handbook gave its models (Le Borgne et al., 2022, ch. 3.4), to compare with ours.

Exact rolling windows over a finished history; the transaction at hand is in its windows, as it is in theirs. Terminals' risk comes late by
the label delay. This is a yardstick for the benchmark, not for serving.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from features.arrays import Float32, Int64
from features.definitions import DAY
from features.vector import request_features

WINDOW_DAYS = (1, 7, 30)
DELAY_DAYS = 7

NAMES = (
    "TX_AMOUNT",
    "TX_DURING_WEEKEND",
    "TX_DURING_NIGHT",
    *(f"CUSTOMER_ID_{measure}_{days}DAY_WINDOW" for days in WINDOW_DAYS for measure in ("NB_TX", "AVG_AMOUNT")),
    *(f"TERMINAL_ID_{measure}_{days}DAY_WINDOW" for days in WINDOW_DAYS for measure in ("NB_TX", "RISK")),
)


def handbook_features(
    event_time: Int64, user: npt.NDArray[np.generic], merchant: npt.NDArray[np.generic], amount: Int64, is_fraud: npt.NDArray[np.bool_]
) -> Float32:
    """The features (float32, n × len(NAMES)) of transactions in time order, one entry each; ``event_time`` in ms, ``amount`` minor units.

    Amounts are in major units, as theirs; nights end at six, as theirs. No label younger than seven days has a part in any row.
    """
    customers, terminals = _History.of(user, event_time), _History.of(merchant, event_time)
    request = request_features(event_time, amount)
    columns: list[npt.NDArray[np.floating]] = [amount / 100, request[:, 4], request[:, 3]]
    for days in WINDOW_DAYS:
        count, total = customers.within(days, amount / 100)
        columns += [count, total / count]
    for days in WINDOW_DAYS:
        (recent, recent_frauds), (whole, frauds) = (
            terminals.within(d, is_fraud.astype(np.float64)) for d in (DELAY_DAYS, DELAY_DAYS + days)
        )
        count = whole - recent
        columns += [count, np.where(count > 0, (frauds - recent_frauds) / np.maximum(count, 1), 0)]
    return np.column_stack(columns).astype(np.float32)


@dataclass(frozen=True)
class _History:
    """Rows sorted by key, then as they came: ``order``, and a ``moment`` that rises with key and time: one search serves all keys."""

    order: Int64
    moment: Int64
    event_time: Int64

    @classmethod
    def of(cls, key: npt.NDArray[np.generic], event_time: Int64) -> Self:
        code = np.unique(key, return_inverse=True)[1].astype(np.int64)
        order = np.argsort(code, kind="stable")
        # Longer than any window beyond the longest history, so that no window reaches into another key.
        apart = int(event_time.max() - event_time.min()) + 100 * DAY
        since_first = event_time - event_time.min()
        return cls(order, (code * apart + since_first)[order], event_time)

    def within(self, days: int, value: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Count and sum of ``value`` over the key's rows of the last so many days, up to each row and with it."""
        until = np.arange(1, len(self.order) + 1)
        begin = np.searchsorted(self.moment, self.moment - days * DAY, side="right")
        cumulated = np.concatenate([[0], np.cumsum(value[self.order])])
        count, total = np.empty(len(until)), np.empty(len(until))
        count[self.order], total[self.order] = until - begin, cumulated[until] - cumulated[begin]
        return count, total
