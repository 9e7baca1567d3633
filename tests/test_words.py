"""Messages to users are plain English: the words that docs/glossary.md retires stand in none of them, nor in the documents."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("features", "models", "streams", "api", "infra")
GLOSSARY = ROOT / "docs" / "glossary.md"
# What users get to see of docstrings: those of commands are their help.
COMMANDS = ROOT / "api" / "cli"
DOCUMENTS = [
    file
    for file in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
    # The changelog names what was renamed.
    if file not in (GLOSSARY, ROOT / "CHANGELOG.md")
]


def retired() -> list[str]:
    """The words and phrases in the first column of the glossary's last table."""
    table = GLOSSARY.read_text().partition("## Words we don't use")[2]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return [phrase for cell in cells for phrase in re.findall(r"`([^`]+)`", cell)]


def pattern(phrases: list[str]) -> re.Pattern[str]:
    """Matches the phrases as whole words, whatever their case and the white space between; not as part of a name or a path."""
    found = [
        (r"(?<![\w./-])" if phrase[0].isalpha() else "")
        + r"\s+".join(map(re.escape, phrase.split()))
        + (r"(?![\w-])" if phrase[-1].isalpha() else "")
        for phrase in phrases
    ]
    return re.compile("|".join(found), re.IGNORECASE)


RETIRED = pattern(retired())


def messages(source: str, help_texts: bool = False) -> Iterator[tuple[int, str]]:
    """Line and text of every string literal but docstrings and keys; with ``help_texts`` those of functions too."""
    tree = ast.parse(source)
    hidden = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            hidden.add(node.value)
        elif isinstance(node, ast.Dict):
            hidden.update(key for key in node.keys if isinstance(key, ast.Constant))
    if help_texts:
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
        hidden -= {node.body[0].value for node in functions if isinstance(node.body[0], ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in hidden:
            yield node.lineno, node.value


def retired_words(source: str, help_texts: bool = False) -> list[str]:
    """What stands in the messages of a module and shouldn't, each with its line."""
    return [f"{line}: {found[0]!r} in {text!r}" for line, text in messages(source, help_texts) for found in RETIRED.finditer(text)]


@pytest.mark.parametrize("room", ROOMS)
def test_no_message_to_users_has_a_retired_word(room: str) -> None:
    found = [
        f"{file.relative_to(ROOT)}:{line}"
        for file in sorted((ROOT / room).rglob("*.py"))
        for line in retired_words(file.read_text(), help_texts=file.is_relative_to(COMMANDS))
    ]
    assert not found, "\n".join(["docs/glossary.md says what to write instead:", *found])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_document_has_a_retired_word(document: Path) -> None:
    lines = document.read_text().splitlines()
    assert not [f"{number}: {line}" for number, line in enumerate(lines, 1) if RETIRED.search(line)]


PLANTED = '''
"""A module that mends what it was told."""

def command(path: str) -> None:
    """Mend what lies there."""
    raise ValueError(f"{path} has no rows; mend --from or --to")

def _inner() -> str:
    """What was said."""
    return "it was sent twice"
'''


def test_a_planted_word_is_found_and_docstrings_are_not_messages() -> None:
    assert [found.partition(" in ")[0] for found in retired_words(PLANTED)] == ["6: 'mend'"]
    assert [found.partition(" in ")[0] for found in retired_words(PLANTED, help_texts=True)] == ["5: 'Mend'", "6: 'mend'"]


@pytest.mark.parametrize(
    "text",
    ["--x is none; say auto", "It was\n    said twice", "alice is  at it", "run tidemark bench stream", "Mend this.", "run backfill-state"],
)
def test_a_retired_phrase_is_found_whatever_its_case_and_spacing(text: str) -> None:
    assert RETIRED.search(text)


@pytest.mark.parametrize("text", ["recommended amendments", "essays", "a file that says so", "told_before", "docs/said.md"])
def test_a_word_that_only_contains_a_retired_one_is_left_alone(text: str) -> None:
    assert not RETIRED.search(text)


def test_the_glossary_retires_the_words_that_this_began_with() -> None:
    assert {"told", "mend", "said", "; say", "backfill-state", "tidemark bench"} <= set(retired())
