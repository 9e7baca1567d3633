"""``all`` and ``report``: every benchmark after the other, and what becomes of their figures."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from features.errors import UserError
from tests.benchmarks.commands.bench_measured import PROGRAM, ended_by_sigterm

ResultsOption = Annotated[Path, typer.Option(metavar="DIR", help="The folder of the JSON files; documents and plots follow from it.")]
_OF_DATA = ("stream", "kernel")


def register(group: typer.Typer) -> None:
    """Adds the commands to the program."""
    group.command("all")(everything)
    group.command()(report)


def everything(
    results: ResultsOption,
    data: Annotated[Path | None, typer.Option(metavar="FILE", help="Transactions for stream and kernel; else they are simulated.")] = None,
    columns: Annotated[str | None, typer.Option(help="What its columns mean: handbook, tidemark, or field=column,…")] = None,
    amount_unit: Annotated[str | None, typer.Option(metavar="major|minor", help="Whether its amounts read 12.50 or 1250.")] = None,
    peers: Annotated[str | None, typer.Option(metavar="all|none|NAME,…", help="Other programs that stream measures.")] = None,
    quick: Annotated[bool, typer.Option(help="Each done within 3 minutes; the figures are rougher.")] = False,
) -> None:
    """Run every benchmark, one after the other; write each one's JSON, then history, tables and plots.

    One that fails leaves its file as it was, and the others go on. ``handbook`` runs where TIDEMARK_HANDBOOK names a file, but not --quick.
    """
    from tests.benchmarks.report.headlines import HEADLINES

    if (data is None) != (columns is None):
        raise UserError("--data and --columns belong together; give both, or neither to simulate")
    of_data = [*_option("--data", data), *_option("--columns", columns), *_option("--amount-unit", amount_unit)]
    failed = []
    # How well frauds are found is no matter of a simulation, and has no rough figures.
    skipped = () if not quick and "TIDEMARK_HANDBOOK" in os.environ else ("handbook",)
    for name in (name for name in HEADLINES if name not in skipped):
        arguments = [name, *(of_data if name in _OF_DATA else []), *(_option("--peers", peers) if name == "stream" else [])]
        arguments += ["--quick"] if quick else []
        typer.echo(" ".join([*PROGRAM, *arguments]))
        if run([*arguments, "--json", str(results / f"{name}.json")]):
            failed.append(name)
    report(results)
    if failed:
        raise UserError(
            f"these could not be measured: {', '.join(failed)}; fix what they say above, then run each with make bench ARGS=NAME"
        )


def report(results: ResultsOption) -> None:
    """Note results in history.jsonl, and write tables (between the markers of the documents beside the folder) and plots anew."""
    from tests.benchmarks.report.report import rendered

    if not results.is_dir():
        raise UserError(f"there is no folder {results}; measure first, with --json {results}/NAME.json")
    for file, content in rendered(results).items():
        if file.is_file() and file.read_bytes() == content:
            continue
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        except OSError as error:
            raise UserError(f"{file} can't be written: {error.strerror}; name results in a folder that you may write to") from None
        typer.echo(f"wrote {file}")


def _option(name: str, value: object) -> list[str]:
    return [] if value is None else [name, str(value)]


def run(arguments: list[str]) -> int:
    """Runs a benchmark in a process of its own, as if typed, so that one benchmark doesn't bear on the next. SIGTERM ends it too."""
    process = subprocess.Popen([sys.executable, *PROGRAM[1:], *arguments], stdin=subprocess.DEVNULL)
    with ended_by_sigterm():
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
