"""How a column of a file becomes a field's values: ids, texts, times, amounts, currencies, fraud marks.

Each reader takes a column (``pa.ChunkedArray`` of any type) and returns the values with the faults among its rows. A fault costs no error
here: the caller gathers the faults of all columns and names them together. A column whose type can't be read at all raises
``UnfitColumnError``. Everything is vectorised; the bounds are those of the messages in ``streams/messages/events.py``.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.arrays import Bool
from features.times import EARLIEST_MS, LATEST_MS, NO_TIME, TOO_EARLY, TOO_LATE, of_texts, of_timestamps

MAX_ID_CHARACTERS = 256
MAX_AMOUNT = 10**12

# ISO 4217 currencies whose minor unit isn't a hundredth.
_UNDIVIDED = ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF")
_IN_THOUSANDTHS = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")
_MINOR_DIGITS = dict.fromkeys(_UNDIVIDED, 0) | dict.fromkeys(_IN_THOUSANDTHS, 3)
_NUMBER_TEXT = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"


class UnfitColumnError(ValueError):
    """The column's type can't hold this field; the message continues "column x …"."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with some rows of a column: ``rows`` (bool, one entry a row) and a problem that continues "value … "."""

    problem: str
    rows: Bool


@dataclass(frozen=True)
class Values:
    """A field's values (null wherever a row is at fault) and what is wrong with the rows at fault."""

    column: pa.ChunkedArray
    faults: tuple[Fault, ...] = ()


def identifiers(column: pa.ChunkedArray) -> Values:
    """Ids as strings of 1 to 256 characters; integers become decimal strings. Missing and empty ones are faults."""
    text = _text(column)
    length = pc.fill_null(pc.utf8_length(text.column), 0)
    return _check(
        text.column,
        *text.faults,
        *_faults("is missing or empty", pc.and_(pc.equal(length, 0), column.is_valid()), column.is_null()),
        *_faults(f"is longer than {MAX_ID_CHARACTERS} characters", pc.greater(length, MAX_ID_CHARACTERS)),
    )


def texts(column: pa.ChunkedArray) -> Values:
    """Optional texts of at most 256 characters; integers become decimal strings, missing and empty ones null."""
    text = _text(column)
    length = pc.utf8_length(text.column)
    present = pc.if_else(pc.equal(length, 0), pa.scalar(None, pa.string()), text.column)
    return _check(present, *text.faults, *_faults(f"is longer than {MAX_ID_CHARACTERS} characters", pc.greater(length, MAX_ID_CHARACTERS)))


def currencies(column: pa.ChunkedArray) -> Values:
    """ISO 4217 codes of three capital letters."""
    text = _plain(column)
    if not pa.types.is_string(text.type):
        raise UnfitColumnError(f"holds {column.type}, but a currency is text, such as EUR")
    fits = pc.fill_null(pc.match_substring_regex(text, "^[A-Z]{3}$"), False)
    return _check(text, *_faults("is no ISO 4217 code such as EUR", pc.invert(fits)))


def times(column: pa.ChunkedArray) -> Values:
    """Times as int64 ms UTC, from timestamps (without a zone: UTC), integers (ms) or texts; see ``features/times.py``."""
    plain = _plain(column)
    faults: tuple[Fault, ...] = ()
    if pa.types.is_timestamp(plain.type):
        millis = of_timestamps(plain)
    elif pa.types.is_integer(plain.type):
        # A uint64 beyond int64 wraps to a negative number, which no bound lets through.
        millis = pc.cast(plain, pa.int64(), safe=False)
    elif pa.types.is_string(plain.type):
        millis = of_texts(plain)
        faults = _faults(NO_TIME, pc.and_(plain.is_valid(), millis.is_null()))
    else:
        raise UnfitColumnError(f"holds {column.type}, but a time is a timestamp, an integer in ms or ISO 8601 text")
    return _check(
        millis,
        *faults,
        *_faults("is missing", column.is_null()),
        *_faults(f"{TOO_EARLY}, these may be seconds", pc.less(millis, EARLIEST_MS)),
        *_faults(TOO_LATE, pc.greater(millis, LATEST_MS)),
    )


