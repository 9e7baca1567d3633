"""The command as a process: how it ends, whatever the terminal, the disk or whoever stops it does."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from api.cli import conventions, main
from api.cli.options import QUIET
from tests.run.command_line import ran
from tests.run.deployment import ROOT


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from api.cli import main; main()", *arguments]


def environment(home: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "TIDEMARK_HOME": str(home), **more}


def test_a_version(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import version

    monkeypatch.setattr(sys, "argv", ["tidemark", "--version"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, capsys.readouterr().out) == (0, f"tidemark {version('tidemark')}\n")


def test_words_are_completed(tmp_path: Path) -> None:
    asked = environment(tmp_path, _TIDEMARK_COMPLETE="complete_bash", COMP_WORDS="tidemark tr", COMP_CWORD="1")
    done = subprocess.run(command(), env=asked, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["transactions", "train", "training-set"]
    asked |= {"COMP_WORDS": "tidemark train --cap", "COMP_CWORD": "2"}
    done = subprocess.run(command(), env=asked, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["--capacity"]


def test_a_terminal_of_ascii_shows_what_it_can(tmp_path: Path) -> None:
    odd = environment(tmp_path / "ünïcode", PYTHONIOENCODING="ascii", LC_ALL="C")
    done = subprocess.run(command("status"), env=odd, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "?n?code" in done.stderr


def test_a_full_disk_behind_its_output_is_a_sentence(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command("--help"), env=environment(tmp_path), cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr == "error: what is printed can't be written (No space left on device); send it elsewhere\n"


def test_a_reader_that_has_gone_is_nobodys_fault(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as gone:
        done = subprocess.run(
            command("--help"), env=environment(tmp_path), cwd=tmp_path, stdout=gone, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_whoever_stops_it_finds_nothing_left(sent: signal.Signals, status: int, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "out").mkdir()
    long = command("simulate", "--users", "200000", "--days", "300", "--out", "out/large.parquet")
    started = subprocess.Popen(
        long,
        env=environment(tmp_path / "home", TMPDIR=str(tmp_path / "tmp")),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        # What a shell starts in the background ignores it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not list((tmp_path / "out").iterdir()):  # the unfinished file
        assert time.monotonic() < deadline
        time.sleep(0.05)
    started.send_signal(sent)
    _, stderr = started.communicate(timeout=30)
    assert (started.returncode, stderr) == (status, "")
    assert not list((tmp_path / "out").iterdir())
    assert not list((tmp_path / "tmp").iterdir())


def test_what_the_machine_refuses_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIDEMARK_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "deployment.toml").mkdir()
    monkeypatch.setattr(sys, "argv", ["tidemark", "doctor"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_progress_in_a_pipe_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(conventions.time, "monotonic", lambda: now)
    with conventions.progress("scoring", 400) as advance:
        for _ in range(40):
            now += 1.0
            advance(10)
    assert capsys.readouterr().err.splitlines() == [
        "scoring: 100 of 400 (25%), 10/s",
        "scoring: 200 of 400 (50%), 10/s",
        "scoring: 300 of 400 (75%), 10/s",
        "scoring: 400 of 400 (100%), 10/s",
    ]


def test_quiet_shows_results_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(conventions, "_SAY_EVERY_S", 0.0)
    small = ("simulate", "--users", "5", "--days", "1", "--out", str(tmp_path / "x.parquet"), "--json", str(tmp_path / "x.json"))
    for options, lines in (([], 1), (["--quiet"], 0)):
        monkeypatch.setattr(sys, "argv", ["tidemark", *options, *small])
        with pytest.raises(SystemExit):
            main()
        out, err = capsys.readouterr()
        assert "transactions in" in out
        assert len(err.splitlines()) == lines
        monkeypatch.delenv(QUIET, raising=False)


def test_a_summary_says_who_made_it(tmp_path: Path) -> None:
    ran("simulate", "--users", "5", "--days", "1", "--out", tmp_path / "x.parquet", "--json", tmp_path / "x.json")
    assert next(iter(json.loads((tmp_path / "x.json").read_text()).items())) == ("made_by", "tidemark")


def _mlflow() -> Exception:
    from mlflow.exceptions import MlflowException

    return MlflowException("API request failed with exception: Max retries exceeded with url: http://me:secret@host/x")


def _kafka() -> Exception:
    from confluent_kafka import KafkaError, KafkaException

    return KafkaException(KafkaError(KafkaError._ALL_BROKERS_DOWN, "all brokers are down"))


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (_mlflow, "the model registry failed (it doesn't answer); see `tidemark doctor`, then try again"),
        (_kafka, "Kafka failed (all brokers are down); see `tidemark doctor`, then try again"),
        (lambda: OSError(28, "No space left on device", "/home/x"), "/home/x can't be used: No space left on device; free space there, or"),
        (lambda: OSError(13, "Permission denied", "/home/x"), "/home/x can't be used: Permission denied; make it yours to read and write"),
    ],
)
def test_what_fails_while_a_command_works_is_a_sentence(
    made: Callable[[], Exception], sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(_as_json: bool) -> None:
        raise made()

    monkeypatch.setattr("api.cli.services.run_control.run_doctor", fails)
    monkeypatch.setattr(sys, "argv", ["tidemark", "doctor"])
    with pytest.raises(SystemExit) as ended:
        main()
    err = capsys.readouterr().err
    assert (ended.value.code, err.count("\n")) == (2, 1)
    assert err.startswith(f"error: {sentence}")


def test_a_mistake_of_ours_is_a_traceback_without_passwords(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(_as_json: bool) -> None:
        raise ZeroDivisionError("of http://me:secret@host/x")

    monkeypatch.setattr("api.cli.services.run_control.run_doctor", fails)
    monkeypatch.setattr(sys, "argv", ["tidemark", "doctor"])
    with pytest.raises(SystemExit) as ended:
        main()
    err = capsys.readouterr().err
    assert (ended.value.code, "Traceback" in err, "secret" in err) == (1, True, False)
