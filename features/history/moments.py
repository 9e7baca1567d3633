"""Moments and days as people write them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from features.definitions import DAY
from features.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

from datetime import date


def day_ms(option: str, text: str) -> int:
    """Midnight UTC of a day such as 2018-08-01, in ms. Raises UserError that names the option for anything else."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise UserError(f"{option} {text} is no day; write it as 2018-08-01") from None
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)


def day_range(begin: str | None, end: str | None) -> tuple[int | None, int | None]:
    """``--from`` (inclusive) and ``--to`` (exclusive) in ms UTC, None where it isn't given. Raises UserError if nothing lies between."""
    start_ms = None if begin is None else day_ms("--from", begin)
    end_ms = None if end is None else day_ms("--to", end)
    if start_ms is not None and end_ms is not None and start_ms >= end_ms:
        raise UserError(f"--to {end} must lie after --from {begin}, for --to is exclusive; for one day, give the next day")
    return start_ms, end_ms


def span(table: "pa.Table", file: Path) -> tuple[int, int]:
    """First and last event time (ms). Raises UserError if there is none."""
    import pyarrow.compute as pc

    if not table.num_rows:
        raise UserError(f"{file.name} has no transactions; give a file that has some")
    found = pc.min_max(table["event_time"])
    return found["min"].as_py(), found["max"].as_py()


def moment(milliseconds: int) -> str:
    """ISO 8601 in UTC, only the day where it is midnight."""
    at = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return at.date().isoformat() if milliseconds % DAY == 0 else at.isoformat(timespec="seconds")
