"""What processes log: UTC, text or JSON, no passwords, to stderr and a file that several share."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from features.errors import UserError
from streams.workers import logs
from tests.run.deployment import ROOT

SCRIPT = """
import logging, sys
from pathlib import Path
from streams.workers import logs
if len(sys.argv) > 1:
    logs.log_to_file(Path(sys.argv[1]))
logs.log_to_stderr(logging.INFO, "ingest")
logging.getLogger("a.b").warning("Kafka at %s is away\\nfor %d s", "http://me:secret@host/x", 7)
logging.getLogger("a.b").debug("unseen")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("a.c").exception("it failed")
logs.note_in_file(ValueError("in the file alone"))
raise RuntimeError("of http://me:secret@host/x")
"""
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def logged(*arguments: str | Path, **environment: str) -> str:
    command = [sys.executable, "-c", SCRIPT, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env={"TZ": "Asia/Tokyo", **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "secret" not in done.stderr
    assert "unseen" not in done.stderr
    return done.stderr


def test_text_has_utc_level_and_the_processs_name() -> None:
    lines = logged().splitlines()
    assert re.fullmatch(rf"{TIME} WARNING ingest: Kafka at http://\S+ is away", lines[0])
    assert re.fullmatch(rf"{TIME} ERROR ingest: it failed", lines[2])
    assert lines[-1].startswith("RuntimeError: of http://")


def test_it_is_utc_whatever_the_machines_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import UTC, datetime

    first = datetime.fromisoformat(logged()[:24])
    assert abs((datetime.now(UTC) - first).total_seconds()) < 300


def test_json_is_an_object_a_record_tracebacks_included() -> None:
    found = [json.loads(line) for line in logged(TIDEMARK_LOG="json").splitlines()]
    assert [(line["level"], line["process"], line["logger"]) for line in found] == [
        ("WARNING", "ingest", "a.b"),
        ("ERROR", "ingest", "a.c"),
        ("CRITICAL", "ingest", "root"),
    ]
    assert found[0]["message"].endswith("is away\nfor 7 s")
    assert all(re.fullmatch(TIME, line["time"]) for line in found)
    assert "ZeroDivisionError" in found[1]["exception"]
    assert "RuntimeError" in found[2]["exception"]


def test_several_processes_share_a_file(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "worker.log"
    shown = logged(file) + logged(file)
    written = file.read_text()
    assert [line for line in written.splitlines() if "in the file alone" not in line] == shown.splitlines()
    assert written.count("in the file alone") == 2


def test_a_file_that_has_grown_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_LIMIT_BYTES", 10)
    file, environment = tmp_path / "worker.log", {"x": "y"}
    file.write_text("twelve bytes")
    logs.log_to_file(file, environment)
    assert (tmp_path / "worker.log.1").read_text() == "twelve bytes"
    assert not file.exists()
    assert str(file) in environment.values()


def test_where_no_file_can_be_kept_stderr_says_so_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    lines = logged(tmp_path / "logs" / "worker.log").splitlines()
    assert [line for line in lines if "this log can't be kept in" in line] == [
        f"this log can't be kept in {tmp_path}/logs/worker.log (Not a directory); it goes on here"
    ]
    assert any("is away" in line for line in lines)


def test_a_folder_that_is_removed_meanwhile_is_made_again(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "worker.log"
    handler = logs.StderrAndFile(file)
    handler.to_file("first")
    shutil.rmtree(file.parent)
    handler.to_file("second")
    handler.close()
    assert file.read_text() == "second\n"


def test_an_unknown_format_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_LOG", "yaml")
    with pytest.raises(UserError, match="TIDEMARK_LOG=yaml is no way to write a log; use text or json"):
        logs.log_to_stderr(20)
