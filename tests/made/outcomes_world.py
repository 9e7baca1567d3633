"""Decisions, and labels of them that are late, repeated, reversed, out of order, of another day, or not copied yet; and what a plain loop
makes of them."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.definitions import DAY
from tests.made.served_decisions import T0, decided

SOURCES = ("chargeback", "early_fraud_warning", "analyst", "refund")
Row = dict[str, Any]


@dataclass(frozen=True)
class World:
    """``labels`` are those of the topic, ``copies`` those on the users' log. Rows are in the order in which they are archived."""

    rows: list[Row]
    labels: list[Row]
    copies: list[Row]


def world(days: int = 20, a_day: int = 40, seed: int = 0) -> World:
    """Random, but the same for the same seed."""
    rng = np.random.default_rng(seed)
    made = World([], [], [])
    for number in range(days * a_day):
        at = float(rng.integers(0, days * 96)) / 96
        fraud = bool(rng.random() < 0.3)
        verdict = ("approve", "review", "block")[int(rng.choice(3, p=[0.3, 0.2, 0.5] if fraud else [0.8, 0.1, 0.1]))]
        made.rows.append(_decided(f"t{number}", f"u{number % 7}", at, verdict, number, rng))
    made.rows.sort(key=lambda row: int(row["event_time"]))
    # An id used again two hours later, what was delivered twice, and a record that was refused.
    again = [{**row, "event_time": row["event_time"] + DAY // 12, "decision": "block"} for row in made.rows[:200:10]]
    made.rows.extend([row for row in again if row["event_time"] % DAY >= DAY // 12])
    made.rows.extend([{**row, "offset": 100_000 + place} for place, row in enumerate(made.rows[:5])])
    made.rows.append({**made.rows[9], "transaction_id": "refused", "refused": "no such thing"})
    for place, row in enumerate(made.rows[: days * a_day]):
        if rng.random() < 0.35:
            _label(made, row, place, rng)
    return made


def _decided(transaction: str, user: str, day: float, verdict: str, number: int, rng: np.random.Generator) -> Row:
    return {
        **decided(transaction, day, number, verdict, user_id=user),
        "merchant_id": f"m{number % 3}",
        "amount": 100,
        "probability": float(rng.random()),
        "model_version": "1",
        "model_digest": "m",
        "policy_digest": "p",
        "variant": "champion",
        "origin": "api" if number % 5 == 0 else "stream",
        "decided_at": T0 + int(day * DAY) + 7,
        "degraded": number % 11 == 0,
    }


def _label(made: World, row: Row, place: int, rng: np.random.Generator) -> None:
    """One to three labels of the decision, among them repeated ones and some of one time."""
    took = int(rng.integers(0, 9 * DAY))
    for turn in range(int(rng.integers(1, 4))):
        said = {
            "transaction_id": row["transaction_id"],
            "user_id": row["user_id"],
            # Some name another day than their transaction's.
            "event_time": int(row["event_time"]) + (int(rng.integers(-3, 4)) * DAY if rng.random() < 0.1 else 0),
            "label_time": int(row["event_time"]) + took,
            "is_fraud": bool(rng.random() < 0.7),
            "source": SOURCES[int(rng.integers(0, len(SOURCES)))],
            "timestamp": T0 + place,
            "partition": int(rng.integers(0, 2)),
            "offset": 10 * place + turn,
        }
        took = int(took if rng.random() < 0.4 else rng.integers(0, 9 * DAY))
        way = rng.random()
        if way < 0.9:
            made.labels.append(said)
        if way > 0.2:
            made.copies.append({**said, "kind": "label", "partition": 3, "offset": 100 * place + 10 * int(rng.integers(0, 9)) + turn})
        if way > 0.8:
            made.labels.append({**said, "offset": 10 * place + 5 + turn})
    if rng.random() < 0.1:
        made.labels.append({**said, "refused": "too far ahead", "is_fraud": not said["is_fraud"]})


def plain_outcomes(of: World, as_of: int, delay: int, fewest: int) -> list[Row]:
    """By loops over all rows, by the words of docs/monitoring.md and docs/semantics.md."""
    content: dict[tuple[str, str], dict[tuple[int, bool, str], tuple[int, ...]]] = defaultdict(dict)
    for on_log, labels in ((False, of.labels), (True, of.copies)):
        for label in labels:
            if label.get("refused") or label["label_time"] > as_of:
                continue
            place = (0, 0, label["partition"], label["offset"])
            if not on_log:
                place = (1, label["timestamp"], label["partition"], label["offset"])
            same = content[label["user_id"], label["transaction_id"]]
            what = (label["label_time"], label["is_fraud"], label["source"])
            there = same.get(what)
            same[what] = place if there is None or there[0] > place[0] else max(there, place)
    found = []
    seen: set[tuple[str, str, int]] = set()
    for row in sorted(of.rows, key=lambda row: (row["event_time"], row["partition"], row["offset"], row["row"])):
        key = (row["user_id"], row["transaction_id"])
        if row.get("refused") or row["event_time"] > as_of or (*key, row["event_time"] // DAY) in seen:
            continue
        seen.add((*key, row["event_time"] // DAY))
        found.append({**row, **_of_labels(content.get(key, {})), "mature": row["event_time"] + delay <= as_of})
    took: dict[str, list[int]] = defaultdict(list)
    for row in found:
        if row["is_fraud"] and row["event_time"] < (as_of - delay) // DAY * DAY:
            took[row["first_fraud_source"]].append(min(delay, max(0, row["first_fraud_time"] - row["event_time"])))
    everyone = [each for of_source in took.values() for each in of_source]
    for row in found:
        age, known = as_of - row["event_time"], 0.0
        for source in sorted(took):
            judged = took[source] if len(took[source]) >= fewest else everyone
            known += len(took[source]) / len(everyone) * sum(each <= age for each in judged) / len(judged)
        row["known"] = 1.0 if row["mature"] else known
        if row["is_fraud"] is not None:
            row["outcome"] = "fraud" if row["is_fraud"] else "legitimate"
        elif not row["mature"]:
            row["outcome"] = "immature"
        else:
            row["outcome"] = "unseen" if row["decision"] == "block" else "presumed_legitimate"
    return found


def _of_labels(content: dict[tuple[int, bool, str], tuple[int, ...]]) -> Row:
    ordered = sorted(content, key=lambda what: (what[0], content[what]))
    frauds = [what for what in ordered if what[1]]
    newest: tuple[Any, ...] = ordered[-1] if ordered else (None, None, None)
    return {
        "label_time": newest[0],
        "is_fraud": newest[1],
        "label_source": newest[2],
        "labels": len(ordered),
        "reversed": bool(frauds) and not newest[1],
        "first_label_time": ordered[0][0] if ordered else None,
        "first_fraud_time": frauds[0][0] if frauds else None,
        "first_fraud_source": frauds[0][2] if frauds else None,
    }