def amounts(column: pa.ChunkedArray, unit: str, currency: pa.ChunkedArray) -> Values:
    """Amounts as int64 minor units. ``unit`` "major" multiplies by the currency's minor units (EUR 100, JPY 1, KWD 1,000) and rounds
    to the nearest, half to even; "minor" wants whole numbers. ``currency`` holds each row's code."""
    plain = _plain(column)
    faults: tuple[Fault, ...] = ()
    if pa.types.is_string(plain.type):
        fits = pc.match_substring_regex(plain, _NUMBER_TEXT)
        faults = _faults("is no number", pc.invert(pc.fill_null(fits, True)))
        plain = pc.if_else(fits, plain, pa.scalar(None, pa.string()))
    elif not (pa.types.is_integer(plain.type) or pa.types.is_floating(plain.type) or pa.types.is_decimal(plain.type)):
        raise UnfitColumnError(f"holds {column.type}, but an amount is a number")
    number = pc.cast(plain, pa.float64(), safe=False)
    value = pc.fill_null(number, np.nan).to_numpy()
    absent = column.is_null().to_numpy()
    with np.errstate(invalid="ignore", over="ignore"):
        minor = value * _minor_units(currency) if unit == "major" else value
        whole = np.rint(minor)
        faults += _faults("is missing", absent)
        faults += _faults("is no finite number", number.is_valid().to_numpy() & ~np.isfinite(value))
        faults += _faults("is negative", value < 0)
        faults += _faults("is above 10^12 minor units", np.isfinite(value) & (whole > MAX_AMOUNT))
        if unit == "minor":
            faults += _faults("is not a whole number of minor units; use --amount-unit major", np.isfinite(value) & (whole != minor))
    usable = np.isfinite(whole) & (np.abs(whole) <= MAX_AMOUNT)
    return _check(pa.chunked_array([pa.array(np.where(usable, whole, 0).astype(np.int64), mask=~usable)]), *faults)


def frauds(column: pa.ChunkedArray) -> Values:
    """Fraud marks as bool, from bool, 0 and 1, or true and false in any case; null where nothing is known."""
    plain = _plain(column)
    if pa.types.is_boolean(plain.type):
        return Values(plain)
    if pa.types.is_null(plain.type):
        return Values(pc.cast(plain, pa.bool_()))
    if not (pa.types.is_integer(plain.type) or pa.types.is_floating(plain.type) or pa.types.is_string(plain.type)):
        raise UnfitColumnError(f"holds {column.type}, but a fraud mark is true or false, or 1 or 0")
    if pa.types.is_string(plain.type):
        lower = pc.utf8_lower(plain)
        true, false = (pc.is_in(lower, pa.array(words)) for words in (["1", "true"], ["0", "false"]))
    else:
        true, false = pc.fill_null(pc.equal(plain, 1), False), pc.fill_null(pc.equal(plain, 0), False)
    known = pc.or_(true, false)
    mark = pc.if_else(known, true, pa.scalar(None, pa.bool_()))
    return _check(mark, *_faults("is neither true nor false, 1 nor 0", pc.and_(pc.invert(known), column.is_valid())))


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column without dictionary encoding, texts as ``string``."""
    if pa.types.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = pc.cast(column, pa.string())
    return column


def _text(column: pa.ChunkedArray) -> Values:
    """Texts as they are and whole numbers as decimal strings; whole floats too, for that is what pandas makes of ids with gaps."""
    plain = _plain(column)
    if pa.types.is_string(plain.type):
        return Values(plain)
    if pa.types.is_integer(plain.type) or pa.types.is_null(plain.type):
        return Values(pc.cast(plain, pa.string()))
    if pa.types.is_floating(plain.type):
        value = pc.fill_null(pc.cast(plain, pa.float64()), np.nan).to_numpy()
        whole = np.isfinite(value) & (np.abs(value) < 2.0**53)
        whole[whole] = value[whole] == np.rint(value[whole])
        number = pa.array(np.where(whole, value, 0).astype(np.int64), mask=~whole)
        text = pa.chunked_array([pc.cast(number, pa.string())])
        return Values(text, _faults("is no whole number", plain.is_valid().to_numpy() & ~whole))
    raise UnfitColumnError(f"holds {column.type}, but this field is text or a whole number")


def _minor_units(currency: pa.ChunkedArray) -> npt.NDArray[np.float64] | float:
    """Minor units in one major unit, for each row, or one number for all."""
    codes = pc.unique(currency).to_pylist()
    digits = {code: _MINOR_DIGITS.get(code, 2) for code in codes}
    if len(set(digits.values())) <= 1:
        return 10.0 ** next(iter(digits.values()), 2)
    units = pa.array([10.0 ** digits[code] for code in codes])
    return np.asarray(pc.take(units, pc.index_in(currency, value_set=pa.array(codes, pa.string()))).to_numpy())


def _faults(problem: str, *masks: pa.ChunkedArray | Bool) -> tuple[Fault, ...]:
    """The fault of the rows that any mask names (null counts as not), or none."""
    rows = [mask if isinstance(mask, np.ndarray) else pc.fill_null(mask, False).to_numpy() for mask in masks]
    hit = np.logical_or.reduce(rows)
    return (Fault(problem, hit),) if hit.any() else ()


def _check(column: pa.ChunkedArray | pa.Array, *faults: Fault) -> Values:
    return Values(column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column]), faults)
