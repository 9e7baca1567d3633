"""Skew that is planted in a copy of the stages' code is found by the auditor, and named."""

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from streams.audit.auditor import Auditor
from tests.made.records import FRAUD_V1, scorer
from tests.run.deployment import ROOT
from tests.streams.audit.run_of_stages import Run, history, load, run

DROPPED = 100


@dataclass(frozen=True)
class Plant:
    """One change of one file."""

    file: str
    before: str
    after: str


HOP = Plant("features/definitions.py", 'Window("24h", DAY, 30 * MINUTE)', 'Window("24h", DAY, HOUR)')
DROP = Plant(
    "streams/ingest.py",
    "    parts, features = [], []\n",
    f"    turn = [(state, [r for r in records if r.offset != {DROPPED}]) for state, records in turn]\n    parts, features = [], []\n",
)
FLOAT = Plant(
    "features/windows.py",
    "amount += tile.amount\n            elif tile.amount == -FRAUD",
    "amount = int(np.float32(amount + tile.amount))\n            elif tile.amount == -FRAUD",
)
BORDER = Plant("features/windows.py", "tiles.cell[at].start >= place:", "tiles.cell[at].start > place:")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code, with what is compiled of it, so that only a changed kernel is compiled again."""
    root = tmp_path_factory.mktemp("tree")
    for room in ("features", "models", "streams", "tests"):
        shutil.copytree(ROOT / room, root / room)
    return root


@pytest.fixture
def planted(tree: Path, tmp_path: Path) -> Callable[[Plant], Run]:
    """Runs the stages with one change."""

    def run_with(plant: Plant) -> Run:
        root = tmp_path / "planted"
        shutil.copytree(tree, root)
        source = (root / plant.file).read_text()
        assert source.count(plant.before) == 1
        (root / plant.file).write_text(source.replace(plant.before, plant.after))
        out = tmp_path / "left"
        done = subprocess.run(
            [sys.executable, "-m", "tests.streams.audit.run_of_stages", str(out)],
            cwd=root,
            env={"PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return load(out)

    return run_with


def audited(left: Run, together: int = 4) -> Auditor:
    """The auditor after all rows of the scoring log, some at a time; the oracle computes everything too."""
    auditor = Auditor(FRAUD_V1, left.shape, left.read, lambda _: scorer(), oracle_share=1.0)
    rows = left.scored()
    for begin in range(0, len(rows), together):
        auditor.take(rows[begin : begin + together])
    auditor.finish()
    return auditor


@pytest.mark.parametrize("together", [1, 4, 1000])
def test_what_the_present_code_does_is_reproduced(together: int) -> None:
    auditor = audited(run(history()), together)
    assert auditor.findings.mismatches == 0
    assert auditor.audit.tally.audited == 160
    assert auditor.checked.halves == 320
    assert auditor.checked.first_seen == 5
    assert auditor.checked.with_frauds > 50


def test_an_unchanged_copy_is_no_skew(planted: Callable[[Plant], Run]) -> None:
    assert audited(planted(Plant("streams/ingest.py", "_NOWHERE = -1\n", "_NOWHERE = -1\n"))).findings.mismatches == 0


def test_a_changed_hop_is_a_definition_version(planted: Callable[[Plant], Run]) -> None:
    findings = audited(planted(HOP)).findings
    assert findings.causes == Counter({"definition version": 160})
    named = {difference.feature for mismatch in findings.examples for difference in mismatch.differences}
    assert named
    assert all("_24h" in name for name in named)


def test_a_dropped_event_is_missing(planted: Callable[[Plant], Run]) -> None:
    auditor = audited(planted(DROP))
    assert auditor.recomputation.skipped == 1
    assert set(auditor.findings.causes) == {"missing event"}
    assert auditor.findings.mismatches > 3
    assert all(f"[0, {DROPPED}] was left out" in mismatch.sentence for mismatch in auditor.findings.examples)


def test_sums_in_float32_are_float(planted: Callable[[Plant], Run]) -> None:
    findings = audited(planted(FLOAT)).findings
    assert set(findings.causes) == {"float"}
    assert findings.mismatches > 20


def test_a_moved_border_is_a_code_version(planted: Callable[[Plant], Run]) -> None:
    findings = audited(planted(BORDER)).findings
    assert set(findings.causes) == {"code version"}
    assert findings.mismatches > 3
