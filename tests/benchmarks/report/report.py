"""Benchmarks' figures in documents: tables between markers, each with its plot, which is a file.

``<!-- bench NAME -->`` … ``<!-- end of bench NAME -->`` on lines of their own hold a benchmark's table, ``history`` that of what was
measured when. The rest of a document is left as it is.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from features.errors import UserError
from tests.benchmarks.report import history as past
from tests.benchmarks.report import plots, tables
from tests.benchmarks.report.headlines import HEADLINES
from tests.benchmarks.report.history import Measured

HISTORY = "history"
PLOTS = "plots"
_PLOT_OF = {"stream": "rates.svg", "latency": "latency.svg", "api": "api.svg", HISTORY: "history.svg"}
_SECTION = re.compile(r"^<!-- bench (\w+) -->\n.*?^<!-- end of bench \1 -->$", re.DOTALL | re.MULTILINE)
_MARKER = re.compile(r"^<!-- (?:end of )?bench (\w+) -->$", re.MULTILINE)


def rendered(folder: Path) -> dict[Path, bytes]:
    """Every file that follows from the results in the folder: history, plots, and the Markdown documents beside the folder that have
    markers. Raises UserError if results or markers can't be understood."""
    results = past.read_results(folder)
    history = past.noted(past.read(folder), results)
    files = {folder / past.FILE: past.written(history)}
    drawn = plots.plots(results, history)
    files |= {folder / PLOTS / name: content for name, content in drawn.items()}
    for document in sorted(folder.parent.glob("*.md")):
        text = document.read_text()
        if _MARKER.search(text):
            files[document] = filled(text, document.name, results, history, drawn).encode()
    return files


def filled(text: str, name: str, results: Mapping[str, Mapping[str, Any]], history: Sequence[Measured], drawn: Collection[str] = ()) -> str:
    """A document with today's tables, and those plots that are ``drawn``; a benchmark without results keeps what stands there.

    Raises UserError if its markers don't match.
    """

    def section(found: re.Match[str]) -> str:
        benchmark = found[1]
        if benchmark == HISTORY:
            content = tables.of_history(history)
        elif benchmark in results:
            content = tables.table(benchmark, results[benchmark])
        else:
            return found[0]
        plot = _PLOT_OF.get(benchmark)
        if plot in drawn:
            content += f"\n\n![{benchmark}](results/{PLOTS}/{plot})"
        return f"<!-- bench {benchmark} -->\n\n{content}\n\n<!-- end of bench {benchmark} -->"

    pairs = [found[1] for found in _SECTION.finditer(text)]
    for marker in _MARKER.findall(text):
        if marker not in HEADLINES and marker != HISTORY:
            raise UserError(f"{name} has a marker for {marker!r}, which is no benchmark; write one of {', '.join((*HEADLINES, HISTORY))}")
        if marker not in pairs:
            raise UserError(
                f"the markers of {marker} in {name} don't match; write <!-- bench {marker} --> and <!-- end of bench {marker} -->"
            )
    return _SECTION.sub(section, text)
