"""The acceptance figure of training and backtest: the handbook's published week, by the commands that a user would run.

    python -m tests.benchmarks.handbook_week --json docs/results/handbook-week.json

reads the file that TIDEMARK_HANDBOOK names, trains on 2018-07-25 … 07-31 as of 2018-08-08, lets `tidemark backtest` score the test week,
and compares with the handbook's own XGBoost. Exit status 1 if it doesn't beat all three figures.
"""

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.history.columns import parse_mapping
from features.history.datafile import read_transactions
from tests.benchmarks.handbook.handbook_protocol import PUBLISHED, PUBLISHED_BEGIN, Figures, figures, judged_rows

ROOT = Path(__file__).parents[2]
TRAIN = ("--from", "2018-07-25", "--to", "2018-08-01", "--as-of", "2018-08-08")
BACKTEST = ("--from", "2018-08-08", "--to", "2018-08-15")


def tidemark(home: Path, *arguments: str | Path) -> None:
    """Runs the command with a home of its own; its sentence is the error if it fails."""
    outside = ("TIDEMARK_KAFKA", "TIDEMARK_REDIS", "TIDEMARK_MLFLOW")
    environment = {name: value for name, value in os.environ.items() if name not in outside}
    environment |= {"TIDEMARK_HOME": str(home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", "from api.cli import main; main()", *map(str, arguments)]
    done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"tidemark {arguments[0]} ended with {done.returncode}: {done.stderr}")


def train_and_backtest(home: Path, file: Path, columns: str) -> tuple[dict[str, object], pa.Table]:
    """A champion of the published training week, in an empty registry under ``home``, and its scores of the test week."""
    tidemark(home, "train", "--data", file, "--columns", columns, *TRAIN, "--json", home / "train.json")
    tidemark(home, "backtest", file, "--columns", columns, *BACKTEST, "--scores", home / "scores.parquet")
    return json.loads((home / "train.json").read_text()), pq.read_table(home / "scores.parquet")


def judge(table: pa.Table, scores: pa.Table) -> tuple[Figures, int, int]:
    """The protocol's figures of a backtest of the canonical ``table``, and how many transactions and frauds they rest on."""
    event_time, user, is_fraud = (table[name].to_numpy() for name in ("event_time", "user_id", "is_fraud"))
    rows = judged_rows(event_time, user, is_fraud, PUBLISHED_BEGIN)
    place = pc.index_in(table["transaction_id"].take(pa.array(rows)), scores["transaction_id"].combine_chunks())
    if place.null_count:
        raise ValueError(f"{place.null_count:,} of the transactions to judge by have no score")
    probability = scores["probability"].to_numpy()[place.to_numpy()]
    found = figures(event_time[rows], user[rows], is_fraud[rows], probability.astype(np.float64))
    return found, len(rows), int(is_fraud[rows].sum())


def main() -> int:
    """Measure, print, and write the record if ``--json`` asks for it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the record here")
    arguments = parser.parse_args()
    source = os.environ.get("TIDEMARK_HANDBOOK")
    if not source:
        parser.error("TIDEMARK_HANDBOOK doesn't name the handbook's file; set it to where handbook-2018-04-to-08.parquet lies")
    file = Path(source)
    with tempfile.TemporaryDirectory(prefix="tidemark-handbook-week-") as home:
        trained, scores = train_and_backtest(Path(home), file, "handbook")
    found, rows, frauds = judge(read_transactions(file, parse_mapping("handbook"), "7d"), scores)
    record = {
        "command": "python -m tests.benchmarks.handbook_week --json docs/results/handbook-week.json",
        "steps": [
            shlex.join(("tidemark", "train", "--data", file.name, "--columns", "handbook", *TRAIN)),
            shlex.join(("tidemark", "backtest", file.name, "--columns", "handbook", *BACKTEST, "--scores", "scores.parquet")),
        ],
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "figures": asdict(found),
        "published": asdict(PUBLISHED),
        "beats_published": found.beats(PUBLISHED),
        "test": {"transactions": rows, "frauds": frauds},
        "training": {name: trained[name] for name in ("rows", "frauds", "rounds", "model_digest", "policy_digest", "features_digest")},
    }
    text = json.dumps(record, indent=2)
    print(text)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(text + "\n")
    return 0 if found.beats(PUBLISHED) else 1


def commit() -> str:
    """The commit of the checkout, marked if files under version control differ from it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
