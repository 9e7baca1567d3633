"""Times as others write them: one grammar, one rounding and one range for Kafka, HTTP and files.

A time is milliseconds since 1970-01-01 UTC, as a whole number or its decimal digits, or ISO 8601 text: a date, or a date, ``T`` or a space,
and hours and minutes; then perhaps seconds, with a fraction of at most nine digits, and ``Z`` or an offset such as ``+01:00``. Without an
offset it is UTC. What is finer than a millisecond is cut off, never rounded. Times lie from 1973 to 2286: what lies outside
was meant in another unit.
"""

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pyarrow as pa
import pyarrow.compute as pc

EARLIEST_MS, LATEST_MS = 10**11, 10**13

NO_TIME = "is no ISO 8601 time and no integer in ms"
TOO_EARLY = "lies before 1973: times are milliseconds"
TOO_LATE = "lies after 2286: times are milliseconds"

# Each unit's numbers of 2000 to 2286, and how many milliseconds one of it has. What would be earlier is rather of a clock that we don't
# know (ticks of .NET would be nanoseconds of 1990), and who followed the advice would be taken.
_OTHER_UNITS = (
    ("seconds", 946_684_800, 10**10, Fraction(1_000)),
    ("microseconds", 946_684_800 * 10**6, 10**16, Fraction(1, 10**3)),
    ("nanoseconds", 946_684_800 * 10**9, 10**19, Fraction(1, 10**6)),
)

# RE2, which Arrow uses, and Python's re read these alike. Years before 100 have no place in a calendar of Python's.
_DIGITS = "[0-9]{1,18}"
_DATE = "(?:[1-9][0-9]{3}|0[1-9][0-9]{2})-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_OF_DAY = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,9})?)?"
_OFFSET = "(?:Z|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)"
_NAIVE, _ZONED = f"{_DATE}(?:[T ]{_OF_DAY})?", f"{_DATE}[T ]{_OF_DAY}{_OFFSET}"
_is_digits, _is_iso = re.compile(_DIGITS).fullmatch, re.compile(f"{_NAIVE}|{_ZONED}").fullmatch
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def milliseconds(written: int | str) -> int:
    """A time as int ms UTC. Raises ValueError that goes on after the time's name: NO_TIME, TOO_EARLY or TOO_LATE."""
    found = written if isinstance(written, int) else _parsed(written)
    if found is None:
        raise ValueError(NO_TIME)
    if found < EARLIEST_MS:
        raise ValueError(TOO_EARLY)
    if found > LATEST_MS:
        raise ValueError(TOO_LATE)
    return found


def in_another_unit(number: int | float) -> str | None:
    """What to say of a number that is a time in another unit, after its name; None if it is none of 2000 to 2286."""
    for unit, least, most, milliseconds_each in _OTHER_UNITS:
        if least <= number < most:
            exact = Fraction(number) * milliseconds_each
            meant = int(exact) if isinstance(number, int) else round(exact)
            return f"{number} looks like {unit}; send milliseconds, {meant}"
    return None


def _parsed(text: str) -> int | None:
    if _is_digits(text):
        return int(text)
    if not _is_iso(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:  # no such day
        return None
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND


def of_timestamps(moments: pa.ChunkedArray) -> pa.ChunkedArray:
    """Timestamps of any unit and zone (without one: UTC) as int64 ms, a finer unit cut."""
    return pc.cast(pc.cast(moments, pa.timestamp("ms", moments.type.tz), safe=False), pa.int64())


def of_texts(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts as ``milliseconds`` reads them, int64 ms whatever their range, and null where one is no time."""
    blank = pa.scalar(None, pa.string())
    naive, zoned, digits = (pc.match_substring_regex(texts, f"^(?:{form})$") for form in (_NAIVE, _ZONED, _DIGITS))
    cut = pc.replace_substring_regex(texts, r"(\.[0-9]{3})[0-9]+", r"\1")
    return pc.coalesce(
        of_timestamps(_timestamps(pc.if_else(naive, cut, blank), pa.timestamp("ms"))),
        of_timestamps(_timestamps(pc.if_else(zoned, cut, blank), pa.timestamp("ms", "UTC"))),
        pc.cast(pc.if_else(digits, texts, blank), pa.int64()),
    )


def _timestamps(texts: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Texts of the right shape as timestamps, null where there is no such day; only then row by row."""
    try:
        return pc.cast(texts, kind)
    except pa.ArrowInvalid:
        return pa.chunked_array([pa.array([_timestamp_or_none(text, kind) for text in texts], type=kind)])


def _timestamp_or_none(text: pa.StringScalar, kind: pa.DataType) -> pa.Scalar | None:
    try:
        return text.cast(kind)
    except pa.ArrowInvalid:
        return None
