"""What MLflow keeps of a training that `tidemark train` made, and that it keeps nothing half made."""

import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from mlflow import MlflowClient

from features.errors import UserError
from features.history.datafile import file_digest
from infra.local import ports
from models.evaluation.judgement import Evaluation
from models.monitoring.reference import Reference
from models.registry import mlflow_registry
from models.training_set.snapshot import DataSnapshot
from tests.made.models import V1
from tests.run.command_line import home_at
from tests.run.command_line import ran as tidemark

RANGE = ("--from", "2025-01-08", "--to", "2025-01-29", "--as-of", "2025-02-05")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, small_file: Path) -> Iterator[Path]:
    with home_at(tmp_path_factory.mktemp("record")) as home:
        tidemark("train", "--data", small_file, *RANGE, "--author", "ada", "--cost", "review=250", "--json", home / "train.json")
        yield home


@pytest.fixture(scope="module")
def client(home: Path) -> MlflowClient:
    uri = f"sqlite:///{home / 'mlflow.db'}"
    return MlflowClient(uri, uri)


def test_the_run_says_who_made_it_when_from_what_and_with_which_code(home: Path, client: MlflowClient, small_file: Path) -> None:
    done = json.loads((home / "train.json").read_text())
    run = client.get_run(done["run_id"])
    version = client.get_model_version("tidemark", "1")
    for tags in (run.data.tags, version.tags):
        assert tags["author"] == "ada"
        assert tags["data_digest"] == file_digest(small_file)
        assert (tags["data_paths"], tags["features_digest"]) == (str(small_file), V1.digest)
        assert tags["code_version"]
        assert tags["date"].startswith("20")
    assert run.data.tags["mlflow.user"] == "ada"
    assert run.data.metrics["eval_auc_roc_low"] <= run.data.metrics["eval_auc_roc"] == done["evaluation"]["figures"]["auc_roc"]["value"]
    (used,) = run.inputs.dataset_inputs
    assert used.dataset.digest == file_digest(small_file)[:36]
    assert version.description.startswith("# tidemark: fraud probability")
    assert version.tags["trained_to"].isdigit()


def test_evaluation_card_plots_and_reference_are_with_the_run(home: Path, client: MlflowClient, tmp_path: Path, small_file: Path) -> None:
    run_id = json.loads((home / "train.json").read_text())["run_id"]
    folder = Path(client.download_artifacts(run_id, "", str(tmp_path)))
    files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    plots = {f"plots/{name}.png" for name in ("pr", "roc", "calibration", "scores", "cost", "importance")}
    assert files == {"evaluation.json", "reference.json", "model_card.md", "data.json", *plots}
    assert all((folder / plot).read_bytes().startswith(b"\x89PNG") for plot in plots)
    found = msgspec.json.decode((folder / "evaluation.json").read_bytes(), type=Evaluation)
    assert found.costs.review == 250
    assert {"amount", "user", "country"} <= found.segments.keys()
    snapshot = msgspec.json.decode((folder / "data.json").read_bytes(), type=DataSnapshot)
    assert snapshot.paths == (str(small_file),)
    card = (folder / "model_card.md").read_text()
    for part in ("by ada", snapshot.digest, "average precision", "| by amount |", "a review 250", "## Limits"):
        assert part in card


def test_the_reference_is_with_the_model_and_of_the_rows_learnt(home: Path, client: MlflowClient, tmp_path: Path) -> None:
    done = json.loads((home / "train.json").read_text())
    source = client.get_model_version_download_uri("tidemark", "1")
    from mlflow.artifacts import download_artifacts

    folder = Path(download_artifacts(source, dst_path=str(tmp_path), tracking_uri=f"sqlite:///{home / 'mlflow.db'}"))
    found = Reference.from_json((folder / "reference.json").read_bytes())
    assert (found.rows, tuple(found.features)) == (done["rows"], V1.names)
    assert 0 < found.score_rows < done["rows"]
    assert (folder / "model_card.md").exists()


