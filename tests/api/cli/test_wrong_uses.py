"""What people type by mistake, a row each: one sentence that names the thing and the fix, status 2, no traceback, nothing written."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from api.cli import main
from tests.run.command_line import home_at
from tests.run.deployment import ROOT

T = "--columns tidemark"
DEAD = "http://127.0.0.1:1"
NO_KAFKA = "Kafka is not running.*`tidemark up`"
NO_ARCHIVE = r"no decision is archived at .*; run `tidemark archive --once`, or give a file with --data"
NO_CHAMPION = "has no champion of tidemark; train one with tidemark train"

# What is typed, by whom with which environment, and what is answered.
WRONG: list[tuple[str, str] | tuple[str, str, dict[str, str]]] = [
    ("nonsense", "there is no command 'nonsense'; `tidemark --help` lists them all"),
    ("upp", "there is no command 'upp'; did you mean `tidemark up`"),
    ("bench", "there is no command 'bench' any more; use make bench"),
    ("--nonsense", "no such option: --nonsense; see `tidemark --help`"),
    ("train extra", "got unexpected extra argument.*; see `tidemark train --help`"),
    ("train --nonsense", "no such option: --nonsense .*; see `tidemark train --help`"),
    ("train --data", "option '--data' requires an argument"),
    ("train --data dir", "dir is a folder; name a CSV or Parquet file"),
    ("train --data missing.parquet", "there is no file missing.parquet; name a CSV or Parquet file"),
    ("train --data ok.parquet --features v9", "--features v9 is not a feature set; use one of fraud_v1"),
    ("train --data ok.parquet --cost review=-3", "--cost review=-3 can't be used: costs can't be negative; write it as --cost review=250"),
    ("train --data ok.parquet --cost x=1", "--cost x is not a cost; the costs are fraud_loss, chargeback_fee, margin, goodwill, review"),
    ("train --data ok.parquet --cost review", "--cost review can't be used: it takes a number"),
    ("train --data ok.parquet --cost review=dear", "--cost review=dear can't be used: it takes a number"),
    ("train --data ok.parquet --capacity 2", "invalid value for '--capacity'.*; see `tidemark train --help`"),
    ("train --data ok.parquet --seed x", "invalid value for '--seed'"),
    ("train --data ok.parquet --seed -1", "invalid value for '--seed'"),
    ("train --data ok.parquet --search 0", "invalid value for '--search'"),
    ("train --data ok.parquet --history-days 0", "--history-days 0 is not a list of days; write it as 7,28,90, or all"),
    ("train --data ok.parquet --history-days x", "--history-days x is not a list of days"),
    ("train --data ok.parquet --model oracle", "--model oracle is not a learner; use xgboost"),
    ("train --data ok.parquet --as-of yesterday", "--as-of yesterday is no day; write it as 2018-08-01"),
    ("train --data six.csv", "six.csv has no fraud column to learn from; name it with --columns is_fraud=…"),
    ("train", NO_ARCHIVE),
    ("train --data ok.parquet --json /proc/x", "--json /proc/x can't be written: .*; name a file in a folder that you may write to"),
    (
        "train --data ok.parquet --json ok.parquet",
        "--json ok.parquet is what --data names to be read, and would be lost; name another file",
    ),
    ("train --data ok.parquet", "TIDEMARK_HOME /proc/x cannot be written to", {"TIDEMARK_HOME": "/proc/x"}),
    ("train --data ok.parquet", "TIDEMARK_HOME .*file can't be a folder, for .*file is a file", {"TIDEMARK_HOME": "file"}),
    ("train --data ok.parquet", "TIDEMARK_CURRENCY=eur is not a currency; write it in capitals, EUR", {"TIDEMARK_CURRENCY": "eur"}),
    ("train --data ok.parquet", "TIDEMARK_FEATURES=v9 is not a feature set", {"TIDEMARK_FEATURES": "v9"}),
    ("train --data ok.parquet", "ok.parquet has amounts in EUR, but this deployment settles in USD", {"TIDEMARK_CURRENCY": "USD"}),
    ("train --data ok.parquet", "the registry at http://127.0.0.1:1 doesn't answer; see `tidemark doctor`", {"TIDEMARK_MLFLOW": DEAD}),
    (
        "train --data ok.parquet",
        "nonsense is no address of a registry; write it as http://host:5000 in",
        {"TIDEMARK_MLFLOW": "nonsense"},
    ),
    ("promote 1", "the registry at http://127.0.0.1:1 doesn't answer", {"TIDEMARK_MLFLOW": DEAD}),
    (f"backtest ok.parquet {T} --scores s.parquet", "the registry at http://127.0.0.1:1 doesn't answer", {"TIDEMARK_MLFLOW": DEAD}),
    ("score-users", "the registry at http://127.0.0.1:1 doesn't answer", {"TIDEMARK_MLFLOW": DEAD}),
    ("retrain", "missing option '--reason'"),
    ("retrain --reason ''", "--reason is empty; name the alert, or the schedule"),
    ("retrain --reason x --lease-hours 0", "invalid value for '--lease-hours'"),
    ("retrain --reason x", NO_ARCHIVE),
    ("promote", "missing argument 'VERSION'; see `tidemark promote --help`"),
    ("monitor", "no decision is archived at"),
    ("monitor --as-of x", "--as-of x is no day; write it as 2018-08-01"),
    ("monitor --labels-after none", "--labels-after none leaves nothing to judge by"),
    ("monitor --cost nonsense=1", "--cost nonsense is not a cost"),
    ("promote 99999999999999999999", "99999999999999999999 is no version's number"),
    ("promote latest", "latest is no version's number; `tidemark promote` takes one of those that training says, such as 2"),
    ("promote 1 --as king", "--as king is not a role; use one of champion, challenger, shadow"),
    ("promote 1 --force", "--force goes on record and needs a reason; add --reason …"),
    ("promote 1 --weeks 0", "invalid value for '--weeks'"),
    ("promote 1", "has no version 1 of tidemark; train one with tidemark train"),
    (f"backtest ok.parquet {T}", "missing option '--scores'"),
    (f"backtest missing.parquet {T} --scores s.parquet", "there is no file missing.parquet"),
    (f"backtest ok.parquet {T} --scores ok.parquet", "--scores ok.parquet is what FILE names to be read, and would be lost"),
    (f"backtest ok.parquet {T} --scores theirs.parquet", "theirs.parquet exists and was not made by tidemark; .*, or add --force"),
    (f"backtest ok.parquet {T} --scores s.csv", "--scores s.csv is written as Parquet; name a file that ends in .parquet"),
    (f"backtest ok.parquet {T} --scores s.parquet --model nonsense", "nonsense is no model; give models:/tidemark@champion"),
    (f"backtest ok.parquet {T} --scores s.parquet --model dir", "dir is no model"),
    (f"backtest ok.parquet {T} --scores s.parquet", NO_CHAMPION),
    ("simulate", "use either --out FILE.parquet or --topic"),
    ("simulate --out o.parquet --topic", "use either --out FILE.parquet or --topic"),
    ("simulate --out o.csv", "--out o.csv is written as Parquet"),
    ("simulate --out dir", "--out dir is a folder; name a file in it"),
    ("simulate --out /dev/null", "--out /dev/null is no plain file"),
    ("simulate --out /dev/full.parquet", "--out /dev/full.parquet is no place for files; name one elsewhere"),
    ("simulate --out o.parquet --json /dev/full", "--json /dev/full never has room; name a file"),
    ("simulate --out o.parquet --days 0", "--days 0 is too small; use at least 1"),
    ("simulate --out o.parquet --days 999999999", "a simulation must lie between the years 1974 and 2243"),
    ("simulate --out o.parquet --days 2 --to 2025-02-01", "--to and --days contradict each other"),
    ("simulate --out o.parquet --users 0", "--users 0 is too small"),
    ("simulate --out o.parquet --users 99999999999999", "--users 99999999999999 is too large"),
    ("simulate --out o.parquet --merchants 0", "--merchants 0 is too small"),
    ("simulate --out o.parquet --seed -1", "--seed -1 is too small"),
    ("simulate --out o.parquet --takeovers -1", "--takeovers -1.0 is not a number a day"),
    ("simulate --out o.parquet --from yesterday", "--from yesterday is no day"),
    ("simulate --out o.parquet --from 2025-01-05 --to 2025-01-01", "--to 2025-01-01 must lie after --from 2025-01-05"),
    ("simulate --out o.parquet --days 2 --drift-at 2030-01-01", "--drift-at lies after the last day, so nothing would drift"),
    ("simulate --out o.parquet --rate 5", "--rate and --labels-after are for --topic"),
    ("simulate --topic", NO_KAFKA),
    ("dead-letters --replay ''", "the reason is empty; `tidemark dead-letters` lists those that there are"),
    ("dead-letters --show ''", "the reason is empty"),
    ("audit --accept x", "--accept needs --all, a reason, and no --dry-run"),
    ("audit --all --accept ' '", "--accept needs --all, a reason, and no --dry-run"),
    ("audit --all --dry-run --accept x", "--accept needs --all, a reason, and no --dry-run"),
    (f"replay dir {T}", "dir is a folder; name a CSV or Parquet file"),
    (f"replay missing.csv {T}", "there is no file missing.csv"),
    (f"replay latin.csv {T}", "latin.csv can't be read"),
    (f"replay semi.csv {T}", "semi.csv seems to be separated by ';'; write it with commas"),
    (f"replay empty.csv {T}", "empty.csv can't be read"),
    (f"replay head.csv {T}", "head.csv has no transaction"),
    (f"replay cut.parquet {T}", "cut.parquet can't be read"),
    ("replay ok.parquet --columns nonsense", '--columns "nonsense" is no preset'),
    ("replay ok.parquet --columns amount=x", "--columns leaves out transaction_id"),
    ("replay ok.parquet --columns handbook", 'column "TRANSACTION_ID" is missing in ok.parquet'),
    (f"replay ok.parquet {T} --rate fast", "--rate fast is not a rate"),
    (f"replay ok.parquet {T} --rate 0", "--rate 0 is not a rate"),
    (f"replay ok.parquet {T} --from 2030-01-01", "ok.parquet has no transaction and no label from 2030-01-01"),
    (f"replay ok.parquet {T} --from x", "--from x is no day"),
    (f"replay ok.parquet {T} --labels-after soon", "--labels-after soon is not a duration"),
    (f"replay ok.parquet {T} --amount-unit cents", "--amount-unit cents is unknown; use major"),
    (f"replay ok.parquet {T} --amount-unit major", "--amount-unit major contradicts --columns tidemark"),
    (f"replay six.csv {T}", NO_KAFKA),
    (f"replay ok.parquet {T}", NO_KAFKA),
    ("up --partitions 0", "invalid value for '--partitions'"),
    ("up --partitions x", "invalid value for '--partitions'"),
    ("up --partitions 99999999", "invalid value for '--partitions'"),
    ("up --features v9", "--features v9 is not a feature set"),
    ("up --currency eur", "--currency eur is not a currency; write it in capitals, EUR"),
    ("up --currency EURO", "--currency EURO is not a currency"),
    ("up", "TIDEMARK_HOME /proc/x cannot be written to", {"TIDEMARK_HOME": "/proc/x"}),
    ("up", "TIDEMARK_HOME .* can't be a folder", {"TIDEMARK_HOME": "file"}),
    ("up", r"has \d+ bytes, too many to open files in it", {"TIDEMARK_HOME": "/tmp/" + "y" * 900}),
    ("up", r"has \d+ bytes, too many to open files in it", {"TIDEMARK_HOME": "/tmp/" + "ü" * 210}),
    ("up", "TIDEMARK_HOME .*:bad' holds .*, which the services' settings cannot take", {"TIDEMARK_HOME": ":bad"}),
    ("up", "nonsense is no address of Redis .*; write it as redis://host:6379/0", {"TIDEMARK_REDIS": "nonsense"}),
    ("up", "Redis at TIDEMARK_REDIS=redis://127.0.0.1:1 does not answer", {"TIDEMARK_REDIS": "redis://127.0.0.1:1"}),
    ("status", "Redis and MLflow and Kafka of .* do not run; use `tidemark up`"),
    ("status", "TIDEMARK_HOME /x.* can't be a folder", {"TIDEMARK_HOME": "/" + "x" * 300}),
    ("down", "TIDEMARK_HOME .* can't be a folder", {"TIDEMARK_HOME": "file"}),
    ("doctor", "TIDEMARK_HOME .* can't be a folder", {"TIDEMARK_HOME": "file"}),
    ("logs", "there are no logs in .*; `tidemark up` starts the services"),
    ("logs -n -1", "invalid value for '--lines'"),
    ("reset", "reset leaves the models in the registry alone; add --keep-models"),
    ("reset --keep-models", "Kafka is not running"),
    ("demo --exit --transactions 0", "--transactions 0 is too few"),
    ("demo --rate 0", "invalid value for '--rate'"),
    ("worker", NO_KAFKA),
    ("worker", "TIDEMARK_LOG=yaml is no way to write a log; use text or json", {"TIDEMARK_LOG": "yaml"}),
    ("worker --stages nonsense", "there is no stage nonsense; choose from labels, ingest, score, profiles"),
    ("worker --stages ''", r"there is no stage \(none given\)"),
    ("worker --metrics x", "--metrics x is not an address; write it as 127.0.0.1:9100"),
    ("worker --metrics 127.0.0.1:99999", "metrics can't be served at 127.0.0.1:99999"),
    ("worker --metrics nohost.invalid:9100", "metrics can't be served at nohost.invalid:9100"),
    ("serve --port 0", NO_KAFKA),  # no port that somebody else may have
    ("serve --port 99999", "invalid value for '--port'"),
    ("serve --host nohost.invalid", "the API can't listen at nohost.invalid:8000 .*; choose another --host or --port"),
    ("serve --when-store-fails x", "--when-store-fails x is neither refuse nor degrade"),
    ("dead-letters", NO_KAFKA),
    ("dead-letters --show x --replay y", "--show and --replay are two things"),
    ("rebuild-online", NO_KAFKA),
    ("rebuild-state --features v9", "v9 is not a feature set|Kafka is not running"),
    ("backfill-state", "there is no command 'backfill-state' any more; use `tidemark rebuild-state`"),
    ("alerts nonsense", "no such command 'nonsense'"),
    ("alerts list", NO_KAFKA),
    ("alerts show", "missing argument 'ALERT'"),
    ("alerts show x", NO_KAFKA),
    ("alerts ack x", "missing option '--reason'"),
    ("alerts ack x --reason ''", "--reason is empty; give it what is done about the alert"),
    ("transactions abort", "missing argument 'TRANSACTIONAL.ID'"),
    ("transactions list", NO_KAFKA),
    ("offsets jump", "no such command 'jump'"),
    ("offsets show", NO_KAFKA),
    ("archive --once", NO_KAFKA),
    ("archive --once --store /proc/x", "the offline store at /proc/x can't be written .*; make it yours to write, or name another"),
    ("archive --once --store file", "the offline store at .*/file can't be written"),
    ("archive --once --store ftp://x/y", "the offline store can't lie at 'ftp://x/y'; name a folder, or a prefix such as s3://"),
    ("archive --once --memory lots", "--memory lots is no size of a heap; use for example 2g or 512m"),
    ("training-set rows --memory lots", "--memory lots is no size of a heap"),
    ("archive --every 0", "invalid value for '--every'"),
    ("backfill", "missing option '--from'"),
    ("backfill --from x --to y", "--from x is no day"),
    ("backfill --from 2025-01-02 --to 2025-01-01", "--to 2025-01-01 must lie after --from 2025-01-02"),
    ("backfill --from 2025-01-01 --to 2025-01-02", "there is no archive of transactions at .*; run `tidemark archive` first"),
    ("features export --from 2025-01-01 --to 2025-01-02 --out dir --features v9", "--features v9 is not a feature set"),
    ("training-set dir --engine x", "--engine x is not an engine; use spark or local"),
    ("training-set dir --keep-every 0", "invalid value for '--keep-every'"),
    ("training-set rows", NO_ARCHIVE),
    ("score-users --as-of x", "--as-of x is no day"),
    ("score-users --engine x", "--engine x is not an engine; use auto, local or spark"),
    ("score-users --max-lag -1", "invalid value for '--max-lag'"),
    ("score-users", NO_CHAMPION),
    ("audit", NO_KAFKA),
    ("audit --sample 0", "invalid value for '--sample'"),
    ("audit --oracle-share 2", "invalid value for '--oracle-share'"),
    ("audit --metrics-port 0", "invalid value for '--metrics-port'"),
    ("audit --features v9", "--features v9 is not a feature set"),
    ("audit --event-time --follow", "--event-time needs a log that is complete; leave out --follow"),
    ("audit --json file/x.json", "--json file/x.json can't be written: Not a directory"),
    ("explain", "missing argument 'TRANSACTION_ID'"),
    ("explain ''", "TRANSACTION_ID is empty; give a transaction's id"),
    ("explain 1 --features v9", "--features v9 is not a feature set"),
]
ROWS = [(row[0], row[1], row[2] if len(row) == 3 else {}) for row in WRONG]
NAMES = [" ".join([*(f"{name}={value[:20]}" for name, value in environment.items()), typed]) for typed, _, environment in ROWS]


@pytest.fixture(scope="module")
def folder(small_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Files to be wrong with, beside a home that is empty."""
    folder = tmp_path_factory.mktemp("wrong")
    pq.write_table(pq.read_table(small_file).slice(0, 200).replace_schema_metadata(None), folder / "ok.parquet")
    content = (folder / "ok.parquet").read_bytes()
    header, row = "transaction_id,event_time,user_id,merchant_id,amount,currency\n", "1,2025-01-01T00:00:00Z,Jürgen,m,1,EUR\n"
    for name, written in {
        "cut.parquet": content[:-500],
        "theirs.parquet": content,
        "file": b"x",
        "empty.csv": b"",
        "head.csv": header.encode(),
        "six.csv": (header + row).encode(),
        "latin.csv": (header + row).encode("latin-1"),
        "semi.csv": (header + row).replace(",", ";").encode(),
    }.items():
        (folder / name).write_bytes(written)
    (folder / "dir").mkdir()
    with home_at(folder / "home"):
        yield folder


