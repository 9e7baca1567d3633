"""A lease has one owner at a time, and outlives none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.lease import Lease


def test_of_two_one_has_it(tmp_path: Path) -> None:
    with Lease(tmp_path / "lease", 60) as first:
        assert first.held_by is None
        with Lease(tmp_path / "lease", 60) as second:
            assert second.held_by is not None
            assert f"process {os.getpid()} on " in second.held_by
        with Lease(tmp_path / "lease", 60) as third:
            assert third.held_by is not None
    with Lease(tmp_path / "lease", 60) as free:
        assert free.held_by is None


def test_it_is_let_go_by_a_failure(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="oh"), Lease(tmp_path / "lease", 60):
        raise ValueError("oh")
    with Lease(tmp_path / "lease", 60) as free:
        assert free.held_by is None


def test_a_process_that_was_killed_has_lost_it(tmp_path: Path) -> None:
    script = "import os, sys, signal\nfrom pathlib import Path\nfrom infra.local.lease import Lease\n"
    script += "with Lease(Path(sys.argv[1]), 600):\n    os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "lease")], cwd=Path(__file__).parents[3], check=False)
    assert json.loads((tmp_path / "lease").read_text())["host"]
    with Lease(tmp_path / "lease", 60) as free:
        assert free.held_by is None


def test_one_of_another_machine_has_it_until_its_time_is_over(tmp_path: Path) -> None:
    file = tmp_path / "lease"
    for until, held in ((4e9, True), (1e9, False)):
        file.write_text(json.dumps({"host": "elsewhere", "pid": 1, "born": 0, "since": "2026-01-01T00:00:00Z", "until": until}))
        with Lease(file, 60) as lease:
            assert (lease.held_by == "process 1 on elsewhere since 2026-01-01T00:00:00Z") is held


def test_what_its_time_was_over_for_does_not_let_go_of_anothers(tmp_path: Path) -> None:
    file = tmp_path / "lease"
    other = {"host": "elsewhere", "pid": 1, "born": 0, "since": "2026-01-01T00:00:00Z", "until": 4e9}
    with Lease(file, 0.0) as mine:
        assert mine.held_by is None
        file.write_text(json.dumps(other))
    assert json.loads(file.read_text()) == other


def test_a_file_that_is_none_is_taken(tmp_path: Path) -> None:
    (tmp_path / "lease").write_text("{half")
    with Lease(tmp_path / "lease", 60) as lease:
        assert lease.held_by is None
