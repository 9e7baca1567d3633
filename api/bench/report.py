"""Benchmarks' figures in documents: tables between markers, plots as files.

``<!-- bench NAME -->`` … ``<!-- end of bench NAME -->`` on lines of their own hold a benchmark's table, ``history`` that of what was
measured when. The rest of a document is left as it is.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from api.bench import history as past
from api.bench import plots, tables
from api.bench.headlines import HEADLINES
from api.bench.history import Measured
from features.errors import UserError

HISTORY = "history"
PLOTS = "plots"
_SECTION = re.compile(r"^<!-- bench (\w+) -->\n.*?^<!-- end of bench \1 -->$", re.DOTALL | re.MULTILINE)
_MARKER = re.compile(r"^<!-- (?:end of )?bench (\w+) -->$", re.MULTILINE)


def rendered(folder: Path) -> dict[Path, bytes]:
    """Every file that follows from the results in the folder: history, plots, and the Markdown documents beside the folder that have
    markers. Raises UserError if results or markers can't be understood."""
    results = past.read_results(folder)
    history = past.noted(past.read(folder), results)
    files = {folder / past.FILE: past.written(history)}
    files |= {folder / PLOTS / name: drawn for name, drawn in plots.plots(results, history).items()}
    for document in sorted(folder.parent.glob("*.md")):
        text = document.read_text()
        if _MARKER.search(text):
            files[document] = filled(text, document.name, results, history).encode()
    return files


def filled(text: str, name: str, results: Mapping[str, Mapping[str, Any]], history: Sequence[Measured]) -> str:
    """A document with today's tables; a benchmark without results keeps what stands there. Raises UserError if its markers don't match."""

    def section(found: re.Match[str]) -> str:
        benchmark = found[1]
        if benchmark == HISTORY:
            content = tables.of_history(history)
        elif benchmark in results:
            content = tables.table(benchmark, results[benchmark])
        else:
            return found[0]
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
