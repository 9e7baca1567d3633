"""What a benchmark that ran in a process of its own wrote."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]


def measured(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    """The JSON of a benchmark that ran in a process of its own; its home is gone afterwards, and so is everything it started."""
    out, scratch = tmp_path / "figures.json", tmp_path / "scratch"
    scratch.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", *arguments, "--json", str(out)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(scratch)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    assert list(scratch.glob("tidemark-bench-*")) == []
    assert not [
        process for process in psutil.process_iter(["cmdline"]) if any(str(scratch) in part for part in process.info["cmdline"] or ())
    ]
    found: dict[str, Any] = json.loads(out.read_text())
    assert {"date", "command", "commit", "machine", "versions"} <= found.keys()
    assert {"cpu", "cores", "memory_bytes"} <= found["machine"].keys()
    assert {"python", "kafka", "xgboost"} <= found["versions"].keys()
    return found
