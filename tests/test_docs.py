"""What README and docs name is there: paths, links, commands, decisions in order; figures by hand are those of the results."""

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from api.cli import group

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
DECISIONS = DOCS / "decisions"
ROOMS = ("features", "models", "streams", "api", "infra", "tests", "docs")
# The changelog names what was; a model's history of choices and the results' tables name what they were measured with.
PAGES = [file for file in sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")]) if file.name != "CHANGELOG.md"]
# Folders that architecture.md gives to what comes next; its row says so.
TO_COME = {"models/rules/", "api/console/"}
# The glossary's section of what isn't used any more.
RETIRED = "## Words we don't use"
_PATH = re.compile(rf"`((?:{'|'.join(ROOMS)})/[\w./*-]*)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def missing(text: str) -> list[str]:
    """The paths in backquotes that begin at a room and aren't there."""
    return [path for path in _PATH.findall(text) if path not in TO_COME and not any(ROOT.glob(path))]


def code(text: str) -> str:
    """What stands in backquotes, in lines and in blocks."""
    return "\n".join(re.findall(r"```.*?```|`[^`]+`", text, re.DOTALL))


def anchors(file: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    prose = re.sub(r"^```.*?^```", "", file.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path, text: str) -> list[str]:
    """The links to files or headings of ours that lead nowhere."""
    found = []
    for link in _LINK.findall(text):
        path, _, anchor = link.partition("#")
        if link.startswith(("http:", "https:")):
            continue
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    assert not missing(page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert not broken(page, page.read_text())


def test_a_path_or_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    assert missing("`streams/ingest.py` and `streams/stages.py`") == ["streams/stages.py"]
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n## Its heading's name\n")
    assert broken(page, "[a](#its-headings-name) [b](#other) [c](gone.md) [d](page.md#a-page)") == ["#other", "gone.md"]


def test_every_command_that_a_page_names_exists() -> None:
    shown = subprocess.run([Path(sys.executable).with_name("tidemark"), "--help"], capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"^[\s│]+([a-z][a-z-]+)  ", shown, re.MULTILINE))
    assert {"up", "train", "replay"} <= known
    named = {
        (name(page), command)
        for page in PAGES
        for command in re.findall(r"(?<!/)\btidemark ([a-z][a-z-]+)\b", code(page.read_text().partition(RETIRED)[0]))
    }
    assert not {(page, command) for page, command in named if command not in known}


def test_every_option_that_a_page_names_with_its_command_exists() -> None:
    """A line's options, up to what ends it for a shell. Decisions name what there was."""
    commands = group().commands
    wrong, seen = [], 0
    for page in (page for page in PAGES if DECISIONS not in page.parents):
        for command, rest in re.findall(r"\btidemark ([a-z-]+)((?: [^\n`;&|#]*)?)", code(page.read_text())):
            found = commands.get(command)
            for option in re.findall(r"(?<=\s)--[a-z][a-z-]*", rest) if found is not None else ():
                inner = next((sub for word, sub in getattr(found, "commands", {}).items() if f" {word}" in rest), found)
                known = {name for parameter in inner.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
                seen += 1
                wrong += [] if option in known else [f"{name(page)}: tidemark {command} {option}"]
    assert seen > 30
    assert not wrong


def test_a_folders_files_that_architecture_names_exist() -> None:
    """``folder/``: `file.py`, `other.py` in a cell of the table of boxes."""
    text = (DOCS / "architecture.md").read_text()
    cells = [cell for line in text.splitlines() if line.startswith("|") for cell in line.split("|")]
    gone = []
    for cell in cells:
        folder = ""
        for word in re.findall(r"`([\w./-]+)`", cell):
            folder = word if word.endswith("/") else folder
            if word.endswith(".py") and "/" not in word and not (ROOT / folder / word).is_file() and not list(ROOT.glob(f"*/{word}")):
                gone.append(f"{folder}{word}")
    assert not gone


def test_architecture_is_one_page_that_knows_every_box_and_every_folder() -> None:
    text = (DOCS / "architecture.md").read_text()
    assert len(text.splitlines()) <= 120
    rooms = text.partition("## Rooms")[2].partition("## Where")[0]
    folders = {
        f"{room}/{folder.name}/"
        for room in ("features", "models", "streams")
        for folder in (ROOT / room).iterdir()
        if (folder / "__init__.py").is_file()
    }
    assert not [folder for folder in folders if f"`{folder}`" not in rooms]


def test_what_is_to_come_is_not_there_yet() -> None:
    assert not [path for path in TO_COME if (ROOT / path).exists()], (
        "it has come: take it off the list, and (to come) off docs/architecture.md"
    )


def test_the_index_of_decisions_has_each_once_and_in_order() -> None:
    files = sorted(file.name for file in DECISIONS.glob("[0-9]*.md"))
    assert [int(file[:4]) for file in files] == list(range(1, len(files) + 1))
    listed = re.findall(r"^\| (\d+) \| \[(.+?)\]\((.+?)\)", (DECISIONS / "README.md").read_text(), re.MULTILINE)
    assert [file for _, _, file in listed] == files
    for number, title, file in listed:
        assert (DECISIONS / file).read_text().startswith(f"# {number}. {title}\n")


@pytest.mark.parametrize("record", sorted(DECISIONS.glob("[0-9]*.md")), ids=lambda file: file.stem)
def test_a_decision_has_date_context_decision_and_consequences(record: Path) -> None:
    text = record.read_text()
    assert re.search(r"^\d{4}-\d\d-\d\d, (accepted|superseded by \[.+\]\(.+\))\.$", text, re.MULTILINE)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert len(text.splitlines()) <= 40


def test_a_word_stands_in_the_glossary_once() -> None:
    text = (DOCS / "glossary.md").read_text().partition(RETIRED)[0]
    words = [
        word for line in text.splitlines() if line.startswith("| ") for word in line.split("|")[1].strip().split(", ") if word != "word"
    ]
    assert len(words) == len(set(words)) > 50


@cache
def results(file: str) -> Any:
    return json.loads((DOCS / "results" / file).read_text())


def figure(file: str, *path: str | int) -> Any:
    value = results(file)
    for step in path:
        value = value[step]
    return value


def campaign(count: str, hostile: bool = True) -> int:
    """Over all rows of the fault campaign, with or without that of the hostile bytes."""
    rows = [row for row in results("faults.json")["rows"] if hostile or row["fault"] != "hostile bytes"]
    return sum(row["injected"] if count == "injected" else row["verdict"][count] for row in rows)


# Page, what it says by hand, and the figures behind it.
BY_HAND = [
    ("README.md", "{:,.0f} transactions a second through both stages", [("stream.json", "exactly_once", "tx_per_s")]),
    (
        "README.md",
        "(three runs: {:,.0f} to {:,.0f})",
        [("stream.json", "exactly_once", "spread", "least"), ("stream.json", "exactly_once", "spread", "most")],
    ),
    ("README.md", "{:,.0f} with Feast's", [("stream.json", "online", "tx_per_s")]),
    ("README.md", "{:,.0f} there", [("stream.json", "peers", "flink_sql", "tx_per_s")]),
    ("README.md", "{:.0f} ms (median)", [("latency.json", "rates", "5000", "p50_ms")]),
    ("README.md", "{:.0f} ms (99 %)", [("latency.json", "rates", "5000", "p99_ms")]),
    ("docs/benchmarks.md", "medians: {:,.0f} a second exactly once", [("stream.json", "exactly_once", "tx_per_s")]),
    ("docs/benchmarks.md", "{:,.0f} valid transactions a second were decided", [("garbage.json", "garbage", "tx_per_s")]),
    ("docs/benchmarks.md", "of the {:,.0f} of a clean one", [("garbage.json", "exactly_once", "tx_per_s")]),
    (
        "docs/benchmarks.md",
        "{:,.0f} and {:,.0f} a second before it and {:,.0f} and {:,.0f} since",
        [("garbage.json", "by_turns", when, "tx_per_s", run) for when in ("before", "since") for run in (0, 1)],
    ),
    ("docs/benchmarks.md", "of a million users and 100,000 merchants {:,.0f}", [("stream.json", "many_keys", "tx_per_s")]),
    ("docs/benchmarks.md", "{:.0f} % of a plain one's rate", [("aligned-replay.json", "ratio", "%")]),
    (
        "docs/reliability.md",
        "{:,.0f} transactions a second instead of {:,.0f}",
        [("stream.json", "exactly_once", "tx_per_s"), ("stream.json", "at_least_once", "tx_per_s")],
    ),
    ("docs/reliability.md", "took INGEST {:.1f} s to read", [("recovery-1m.json", "states", "ingest", "seconds")]),
    ("docs/scaling.md", "{:.1f} s a million", [("recovery-1m.json", "states", "ingest", "seconds")]),
    ("docs/batch.md", "| the user's risk | {:.3f} |", [("user-risk.json", "figures", "user_risk", "auc")]),
    (
        "docs/monitoring.md",
        "For {:,.0f} decisions of 153 days the first run took {:.1f} s on two shared cores, with at most {:.0f} MB",
        [("outcomes.json", "all_but_the_last_day", name) for name in ("decisions", "seconds", "peak_memory_mb")],
    ),
    ("docs/training.md", "{:.3f} / ", [("handbook.json", "mean", "tidemark", "auc", "value")]),
]


@pytest.mark.parametrize(("page", "text", "paths"), BY_HAND, ids=[f"{page}: {text}" for page, text, _ in BY_HAND])
def test_a_figure_by_hand_is_that_of_the_results(page: str, text: str, paths: list[tuple[str, ...]]) -> None:
    values = [100 * figure(*path[:-1]) if path[-1] == "%" else figure(*path) for path in paths]
    assert text.format(*values) in " ".join((ROOT / page).read_text().split())


def test_the_campaigns_figures_are_those_of_its_runs() -> None:
    faults = campaign("injected", hostile=False)
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert f"Of {campaign('transactions'):,} transactions under {faults} injected faults, " in readme
    assert f"among {campaign('injected') - faults:,} hostile records" in readme
    assert f"| all | {campaign('injected'):,} | {campaign('transactions'):,} | 0 |" in (DOCS / "reliability.md").read_text()
