"""What a user's risk is worth: of the users that it ranks first on a day, how many have a fraud within the next seven days?

    python -m tests.benchmarks.user_risk --json docs/results/user-risk.json

reads the file that TIDEMARK_HANDBOOK names, trains as of 2018-08-01 on 2018-06-15 … 07-23 and looks at every third day of 2018-08-01 … 22.
Beside `user_risk` stand what it was chosen over: the highest probability as it was given at the time, over several days, and the
probability of a neutral payment, of the user's mean amount at a merchant that nobody knows.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.metrics import average_precision_score, roc_auc_score

from features.backfill.archived_log import of_table
from features.backfill.stages import UserStage
from features.definitions import DAY, FEATURE_SETS, HOUR
from features.history.columns import parse_mapping
from features.history.datafile import read_transactions
from features.state import EntityState
from features.vector import assemble
from models.registry import mlflow_registry
from models.scoring import Scorer
from streams.user_risk.risk import user_risk
from tests.benchmarks.handbook_week import tidemark
from tests.benchmarks.report.provenance import provenance

V1 = FEATURE_SETS["fraud_v1"]
TRAIN = ("--from", "2018-06-15", "--to", "2018-07-24", "--as-of", "2018-08-01")
DAYS = [int(datetime(2018, 8, day, tzinfo=UTC).timestamp() * 1000) for day in range(1, 25, 3)]
TOP = 100
Ranking = Mapping[str, float]


def given_at_the_time(table: pa.Table, scores: pa.Table, moment: int, days: int) -> Ranking:
    """The highest probability of each user's payments of the last ``days``, as a backtest gives it."""
    user, time = table["user_id"].to_numpy(), table["event_time"].to_numpy()
    probability = dict(zip(scores["transaction_id"].to_pylist(), scores["probability"].to_pylist(), strict=True))
    found: dict[str, float] = {}
    for row in np.flatnonzero((time >= moment - days * DAY) & (time < moment)):
        found[user[row]] = max(found.get(user[row], 0.0), probability[table["transaction_id"][int(row)].as_py()])
    return found


def of_a_neutral_payment(records: pa.Table, scorer: Scorer, moment: int) -> Ranking:
    """The mean over the day's hours of the probability of the user's mean amount at a merchant that was never seen."""
    stage = UserStage(V1, None, np.empty(0, np.int64))
    for batch in records.to_batches(max_chunksize=1 << 16):
        stage.apply(batch)
    slots = np.arange(len(stage.users))
    count, total = stage.users.totals(slots)
    amount, nothing = np.rint(total / np.maximum(count, 1)).astype(np.int64), np.zeros(len(slots), np.int64)
    new = EntityState(V1, "merchant", 1)
    unknown = np.repeat(new.slots(["new"]), len(slots))
    means = []
    for hour in range(0, 24, 3):
        time = nothing + moment + hour * HOUR
        of_user, of_merchant = stage.users.observe(slots, time, amount, nothing), new.observe(unknown, time, amount, nothing)
        means.append(scorer.score(assemble(V1, time, amount, of_user, of_merchant)).probability)
    return dict(zip(stage.users.names, np.mean(means, axis=0).tolist(), strict=True))


def figures(ranking: Ranking, users: list[str], frauds: set[str]) -> list[float]:
    """AUC, average precision, and precision among the first TOP; who isn't ranked comes last."""
    score = np.array([ranking.get(user, 0.0) for user in users])
    truth = np.array([user in frauds for user in users])
    first = np.argsort(-score, kind="stable")[:TOP]
    return [float(roc_auc_score(truth, score)), float(average_precision_score(truth, score)), float(truth[first].mean())]


def measure(file: Path) -> dict[str, object]:
    """Means over the days of each ranking's figures."""
    table = read_transactions(file, parse_mapping("handbook", None), "7d")
    with tempfile.TemporaryDirectory(prefix="tidemark-user-risk-") as folder:
        home = Path(folder)
        tidemark(home, "train", "--data", file, "--columns", "handbook", *TRAIN)
        tidemark(home, "backtest", file, "--columns", "handbook", "--from", "2018-07-01", "--scores", home / "scores.parquet")
        scores = pq.read_table(home / "scores.parquet", columns=["transaction_id", "probability"])
        scorer = mlflow_registry.load("models:/tidemark@champion", f"sqlite:///{home / 'mlflow.db'}")
    user, time, fraud = (table[name].to_numpy() for name in ("user_id", "event_time", "is_fraud"))
    found: dict[str, list[list[float]]] = {}
    shares = []
    for moment in DAYS:
        records = of_table(table, moment)
        risks = user_risk(records, V1, scorer, moment)
        users = risks["user_id"].to_pylist()
        frauds = set(user[(time >= moment) & (time < moment + 7 * DAY) & fraud.astype(bool)])
        shares.append(len(frauds.intersection(users)) / len(users))
        rankings: dict[str, Mapping[str, float]] = {"user_risk": dict(zip(users, risks["probability"].to_pylist(), strict=True))}
        rankings |= {f"highest_of_{days}d_at_the_time": given_at_the_time(table, scores, moment, days) for days in (7, 14)}
        rankings["neutral_payment"] = of_a_neutral_payment(records, scorer, moment)
        for name, ranking in rankings.items():
            found.setdefault(name, []).append(figures(ranking, users, frauds))
    means = {
        name: dict(zip(("auc", "ap", f"precision_{TOP}"), np.mean(each, axis=0).tolist(), strict=True)) for name, each in found.items()
    }
    return {"days": len(DAYS), "users_with_a_fraud": float(np.mean(shares)), "figures": means}


def main() -> None:
    """Measures, and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    found = {**provenance(["python", "-m", "tests.benchmarks.user_risk", *sys.argv[1:]]), **measure(Path(os.environ["TIDEMARK_HANDBOOK"]))}
    text = json.dumps(found, indent=2)
    if chosen.json:
        chosen.json.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
