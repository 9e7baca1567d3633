"""``bench handbook`` on a share of the customers: its scores can be judged by anybody, and nothing that came later is in them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from typer.testing import CliRunner

from features.definitions import DAY
from features.errors import UserError
from models.training.recipe import Recipe
from tests.benchmarks.commands import bench
from tests.benchmarks.handbook.handbook_protocol import PUBLISHED_TEST_START
from tests.benchmarks.measures.handbook import OURS, THEIRS, Spec, run

START = PUBLISHED_TEST_START
QUICK = Recipe(histories=(7, 28), weeks=1)


@pytest.fixture(scope="module")
def some(handbook: pa.Table) -> pd.DataFrame:
    """Every third customer from 40 days before the published week until after it, with the handbook's columns."""
    time = handbook["event_time"].to_numpy()
    table = handbook.filter(pa.array((time >= START - 40 * DAY) & (time < START + 9 * DAY)))
    customers = table["user_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    table = table.filter(pa.array(customers % 3 == 0))
    return pd.DataFrame(
        {
            "TRANSACTION_ID": table["transaction_id"].to_pandas(),
            "TX_DATETIME": pd.to_datetime(table["event_time"].to_numpy(), unit="ms"),
            "CUSTOMER_ID": table["user_id"].to_pandas(),
            "TERMINAL_ID": table["merchant_id"].to_pandas(),
            "TX_AMOUNT": table["amount"].to_numpy() / 100,
            "TX_FRAUD": pc.fill_null(table["is_fraud"], False).to_numpy().astype(np.int64),
        }
    )


def measured(frame: pd.DataFrame, folder: Path, **changes: Any) -> tuple[dict[str, Any], pd.DataFrame]:
    """The figures, as JSON would have them, and the scores."""
    frame.to_parquet(folder / "some.parquet", index=False)
    spec = Spec(folder / "some.parquet", folder / "scores.parquet", (START,), threads=1, resamples=20, recipe=QUICK)
    figures = json.loads(json.dumps(run(replace(spec, **changes), lambda _: None)))
    return figures, pq.read_table(folder / "scores.parquet").to_pandas()


@pytest.fixture(scope="module")
def plain(some: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], pd.DataFrame]:
    return measured(some, tmp_path_factory.mktemp("plain"))


def in_test_week(frame: pd.DataFrame) -> pd.Series:
    day = (frame["TX_DATETIME"] - pd.Timestamp(START, unit="ms")).dt.days
    return (day >= 0) & (day < 7)


def test_each_transaction_of_the_test_days_has_one_score(plain: tuple[dict[str, Any], pd.DataFrame], some: pd.DataFrame) -> None:
    _, scores = plain
    assert list(scores.columns) == ["transaction_id", "probability"]
    assert sorted(scores["transaction_id"]) == sorted(some["TRANSACTION_ID"][in_test_week(some)].astype(str))
    assert scores["probability"].dtype == np.float64
    assert scores["probability"].between(0, 1).all()


def test_anybody_can_judge_by_the_scores_alone(plain: tuple[dict[str, Any], pd.DataFrame], some: pd.DataFrame) -> None:
    figures, scores = plain
    frame = some.assign(TRANSACTION_ID=some["TRANSACTION_ID"].astype(str)).merge(
        scores, left_on="TRANSACTION_ID", right_on="transaction_id", how="left"
    )
    frame["day"] = (frame["TX_DATETIME"] - pd.Timestamp(START - 14 * DAY, unit="ms")).dt.days
    frauds = frame[frame["TX_FRAUD"] == 1]
    known = set(frauds.loc[frauds["day"].between(0, 6), "CUSTOMER_ID"])
    kept = []
    for day in range(14, 21):
        known |= set(frauds.loc[frauds["day"] == day - 8, "CUSTOMER_ID"])
        kept.append(frame[(frame["day"] == day) & ~frame["CUSTOMER_ID"].isin(known)])
    judged = pd.concat(kept)
    caught: set[Any] = set()
    daily = []
    for _, of_day in judged.groupby("day"):
        cards = of_day.groupby("CUSTOMER_ID").agg(highest=("probability", "max"), fraud=("TX_FRAUD", "max"))
        first = cards[~cards.index.isin(caught)].sort_values("highest", ascending=False).head(100)
        caught |= set(first.index[first["fraud"] == 1])
        daily.append(first["fraud"].sum() / 100)
    (week,) = figures["weeks"]
    assert (week["transactions"], week["frauds"]) == (len(judged), judged["TX_FRAUD"].sum())
    assert week[OURS]["auc"]["value"] == pytest.approx(roc_auc_score(judged["TX_FRAUD"], judged["probability"]), abs=1e-9)
    assert week[OURS]["ap"]["value"] == pytest.approx(average_precision_score(judged["TX_FRAUD"], judged["probability"]), abs=1e-9)
    assert week[OURS]["cp100"]["value"] == pytest.approx(np.mean(daily), abs=1e-9)
    assert figures["mean"][OURS] == week[OURS]


