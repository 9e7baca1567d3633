"""Machine code that is kept: right whatever the processes that compile at once, or die while they save, do to one another."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE = """
from features.compiled import jit

@jit
def scaled(value):
    return value * {factor}
"""
CALL = "import kept; print(kept.scaled({value}), len(kept.scaled.stats.cache_hits))"
# Dies as it would write the machine code.
DYING = "import os; from features.compiled import _Files; _Files._save_data = lambda *_: os._exit(7); " + CALL


class Kept:
    """A module with a compiled function, whose source changes in place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, factor: int) -> None:
        (self.folder / "kept.py").write_text(MODULE.format(factor=factor))

    def start(self, value: str, script: str = CALL) -> "subprocess.Popen[str]":
        """A process that calls the function; it prints the result and how many signatures it found compiled."""
        without = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
        # Python's own cache goes by whole seconds and size, which a test's changes have in common.
        environment = {**without, "PYTHONPATH": f"{ROOT}{os.pathsep}{self.folder}", "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-c", script.format(value=value)]
        return subprocess.Popen(command, env=environment, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def files(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "__pycache__").iterdir())


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def result(process: "subprocess.Popen[str]") -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out.strip()


def test_a_second_process_compiles_nothing(kept: Kept) -> None:
    kept.write(2)
    assert result(kept.start("3")) == "6 0"
    assert result(kept.start("3")) == "6 1"


def test_former_code_is_never_taken_for_new_though_a_process_died_between(kept: Kept) -> None:
    kept.write(2)
    assert result(kept.start("3")) == "6 0"
    kept.write(5)
    died = kept.start("3", DYING)
    died.communicate(timeout=120)
    assert died.returncode == 7
    assert result(kept.start("3")) == "15 0"
    assert result(kept.start("3")) == "15 1"


def test_processes_that_start_at_once_on_changed_source_get_what_their_signatures_ask_for(kept: Kept) -> None:
    kept.write(2)
    assert result(kept.start("3")) == "6 0"
    kept.write(5)
    asked = {"3": "15", "0.5": "2.5", "2j": "10j", "True": "5"}
    for hits in ("0", "1"):
        processes = {value: kept.start(value) for value in asked}
        assert {value: result(process) for value, process in processes.items()} == {
            value: f"{expected} {hits}" for value, expected in asked.items()
        }


def test_code_of_former_sources_is_removed(kept: Kept) -> None:
    kept.write(2)
    assert result(kept.start("3")) == "6 0"
    former = kept.files()
    (kept.folder / "__pycache__" / "kept.scaled-4.py311.nbi").write_bytes(b"an index of Numba's own")
    (kept.folder / "__pycache__" / "other.scaled-4.py311.1.nbc").write_bytes(b"of another module")
    kept.write(5)
    assert result(kept.start("3")) == "15 0"
    assert len(former) == 1
    assert [name for name in kept.files() if name.startswith("kept.")] != former
    assert len(kept.files()) == 2
    assert result(kept.start("0.5")) == "2.5 0"
    assert len(kept.files()) == 3


def test_a_name_that_two_signatures_share_costs_a_compilation_only(kept: Kept) -> None:
    kept.write(2)
    shared = "from features.compiled import _Files; _Files._name = lambda self, key: f'{{self._base}}.{{self._source}}.nbc'; " + CALL
    assert result(kept.start("3", shared)) == "6 0"
    assert result(kept.start("0.5", shared)) == "1.0 0"
    assert result(kept.start("0.5", shared)) == "1.0 1"
