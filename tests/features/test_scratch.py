"""A folder of one's own, and those that others have left."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from features.scratch import scratch


def test_a_folder_is_there_and_gone(tmp_path: Path) -> None:
    with scratch(tmp_path / "home" / "here", "work") as folder:
        (folder / "file").write_text("x")
    assert list((tmp_path / "home" / "here").iterdir()) == []
    with pytest.raises(RuntimeError), scratch(tmp_path, "work"):
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_what_may_be_taken_away_stays_away(tmp_path: Path) -> None:
    with scratch(tmp_path, "work") as folder:
        folder.rename(tmp_path / "made")
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_what_a_killed_process_left_goes_and_what_a_running_one_has_stays(tmp_path: Path) -> None:
    killed = subprocess.Popen([sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"])
    killed.wait()
    left, running, other = (tmp_path / name for name in (f"work-{killed.pid}", f"work-{os.getppid()}", f"play-{killed.pid}"))
    for folder in (left, running, other, tmp_path / "work-of-somebody"):
        folder.mkdir()
    with scratch(tmp_path, "work") as folder:
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([running.name, other.name, folder.name])