def test_the_figures_say_what_they_rest_on(plain: tuple[dict[str, Any], pd.DataFrame]) -> None:
    figures, _ = plain
    (week,) = figures["weeks"]
    for model in (OURS, THEIRS):
        for found in week[model].values():
            assert found["low"] <= found["high"]
    assert set(week["beside_published"]["claims"]) == {"auc", "ap", "cp100"}
    assert len(week["compared"]) == 3
    assert figures["published"]["XGBoost"] == {"auc": 0.862, "ap": 0.639, "cp100": 0.273}
    assert figures["features"] == "fraud_v3"


@pytest.mark.parametrize("altered", ["labels of the test week", "all rows after it"])
def test_scores_keep_every_bit_whatever_comes_later(
    altered: str, plain: tuple[dict[str, Any], pd.DataFrame], some: pd.DataFrame, tmp_path: Path
) -> None:
    other = some.copy()
    if altered == "labels of the test week":
        changed = in_test_week(other)
        other.loc[changed, "TX_FRAUD"] = 1 - other.loc[changed, "TX_FRAUD"]
    else:
        changed = other["TX_DATETIME"] >= pd.Timestamp(START + 7 * DAY, unit="ms")
        other.loc[changed, ["TX_AMOUNT", "TX_FRAUD"]] = [999.0, 1]
        other.loc[changed, "CUSTOMER_ID"] = other["CUSTOMER_ID"].iloc[0]
    assert changed.any()
    _, scores = measured(other, tmp_path)
    pd.testing.assert_frame_equal(scores, plain[1], check_exact=True)


def test_two_weeks_say_which(some: pd.DataFrame, tmp_path: Path) -> None:
    figures, scores = measured(some, tmp_path, test_starts=(START - 7 * DAY, START))
    assert list(scores.columns) == ["transaction_id", "probability", "test_start"]
    assert scores["test_start"].astype(str).unique().tolist() == ["2018-08-01", "2018-08-08"]
    assert scores["transaction_id"].is_unique
    mean = np.mean([week[OURS]["ap"]["value"] for week in figures["weeks"]])
    assert figures["mean"][OURS]["ap"]["value"] == pytest.approx(mean)


def test_a_week_that_the_file_does_not_cover_is_refused(some: pd.DataFrame, tmp_path: Path) -> None:
    for start in (START - 14 * DAY, START + 7 * DAY):
        with pytest.raises(UserError, match="name a --test-start that lies within"):
            measured(some, tmp_path, test_starts=(start,))


def test_a_week_without_frauds_or_labels_is_refused(some: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no frauds"):
        measured(some.assign(TX_FRAUD=some["TX_FRAUD"].where(~in_test_week(some), 0)), tmp_path)
    with pytest.raises(UserError, match="TX_FRAUD is 0 or 1"):
        measured(some.assign(TX_FRAUD=some["TX_FRAUD"].where(~in_test_week(some), None)), tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name one with the handbook's columns by --data"),
        (("--data", "none.parquet"), "there is no file none.parquet"),
        (("--data", "x.parquet", "--test-start", "soon"), "--test-start soon is no day"),
    ],
)
def test_what_can_not_be_measured_is_said(arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIDEMARK_HANDBOOK", raising=False)
    with pytest.raises(UserError, match=said):
        CliRunner().invoke(bench.program(), ["handbook", *arguments], catch_exceptions=False)
