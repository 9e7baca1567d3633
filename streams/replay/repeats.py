"""A file's transactions as the stream takes them: each user's of one id once, the first in time.

What the stream knows of those sent before it knows for an hour of log time (``streams/state/duplicates.py``); a file has no such time, and
is remembered whole.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from features.arrays import Bool, Int64
from streams.messages.events import Transaction
from streams.state.duplicates import Sighting, TransactionMemory

_FOR_EVER = 1 << 62
_FIELDS = Transaction.__struct_fields__


class Once(NamedTuple):
    """``table`` without repeats: the rows ``kept`` (int64, rising) of the original. ``duplicates`` is how many were left out as the same
    once more, ``conflicts`` how many as the same id with other content, which the stream refuses."""

    table: pa.Table
    kept: Int64
    duplicates: int
    conflicts: int


def each_once(table: pa.Table) -> Once:
    """The canonical table with the first of each transaction by event time, else by row. It is a fraud, and has a label, if one that is the
    same is: the label of either is sent. What a conflicting row says of fraud goes with it."""
    places, messages, found = _sightings(table)
    if not found:
        return Once(table, np.arange(len(table)), 0, 0)
    gone = np.zeros(len(table), np.bool_)
    gone[places[[place for place, _ in found]]] = True
    same = [place for place, sighting in found if sighting is Sighting.DUPLICATE]
    kept = np.flatnonzero(~gone)
    once = _with_marks(table, places, messages, same).take(pa.array(kept))
    return Once(once, kept, len(same), len(found) - len(same))


def conflicting(table: pa.Table) -> Bool:
    """Whether each row has the id of one before it with other content: what it says of fraud is said of a transaction that isn't taken."""
    conflicts = np.zeros(len(table), np.bool_)
    places, _, found = _sightings(table)
    conflicts[places[[place for place, sighting in found if sighting is not Sighting.DUPLICATE]]] = True
    return conflicts


def left_out(duplicates: int, conflicts: int) -> str:
    """How many rows a command doesn't count, for people."""
    return f"left out: {duplicates:,} rows that are in the file before, {conflicts:,} whose id it has before with other content"


def _sightings(table: pa.Table) -> tuple[Int64, list[Transaction], list[tuple[int, Sighting]]]:
    """The rows whose user and id stand more than once, as messages too, and which of them (by their places among these) came before."""
    places = _repeated(table)
    rows = table.take(pa.array(places))
    messages = [Transaction(*values) for values in zip(*(rows[name].to_pylist() for name in _FIELDS), strict=True)]
    return places, messages, list(TransactionMemory(_FOR_EVER, _FOR_EVER).take(messages, [0] * len(messages)))


def _repeated(table: pa.Table) -> Int64:
    """The rows whose user and id stand more than once, in the order of a replay."""
    user, name = (
        table[key].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64) for key in ("user_id", "transaction_id")
    )
    _, identity, count = np.unique(user * (int(name.max(initial=0)) + 1) + name, return_inverse=True, return_counts=True)
    places = np.flatnonzero(count[identity] > 1)
    return np.asarray(places[np.argsort(table["event_time"].to_numpy()[places], kind="stable")])


def _with_marks(table: pa.Table, places: Int64, messages: list[Transaction], same: list[int]) -> pa.Table:
    """The table with what duplicates say of fraud in the rows that stay."""
    first: dict[tuple[str, str], int] = {}
    for place, message in enumerate(messages):
        first.setdefault((message.user_id, message.transaction_id), place)
    marks, times = (table[name].to_pylist() for name in ("is_fraud", "label_time"))
    for place in same:
        row, again = int(places[first[messages[place].user_id, messages[place].transaction_id]]), int(places[place])
        if marks[row] is None or (marks[again] and not marks[row]):
            marks[row], times[row] = marks[again], times[again]
    for name, values in (("is_fraud", marks), ("label_time", times)):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))
    return table