def test_mlflows_own_loader_refuses_a_missing_feature_by_name(home: Path, tmp_path: Path, client: MlflowClient) -> None:
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.exceptions import MlflowException

    loaded = mlflow.pyfunc.load_model(client.get_model_version_download_uri("tidemark", "1"))
    rows = pd.DataFrame(0.0, index=range(2), columns=list(V1.names), dtype="float32")
    assert len(loaded.predict(rows)) == 2
    with pytest.raises(MlflowException, match="user_last_amount"):
        loaded.predict(rows.drop(columns="user_last_amount"))
    assert tmp_path


def test_two_trainings_keep_the_same_record_but_for_the_date(home: Path, client: MlflowClient, small_file: Path, tmp_path: Path) -> None:
    tidemark("train", "--data", small_file, *RANGE, "--author", "ada", "--cost", "review=250", "--json", tmp_path / "again.json")
    runs = [json.loads(file.read_text())["run_id"] for file in (home / "train.json", tmp_path / "again.json")]
    folders = [Path(client.download_artifacts(run, "", str(tmp_path / run))) for run in runs if (tmp_path / run).mkdir() is None]
    for name in ("evaluation.json", "reference.json", "plots/pr.png", "plots/cost.png"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name


def test_a_registry_that_is_down_is_refused_before_anything_is_computed(
    small_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEMARK_HOME", str(tmp_path))
    monkeypatch.setenv("TIDEMARK_MLFLOW", f"http://127.0.0.1:{ports.choose([], set())}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr("models.training.mlflow_training.candidate", lambda *_: pytest.fail("it trained"))
    with pytest.raises(UserError, match=r"the registry at http://127[^ ]* doesn't answer; see `tidemark doctor`, and start or name it"):
        tidemark("train", "--data", small_file, *RANGE)


DISK_FULL = """
import resource, sys
from pathlib import Path
from features.errors import UserError
from models.registry import mlflow_registry
from models.registry.mlflow_record import refusing_in_words
from models.learners.trained import Trained
from tests.made.models import POLICY, V1, booster
from tests.made.registered_models import large_record

uri, mlflow_db = sys.argv[1], Path(sys.argv[2])
record = large_record(8_000_000)
limit = mlflow_db.stat().st_size + 300_000
assert limit < 8_000_000
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    with refusing_in_words(uri, "registering the model"):
        mlflow_registry.register(Trained(booster(), POLICY, {}, {}), V1, uri, record=record)
except UserError as error:
    print(error)
"""


def test_a_disk_that_is_full_in_the_middle_leaves_no_version(home: Path, client: MlflowClient) -> None:
    before = {version.version for version in client.search_model_versions("name = 'tidemark'")}
    uri, database = f"sqlite:///{home / 'mlflow.db'}", home / "mlflow.db"
    # Files can't grow beyond a limit that a plot is larger than: for the program what a full disk is.
    done = subprocess.run(
        [sys.executable, "-c", DISK_FULL, uri, str(database)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert re.fullmatch(r"registering the model failed: (/\S+: )?File too large; nothing was registered, make room .*\n", done.stdout), (
        done.stderr[-2_000:]
    )
    assert {version.version for version in client.search_model_versions("name = 'tidemark'")} == before
    experiment = client.get_experiment_by_name("tidemark")
    assert experiment is not None
    newest = client.search_runs([experiment.experiment_id], max_results=1)[0]
    assert newest.info.status == "FAILED"
    assert mlflow_registry.champion_version(uri) == "1"
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--cost", "revue=250"), "--cost revue is not a cost; the costs are fraud_loss, "),
        (("--cost", "review=-1"), "can't be negative"),
        (("--history-days", "7;28"), "--history-days 7;28 is not a list of days; write it as 7,28,90"),
    ],
)
def test_bad_choices_are_one_sentence(home: Path, small_file: Path, arguments: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        tidemark("train", "--data", small_file, *RANGE, *arguments)
    assert home
