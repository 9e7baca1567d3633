"""Orders by probability: of rows, and of each day's cards."""

import numpy as np
import numpy.typing as npt

from features.arrays import Bool, Float64, Int64


def ranked(probability: Float64) -> tuple[Int64, Float64, Int64]:
    """Numbers of the rows by probability, highest first and equal ones as they came; the probabilities in that order; and the places in it
    where a run of equal ones ends."""
    order = np.argsort(-probability, kind="stable")
    falling = probability[order]
    ends = np.append(falling[1:] != falling[:-1], True)[: len(falling)]
    return order, falling, np.flatnonzero(ends)


def ranked_cards(day: Int64, user: npt.NDArray[np.generic], is_fraud: Bool, probability: Float64) -> tuple[Int64, list[tuple[Int64, Bool]]]:
    """The card (numbered from 0 in the users' order) of each transaction; and of each day, in order, its cards by their highest probability
    that day, equal ones by number, and whether each was compromised that day. One entry a transaction. Raises ValueError without any."""
    if not len(day):
        raise ValueError("card precision needs at least one transaction")
    users, card = np.unique(user, return_inverse=True)
    days = []
    for today in np.unique(day):
        rows = day == today
        highest = np.full(len(users), -np.inf)
        np.maximum.at(highest, card[rows], probability[rows])
        compromised = np.zeros(len(users), np.bool_)
        compromised[card[rows & is_fraud]] = True
        seen = np.flatnonzero(highest > -np.inf)
        cards = seen[np.argsort(-highest[seen], kind="stable")]
        days.append((cards, compromised[cards]))
    return card, days
