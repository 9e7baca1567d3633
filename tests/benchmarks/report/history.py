"""What was measured before: ``history.jsonl`` beside the results, a line a measurement, oldest first."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from features.errors import UserError
from tests.benchmarks.report.headlines import HEADLINES, headline

FILE = "history.jsonl"


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement: when (ISO 8601, UTC), of which code, on what, and its few figures (see ``headlines``); ``quick``: a rough one."""

    date: str
    commit: str | None
    benchmark: str
    cpu: str
    cores: int
    quick: bool
    headline: dict[str, float]


def measured(benchmark: str, figures: Mapping[str, Any]) -> Measured:
    """A benchmark's JSON as a line of history."""
    return Measured(
        date=figures["date"],
        commit=figures["commit"],
        benchmark=benchmark,
        cpu=figures["machine"]["cpu"],
        cores=figures["machine"]["cores"],
        quick="--quick" in figures["command"].split(),
        headline=headline(benchmark, figures),
    )


def noted(history: Sequence[Measured], results: Mapping[str, Mapping[str, Any]]) -> list[Measured]:
    """The history with what of the results it hasn't; oldest first."""
    new = [measured(name, figures) for name, figures in results.items()]
    # A line that is there stays as it is.
    known = {(one.date, one.benchmark): one for one in (*(one for one in new if one.headline), *history)}
    return [known[key] for key in sorted(known)]


def read_results(folder: Path) -> dict[str, dict[str, Any]]:
    """The JSON of each benchmark that is there, by its name. Raises UserError if one isn't a benchmark's."""
    found = {}
    for name in HEADLINES:
        file = folder / f"{name}.json"
        if file.is_file():
            found[name] = _figures(file)
    return found


def read(folder: Path) -> list[Measured]:
    """The history, empty where there is none. Raises UserError if it can't be understood."""
    file = folder / FILE
    try:
        lines = file.read_bytes().splitlines() if file.is_file() else []
        return [msgspec.json.decode(line, type=Measured) for line in lines]
    except msgspec.DecodeError as error:
        raise UserError(f"{file} is no history of benchmarks: {error}; take it from the repository again") from None


def written(history: Sequence[Measured]) -> bytes:
    """The file's content."""
    return b"".join(msgspec.json.encode(one) + b"\n" for one in history)


def _figures(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
    except ValueError:
        found = None
    if not isinstance(found, dict) or not {"date", "command", "commit", "machine"} <= found.keys():
        raise UserError(f"{file} was not written by `make bench`; measure again with --json {file}")
    return found
