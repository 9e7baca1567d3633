"""`tidemark --help`, the table behind it, and what is imported for it."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from api.cli import main
from api.cli.commands import COMMANDS, EXAMPLES, app_of
from features.errors import UserError
from tests.run.command_line import ran
from tests.run.deployment import ROOT

NAMES = [name for section in COMMANDS.values() for name in section]
SLOW = (
    *("numpy", "scipy", "numba", "pandas", "pyarrow", "sklearn", "xgboost", "matplotlib", "mlflow", "pyspark", "feast", "deltalake"),
    *("confluent_kafka", "aiokafka", "faust", "redis", "fastapi", "uvicorn", "prometheus_client", "rich"),
)
HELP = """\
Usage: tidemark [OPTIONS] COMMAND [ARGS]...

  Fraud scoring of card transactions while they happen.

Options:
  --version             Show the version and exit.
  --quiet               Show no progress, only results and what is wrong.
  --install-completion  Install completion for the current shell.
  --show-completion     Show completion for the current shell, to copy it or
                        customize the installation.
  --help                Show this message and exit.

Services:
  up              start the services; settle features and currency
  status          say where the services are
  logs            show the ends of their logs
  reset           remove what the stream has computed, and begin anew
  down            end the services; their data stays
  doctor          say what is missing or broken, and what to do
  demo            see everything at work on simulated transactions

Data:
  simulate        make up transactions with known frauds
  replay          send a file's transactions and labels

Stream:
  worker          score transactions as they come in
  serve           score single transactions over HTTP
  dead-letters    say what was refused and why, and send it again
  rebuild-online  write the online store again
  rebuild-state   build the states of another feature set
  transactions    say what open transactions hold back, or abort one
  offsets         say where the stages stand in their logs, or restore it

Models:
  train           train a model and register it
  retrain         train a candidate, for an alert or by schedule
  backtest        score a file as the stream would have
  promote         let a version serve, if it passes the gate
  monitor         say whether what serves is still good
  alerts          say what has drifted, and take note of it

Offline store:
  archive         keep the topics as Parquet by day
  backfill        compute a feature set over the archive
  features        write the features of the past to files
  outcomes        keep what has become of each decision
  training-set    make the rows to learn from, ahead of training
  score-users     say how risky every user is

Proof:
  audit           make decisions again from the raw logs, bit for bit
  explain         take one decision apart
"""


@pytest.fixture(params=[80, 200])
def _width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(request.param))


def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """What the command prints; it ends well."""
    monkeypatch.setattr(sys, "argv", ["tidemark", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    out = capsys.readouterr()
    assert ended.value.code == 0, out.err
    return out.out


@pytest.mark.usefixtures("_width")
def test_the_help_lists_what_people_want_to_do(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(capsys, monkeypatch, "--help") == HELP


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_a_help_of_its_own(name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    text = said(capsys, monkeypatch, name, "--help")
    assert text.startswith(f"Usage: tidemark {name} ")
    # More than the usage: the sentence that says what it does.
    assert text.splitlines()[2].startswith("  ")


def test_every_example_is_one_that_the_command_takes() -> None:
    for name, example in EXAMPLES.items():
        program, typed, *arguments = shlex.split(example)
        assert (program, typed) == ("tidemark", name)
        get_command(app_of(name)).make_context(name, arguments, resilient_parsing=False)
    assert {name for name in NAMES if name not in EXAMPLES} == {"down", "transactions", "offsets", "features"}


def test_a_group_of_commands_is_a_command_too(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--served / --backfill" in said(capsys, monkeypatch, "features", "export", "--help")


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("trian", "there is no command 'trian'; did you mean `tidemark train` or `tidemark retrain`? `tidemark --help` lists them all"),
        ("xyzzy", "there is no command 'xyzzy'; `tidemark --help` lists them all"),
    ],
)
def test_an_unknown_command_is_one_sentence_with_the_nearest(
    typed: str, sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["tidemark", typed])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, capsys.readouterr().err) == (2, f"error: {sentence}\n")


@pytest.mark.parametrize("arguments", [("--help",), ("status",)])
def test_a_command_that_should_be_quick_imports_no_library_that_is_slow(arguments: tuple[str, ...], tmp_path: Path) -> None:
    script = f"""
import atexit, sys
atexit.register(lambda: print("slow:", [name for name in {SLOW!r} if name in sys.modules], file=sys.stderr))
from api.cli import main
main()
"""
    assert "slow: []" in in_a_process_of_its_own(script, *arguments, home=tmp_path).stderr


def test_the_help_of_no_command_imports_a_library_that_is_slow(tmp_path: Path) -> None:
    """A command's module holds its options; the work is in another, imported when it runs."""
    script = f"""
import contextlib, io, sys
from api.cli import group
known = set()
for name in sys.argv[1:]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        group()([name, "--help"], prog_name="tidemark")
    slow = {{slow for slow in {SLOW!r} if slow in sys.modules}}
    print(name, *sorted(slow - known))
    known |= slow
"""
    done = in_a_process_of_its_own(script, *NAMES, home=tmp_path)
    assert done.stdout.splitlines() == NAMES, done.stderr


def in_a_process_of_its_own(script: str, *arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, cwd=ROOT, env={"TIDEMARK_HOME": str(home)}, capture_output=True, text=True, check=False)


def test_an_error_of_the_user_is_raised_by_the_command_itself() -> None:
    with pytest.raises(UserError, match="neither refuse nor degrade; use one of them"):
        ran("serve", "--when-store-fails", "panic")


@pytest.mark.parametrize(
    ("arguments", "fix"),
    [
        (("backfill-state", "--features", "fraud_v2"), "no command 'backfill-state' any more; use `tidemark rebuild-state`"),
        (("bench", "stream"), "use make bench"),
        (("worker", "--features", "fraud_v2"), "has no option --features; the feature set is settled by `tidemark up --features`"),
        (("worker", "--delivery=at_least_once"), "every transaction is decided exactly once"),
        (("serve", "--currency", "USD"), "the currency is settled by `tidemark up --currency`"),
    ],
)
def test_what_went_is_named_with_what_to_use(
    arguments: tuple[str, ...], fix: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["tidemark", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert fix in capsys.readouterr().err
