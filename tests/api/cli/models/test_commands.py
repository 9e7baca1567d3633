"""`tidemark train` and `tidemark backtest`, as a user runs them, on a small simulated file."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.definitions import DAY
from features.errors import UserError
from models.registry import mlflow_client, mlflow_registry
from tests.made.history import BEGIN
from tests.run.command_line import home_at
from tests.run.command_line import ran as run

RANGE = ("--from", "2025-01-15", "--to", "2025-01-29", "--as-of", "2025-02-05")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    with home_at(tmp_path / "home") as home:
        yield home


def trained(file: Path, summary: Path, *more: str | Path, columns: str = "tidemark") -> dict[str, object]:
    run("train", "--data", file, "--columns", columns, "--json", summary, *more)
    return dict(json.loads(summary.read_text()))


def test_train_then_backtest_without_services(home: Path, small_file: Path, tmp_path: Path) -> None:
    made = trained(small_file, tmp_path / "train.json", *RANGE)
    assert (made["model"], made["role"], made["feature_set"], made["label_unknown"]) == ("models:/tidemark/1", "champion", "fraud_v1", 0)
    again = trained(small_file, tmp_path / "again.json", *RANGE)
    assert (again["version"], again["role"]) == ("2", "candidate")
    assert (again["model_digest"], again["policy_digest"]) == (made["model_digest"], made["policy_digest"])

    files = [tmp_path / "scores" / name for name in ("one.parquet", "two.parquet")]
    week = ("--columns", "tidemark", "--from", "2025-02-01", "--to", "2025-02-08", "--json", tmp_path / "backtest.json")
    for file in files:
        run("backtest", small_file, *week, "--scores", file)
    done = json.loads((tmp_path / "backtest.json").read_text())
    scores = pq.read_table(files[0])
    assert files[0].read_bytes() == files[1].read_bytes()
    assert done["transactions"] == sum(done["decisions"].values()) == len(scores)
    assert (done["model"], done["model_digest"]) == ("models:/tidemark/1", made["model_digest"])
    run("backtest", small_file, *week, "--scores", tmp_path / "named.parquet", "--model", "models:/tidemark/2")
    assert (tmp_path / "named.parquet").read_bytes() == files[0].read_bytes()
    run("backtest", small_file, *week, "--scores", tmp_path / "cold.parquet", "--no-history")
    assert pq.read_table(tmp_path / "cold.parquet")["transaction_id"].equals(scores["transaction_id"])
    assert sorted(path.name for path in home.iterdir()) == ["mlartifacts", "mlflow.db"]


def test_rows_that_a_file_has_again_change_neither_model_nor_scores_and_are_counted(home: Path, small_file: Path, tmp_path: Path) -> None:
    whole, file = pq.read_table(small_file), tmp_path / "again.parquet"
    other = whole.slice(700, 3)
    other = other.set_column(other.column_names.index("amount"), "amount", pc.add(other["amount"], 1))
    pq.write_table(pa.concat_tables([whole, whole.slice(500, 7), other.cast(whole.schema)]), file)
    summary = tmp_path / "summary.json"
    made = [trained(of, summary, *RANGE) for of in (small_file, file)]
    assert [(one["duplicates"], one["conflicts"]) for one in made] == [(0, 0), (7, 3)]
    assert made[0]["model_digest"] == made[1]["model_digest"]
    said = [
        run("backtest", of, "--columns", "tidemark", "--from", "2025-02-01", "--json", summary, "--scores", tmp_path / f"{of.stem}.scores")
        for of in (small_file, file)
    ]
    found = json.loads(summary.read_text())
    assert (found["duplicates"], found["conflicts"]) == (7, 3)
    assert "left out: 7 rows that are in the file before, 3 whose id it has before with other content" in said[1]
    assert (tmp_path / "small.scores").read_bytes() == (tmp_path / "again.scores").read_bytes()


@pytest.mark.parametrize("model", ["logistic_regression", "random_forest"])
def test_a_baseline_is_a_run_to_compare_with_and_no_version(home: Path, small_file: Path, tmp_path: Path, model: str) -> None:
    made = trained(small_file, tmp_path / "baseline.json", *RANGE, "--model", model)
    assert made["baseline"] == model
    uri = f"sqlite:///{home / 'mlflow.db'}"
    client = mlflow_client.connect(uri)
    run = client.get_run(str(made["run_id"]))
    assert (run.info.status, run.data.params["model"]) == ("FINISHED", model)
    assert run.data.metrics["validation_ap"] == made["validation_ap"]
    assert 0.2 < run.data.metrics["eval_average_precision"] <= 1
    assert run.data.tags["data_digest"]
    kept = {file.path for file in client.list_artifacts(str(made["run_id"]))}
    assert {"model_card.md", "evaluation.json", "plots"} <= kept
    assert not [file for file in home.rglob("*") if file.suffix in (".pkl", ".joblib", ".ubj")]
    assert client.search_registered_models() == []
    again = trained(small_file, tmp_path / "again.json", *RANGE, "--model", model)
    assert again["evaluation"] == made["evaluation"]


def test_a_propensity_is_weighted_by_and_on_record(home: Path, small_file: Path, tmp_path: Path) -> None:
    table = pq.read_table(small_file)
    let_through = pa.array([0.5 if amount > 10_000 else None for amount in table["amount"].to_pylist()], pa.float64())
    pq.write_table(table.append_column("let_through", let_through), tmp_path / "held.parquet")
    plain = trained(small_file, tmp_path / "plain.json", *RANGE)
    weighted = trained(tmp_path / "held.parquet", tmp_path / "weighted.json", *RANGE, "--propensity", "let_through")
    assert weighted["model_digest"] != plain["model_digest"]
    client = mlflow_client.connect(f"sqlite:///{home / 'mlflow.db'}")
    assert client.get_run(str(weighted["run_id"])).data.params["propensity"] == "let_through"


@pytest.mark.usefixtures("home")
def test_nothing_after_as_of_influences_the_model(small_file: Path, tmp_path: Path) -> None:
    as_of = BEGIN + 35 * DAY
    table = pq.read_table(small_file)
    rows = zip(table["event_time"].to_pylist(), table["is_fraud"].to_pylist(), strict=True)
    changed = [not fraud if time + 7 * DAY > as_of else fraud for time, fraud in rows]
    at = table.schema.get_field_index("is_fraud")
    pq.write_table(table.set_column(at, table.schema.field(at), pa.array(changed)), tmp_path / "altered.parquet")
    before = trained(small_file, tmp_path / "one.json", "--from", "2025-01-15", "--as-of", "2025-02-05")
    after = trained(tmp_path / "altered.parquet", tmp_path / "two.json", "--from", "2025-01-15", "--as-of", "2025-02-05")
    assert before["label_unknown"] == after["label_unknown"] != 0
    assert (before["model_digest"], before["policy_digest"]) == (after["model_digest"], after["policy_digest"])


@pytest.mark.usefixtures("home")
def test_by_default_the_labels_known_at_the_end_of_the_file_count(small_file: Path, tmp_path: Path, small: pa.Table) -> None:
    made = trained(small_file, tmp_path / "train.json", "--features", "fraud_v2")
    event_time = small["event_time"].to_numpy()
    assert made["label_unknown"] == (event_time + 7 * DAY > event_time.max()).sum()
    assert made["rows"] == len(small) - int(str(made["label_unknown"]))
    assert made["feature_set"] == "fraud_v2"


@pytest.fixture(scope="module")
def fraudless(small_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    table = pq.read_table(small_file)
    at = table.schema.get_field_index("is_fraud")
    file = tmp_path_factory.mktemp("fraudless") / "fraudless.parquet"
    pq.write_table(table.set_column(at, table.schema.field(at), pa.array([False] * len(table))), file)
    return file


BACKTEST = ("--scores", "scores.parquet")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("train", "--data", "missing.parquet", "--columns", "tidemark"), "there is no file missing.parquet"),
        (("train", "--data", "FILE", "--columns", "handbook"), 'column "TRANSACTION_ID" is missing'),
        (
            ("train", "--data", "FILE", "--columns", "tidemark", "--features", "v9"),
            "--features v9 is not a feature set; use one",
        ),
        (("train", "--data", "FILE", "--columns", "tidemark", "--from", "2025-01-20", "--to", "2025-01-20"), "must lie after --from"),
        (("train", "--data", "FILE", "--columns", "tidemark", "--from", "2030-01-01"), "no transaction from --from to --to"),
        (("train", "--data", "FILE", "--columns", "tidemark", "--as-of", "yesterday"), "--as-of yesterday is no day"),
        (("train", "--data", "FILE", "--columns", "tidemark", "--as-of", "2025-01-05"), "labels of the range come after --as-of"),
        (("train", "--data", "FRAUDLESS", "--columns", "tidemark"), "none of the .* transactions to learn from is a fraud"),
        (
            ("train", "--data", "FILE", "--columns", "UNLABELLED", "--amount-unit", "minor"),
            "names no fraud column to learn from; add is_fraud=",
        ),
        (
            ("train", "--data", "FILE", "--model", "oracle"),
            "--model oracle is not a learner; use xgboost, or to compare with it logistic_regression or",
        ),
        (("train", "--data", "FILE", "--model", "random_forest", "--search", "5"), "--search looks for parameters of xgboost alone"),
        (
            ("train", "--data", "FILE", "--search", "5"),
            "--search needs weeks with frauds before the 3 newest, which judge the model, so at",
        ),
        (("train", "--data", "FILE", "--immature", "sometimes"), "--immature sometimes is not a choice; use left-out or weighted"),
        (("train", "--data", "FILE", "--immature", "weighted"), "needs labels that come sooner or later, and a file's all come"),
        (("train", "--data", "FILE", "--propensity", "let_through"), 'column "let_through" is missing in small.parquet'),
        (("train", "--data", "FILE", "--propensity", "currency"), 'column "currency" of small.parquet holds more than numbers'),
        (("train", "--propensity", "let_through"), "can't be had from the archive, for decisions are logged without a propensity"),
        (("backtest", "missing.parquet", "--columns", "tidemark", *BACKTEST), "there is no file missing.parquet"),
        (("backtest", "FILE", "--columns", "tidemark", *BACKTEST), "has no champion of tidemark; train one with tidemark train"),
        (
            ("backtest", "FILE", "--columns", "tidemark", "--model", "nonsense", *BACKTEST),
            "nonsense is no model; give models:/tidemark@champion",
        ),
        (
            ("backtest", "FILE", "--columns", "tidemark", "--from", "2030-01-01", *BACKTEST),
            "no transaction in the range, all are from 2025-01-01",
        ),
    ],
)
@pytest.mark.usefixtures("home")
def test_bad_input_is_one_sentence(small_file: Path, fraudless: Path, arguments: tuple[str, ...], sentence: str) -> None:
    unlabelled = (
        "transaction_id=transaction_id,event_time=event_time,user_id=user_id,merchant_id=merchant_id,amount=amount,currency=currency"
    )
    given = {"FILE": str(small_file), "FRAUDLESS": str(fraudless), "UNLABELLED": unlabelled}
    with pytest.raises(UserError, match=sentence) as refused:
        run(*(given.get(argument, argument) for argument in arguments))
    assert "\n" not in str(refused.value)
    assert not Path("scores.parquet").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "--data", "FILE", "--columns", "tidemark"),
        ("backtest", "FILE", "--columns", "tidemark", *BACKTEST),
        ("replay", "FILE", "--columns", "tidemark"),
        ("replay", "FILE", "--columns", "tidemark", "--aligned"),
    ],
)
@pytest.mark.usefixtures("home")
def test_a_file_in_another_currency_than_the_deployments_is_refused(
    small_file: Path, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEMARK_CURRENCY", "USD")
    with pytest.raises(UserError, match=r"^small\.parquet has amounts in EUR, but this deployment settles in USD; convert them, or name"):
        run(*(str(small_file) if argument == "FILE" else argument for argument in arguments))


def test_scores_that_cannot_be_written(home: Path, small_file: Path, tmp_path: Path) -> None:
    from tests.made.models import V1
    from tests.made.registered_models import sqlite
    from tests.made.registered_models import trained as any_model

    mlflow_registry.register(any_model(), V1, sqlite(home))
    (tmp_path / "taken").write_text("a file, no folder")
    with pytest.raises(UserError, match=r"scores\.parquet can't be written: "):
        run("backtest", small_file, "--columns", "tidemark", "--scores", tmp_path / "taken" / "scores.parquet")