def test_there_are_more_than_a_hundred() -> None:
    assert len(set(NAMES)) == len(ROWS) > 100


@pytest.mark.parametrize(("typed", "sentence", "environment"), ROWS, ids=NAMES)
def test_a_wrong_use_is_one_sentence_and_status_2(
    typed: str,
    sentence: str,
    environment: dict[str, str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["tidemark", *shlex.split(typed)])
    before = kept(folder)
    with pytest.raises(SystemExit) as ended:
        main()
    check(ended.value.code, *capfd.readouterr(), sentence)
    assert kept(folder) == before


@pytest.mark.slow
@pytest.mark.parametrize(("typed", "sentence", "environment"), ROWS, ids=NAMES)
def test_in_a_process_of_its_own_within_seconds(typed: str, sentence: str, environment: dict[str, str], folder: Path) -> None:
    command = [sys.executable, "-c", "from api.cli import main; main()", *shlex.split(typed)]
    whole = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(command, cwd=folder, env=whole, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=15, check=False)
    check(done.returncode, done.stdout, done.stderr, sentence)


def check(status: object, out: str, err: str, sentence: str) -> None:
    assert status == 2, err
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert re.search(sentence, lines[0]), lines[0]
    assert lines[0].startswith("error: ")
    assert "Traceback" not in out + err


def kept(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
