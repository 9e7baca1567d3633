"""When the fraud marks of a file become labels: ``--labels-after 7d`` lets each fraud be known that much after its transaction."""

import re

import pyarrow as pa
import pyarrow.compute as pc

from features.errors import UserError
from features.history.columns import CANONICAL
from features.times import LATEST_MS

DEFAULT_DELAY = "7d"
_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_LONGEST_MS = 3_650 * _UNITS_MS["d"]


def parse_labels_after(text: str | None, labelled: bool) -> int | None:
    """The delay in ms, or None where no labels are to be sent.

    ``text`` is a duration such as 7d, 12h, 30m or 0s, ``none``, or None for the default: 7d if the file is ``labelled``. Raises UserError
    for anything else, and for a duration where the file has no fraud column.
    """
    if text is None:
        text = DEFAULT_DELAY if labelled else "none"
    if text == "none":
        return None
    match = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    delay = int(match[1]) * _UNITS_MS[match[2]] if match else -1
    if not 0 <= delay <= _LONGEST_MS:
        raise UserError(f"--labels-after {text} is not a duration of at most ten years; use for example 7d, 12h or none")
    if not labelled:
        raise UserError(f"--labels-after {text} needs a fraud column; map it with --columns is_fraud=… or use --labels-after none")
    return delay


def with_label_times(table: pa.Table, delay_ms: int | None) -> pa.Table:
    """The canonical table with label_time = event_time + ``delay_ms`` for the frauds and null for all others; all null for None. A label
    that would lie beyond all times that may be sent is never known either."""
    if delay_ms is None:
        known = pa.nulls(table.num_rows, pa.int64())
    else:
        known_at = pc.add(table.column("event_time"), pa.scalar(delay_ms, pa.int64()))
        sent = pc.and_(pc.fill_null(table.column("is_fraud"), False), pc.less_equal(known_at, LATEST_MS))
        known = pc.if_else(sent, known_at, pa.scalar(None, pa.int64()))
    return table.set_column(CANONICAL.get_field_index("label_time"), CANONICAL.field("label_time"), known)
