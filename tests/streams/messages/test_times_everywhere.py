"""A time means the same, or is refused in the same words, on Kafka, over HTTP and in a file."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from api.http.app import _valid
from features.errors import UserError
from features.history.columns import parse_mapping
from features.history.datafile import read_transactions
from features.times import NO_TIME, TOO_EARLY, TOO_LATE, milliseconds
from streams.messages.refusals import RefusedError
from streams.messages.validation import Validator
from tests.made.records import transaction

MAPPING = parse_mapping("transaction_id=id,event_time=at,user_id=card,merchant_id=shop,amount=sum,currency=:EUR", "minor")
NOON = 1_522_584_000_000
PROBLEMS = (NO_TIME, TOO_EARLY, TOO_LATE)


def on_kafka(text: int | str) -> int:
    return Validator("transactions", 0, 1, "EUR").transaction(transaction(0, event_time=text)).event_time


def over_http(text: int | str) -> int:
    return _valid(transaction(0, event_time=text).value or b"", "EUR").event_time


def in_a_file(text: str, write: Callable[[pa.Table], Path]) -> int:
    table = pa.table({"id": ["t"], "at": pa.array([text], pa.string()), "card": ["c"], "shop": ["s"], "sum": ["1"]})
    (found,) = read_transactions(write(table), MAPPING)["event_time"].to_pylist()
    return int(found)


def outcome(read: Callable[[], int]) -> int | str:
    """The milliseconds, or which of the three problems is named."""
    try:
        return read()
    except (RefusedError, UserError) as refused:
        (problem,) = [problem for problem in PROBLEMS if problem in str(refused)]
        return problem


@st.composite
def written(draw: st.DrawFn) -> str:
    """A time of any year in one of many forms, right and wrong, or digits."""
    if draw(st.integers(0, 4)) == 0:
        return str(draw(st.integers(0, 10**20)))
    moment = draw(st.datetimes(datetime(1960, 1, 1), datetime(2300, 1, 1)))
    date = moment.strftime("%Y-%m-%d")
    if draw(st.integers(0, 9)) == 0:
        date = draw(
            st.sampled_from(
                ["2023-02-29", "2024-02-29", "2023-13-01", "2023-00-10", "2023-04-31", "0000-01-01", "0001-01-01", "9999-12-31"]
            )
        )
    fraction = draw(st.from_regex(r"\A(\.[0-9]{1,11}|,5|\.)?\Z"))
    time = draw(st.sampled_from([f"{moment:%H:%M:%S}{fraction}", f"{moment:%H:%M}", f"{moment:%H}", "24:00:00", "23:59:60", "12:60"]))
    offset = draw(st.sampled_from(["", "Z", "z", "+01:00", "-0230", "+14", "+24:00", "+01:60", " UTC", "+01:00:30", "-00:00"]))
    return draw(st.sampled_from([f"{date}T{time}{offset}", f"{date} {time}{offset}", f"{date}x{time}", date, date + offset]))


@settings(deadline=None)
@given(written())
@example("2286-11-20T17:46:40Z")
@example("2286-11-20T17:46:40.000999Z")
@example("2286-11-20T17:46:40.001Z")
@example("1973-03-03T09:46:39.999999999Z")
@example("2026-01-31T09:30:00.9999Z")
@example("2270-01-01")
@example("２026-01-31T09:30:00Z")
@example("2026-01-31T09:30:00Z\n")
@example("9" * 30)
def test_one_text_means_one_time_wherever_it_is_written(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("files")

    def parquet(table: pa.Table) -> Path:
        pq.write_table(table, folder / "x.parquet")
        return folder / "x.parquet"

    def csv(table: pa.Table) -> Path:
        (row,) = table.to_pylist()
        (folder / "x.csv").write_text(",".join(table.column_names) + "\n" + ",".join(f'"{value}"' for value in row.values()) + "\n")
        return folder / "x.csv"

    def plain() -> int:
        try:
            return milliseconds(text)
        except ValueError as error:
            raise UserError(str(error)) from None

    expected = outcome(plain)
    for read in (lambda: in_a_file(text, csv), lambda: in_a_file(text, parquet)):
        assert outcome(read) == expected
    # What no file has a clock to judge lies ahead here.
    if isinstance(expected, str) or expected <= 1_700_000_000_000:
        assert outcome(lambda: on_kafka(text)) == outcome(lambda: over_http(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "2018-04-01T12:00:00.000999999Z",
        "2018-04-01 12:00",
        "2018-04-01T14:00:00.0009+0200",
        "2018-04-01T14:00+02",
        str(NOON),
        NOON,
    ],
)
def test_every_way_to_write_noon_is_noon(text: str) -> None:
    assert on_kafka(text) == over_http(text) == milliseconds(text) == NOON


@given(st.datetimes(datetime(1974, 1, 1), datetime(2261, 1, 1)), st.integers(-23 * 60, 23 * 60), st.integers(0, 999))
def test_what_is_finer_than_a_millisecond_is_cut(moment: datetime, minutes: int, nanoseconds: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    micros = (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    text = f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}{nanoseconds:03d}{aware.isoformat()[-6:]}"
    assert milliseconds(text) == micros // 1000


@pytest.mark.parametrize("number", [10**11 - 1, 10**13 + 1, 0, -1, 10**30])
def test_numbers_out_of_range_are_refused_in_a_file_s_words(number: int) -> None:
    with pytest.raises(RefusedError, match="lies before 1973" if number < 10**11 else "lies after 2286") as refused:
        on_kafka(number)
    assert refused.value.reason == "invalid_field"
    assert refused.value.sentence.startswith(f"event_time {number} lies")


@pytest.mark.parametrize("time", [b'"' + b"x" * 100_000 + b'"', b"1" * 4_000])
def test_what_is_long_and_no_time_is_not_repeated_in_its_sentence(time: bytes) -> None:
    value = (transaction(0).value or b"").replace(b"1700000000000", time)
    with pytest.raises(RefusedError) as refused:
        Validator("transactions", 0, 1, "EUR").transaction(structs.replace(transaction(0), value=value))
    assert len(refused.value.sentence) < 250
