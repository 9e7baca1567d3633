"""The registry, by one suite on plain SQLite and on a tracking server."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from features import definitions
from features.definitions import FEATURE_SETS, FeatureSet
from features.errors import UserError
from infra.local import mlflow as mlflow_service
from infra.local import ports, processes
from infra.local.processes import Slot
from models.registry import mlflow_folder, mlflow_registry
from models.registry.record import Registered
from tests.made.models import POLICY, V1, booster, rows
from tests.made.registered_models import register_one, sqlite, trained
from tests.run.deployment import eventually


@pytest.fixture(scope="module", params=["sqlite", "server"])
def tracking_uri(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("registry")
    if request.param == "sqlite":
        yield sqlite(home)
        return
    assigned = {mlflow_service.NAME: ports.choose([], set())}
    mlflow_service.start(home, assigned)
    try:
        eventually(lambda: mlflow_service.SERVICE.answers(home, assigned, 5.0), what="MLflow's server")
        yield mlflow_service.url(assigned)
    finally:
        processes.stop(Slot(home, mlflow_service.NAME), 10.0)


@pytest.fixture(scope="module")
def registered(tracking_uri: str) -> tuple[Registered, Registered]:
    """Two models, one after the other."""
    assert mlflow_registry.champion_version(tracking_uri) is None
    with pytest.raises(UserError, match="has no champion of tidemark; train one with tidemark train"):
        mlflow_registry.load("models:/tidemark@champion", tracking_uri)
    first = mlflow_registry.register(trained(), V1, tracking_uri, {"data": "made.parquet", "rows": "3000"})
    return first, mlflow_registry.register(trained(seed=1), V1, tracking_uri)


def test_the_first_is_champion_and_the_next_a_candidate(tracking_uri: str, registered: tuple[Registered, Registered]) -> None:
    first, second = registered
    assert (first.version, first.role, second.version, second.role) == ("1", "champion", "2", "candidate")
    assert mlflow_registry.champion_version(tracking_uri) == "1"
    client = MlflowClient(tracking_uri, tracking_uri)
    assert [client.get_model_version("tidemark", v).tags["role"] for v in "12"] == ["champion", "candidate"]


def test_what_comes_back_scores_the_same_bits(tracking_uri: str, registered: tuple[Registered, Registered]) -> None:
    vectors = rows(500)
    expected = booster().inplace_predict(vectors).astype(np.float64)
    for uri in (
        "models:/tidemark@champion",
        "models:/tidemark/1",
        f"runs:/{registered[0].run_id}/tidemark",
        f"runs:/{registered[0].run_id}",
    ):
        scorer = mlflow_registry.load(uri, tracking_uri)
        assert np.array_equal(scorer.score(vectors).probability, expected)
        assert (scorer.model_name, scorer.model_version, scorer.policy) == ("tidemark", "1", POLICY)
        assert (scorer.model_digest, scorer.features_digest) == (registered[0].digests.model, V1.digest)
        assert scorer.feature_names == V1.names


def test_one_run_tells_how_the_model_came_about(tracking_uri: str, registered: tuple[Registered, Registered]) -> None:
    client = MlflowClient(tracking_uri, tracking_uri)
    run = client.get_run(registered[0].run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["max_depth"] == "5"
    assert run.data.metrics["validation_auc"] == 0.9
    expected = {"data": "made.parquet", "rows": "3000", "feature_set": "fraud_v1", **registered[0].digests.as_tags()}
    for tags in (run.data.tags, client.get_model_version("tidemark", "1").tags):
        assert expected.items() <= tags.items()


def test_anyone_gets_the_three_files_together(tracking_uri: str, registered: tuple[Registered, Registered], tmp_path: Path) -> None:
    script = "import sys, mlflow; mlflow.artifacts.download_artifacts('models:/tidemark@champion', dst_path=sys.argv[1])"
    environment = {**os.environ, "MLFLOW_TRACKING_URI": tracking_uri}
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], env=environment, check=True, capture_output=True)
    assert {"model.ubj", "policy.json", "features.json", "MLmodel"} <= {file.name for file in tmp_path.iterdir()}
    assert not [file for file in tmp_path.rglob("*") if file.suffix in (".pkl", ".pickle", ".py")]
    assert json.loads((tmp_path / "features.json").read_text())["names"] == list(V1.names)
    assert mlflow_registry.load(str(tmp_path), tracking_uri).model_digest == registered[0].digests.model


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("models:/tidemark/99", "no version 99 of tidemark"),
        ("models:/tidemark/newest", "no version newest of tidemark"),
        ("models:/tidemark@shadow", "no shadow of tidemark"),
        ("models:/other@champion", "no champion of other"),
        ("runs:/" + "0" * 32, "no model was registered by runs:/"),
        ("runs:/../..", "no model was registered by runs:/"),
        ("/nowhere", "/nowhere is no model; give models:/tidemark@champion"),
    ],
)
@pytest.mark.usefixtures("registered")
def test_what_is_not_there_is_named(tracking_uri: str, uri: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        mlflow_registry.load(uri, tracking_uri)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder as it is logged."""
    made = tmp_path / "model"
    mlflow_folder.write_folder(made, booster(), POLICY, V1, "m-" + "0" * 32, "0" * 32)
    return made


def test_a_folder_loads_without_a_registry(folder: Path) -> None:
    scorer = mlflow_registry.load(str(folder), sqlite(folder))
    assert (scorer.model_version, scorer.model_digest) == ("unregistered", mlflow_registry.load(f"file://{folder}", "").model_digest)


def test_tampered_files_are_refused(folder: Path) -> None:
    for file, old, new, sentence in (
        ("policy.json", b"0.9", b"0.8", "the policy of model tidemark unregistered was altered"),
        ("model.ubj", (folder / "model.ubj").read_bytes()[-200:], b"x" * 200, "the model of .* was altered"),
        ("features.json", V1.digest.encode(), b"0" * 64, "the features of .* was altered"),
        ("policy.json", b"{", b"[", "can't be read"),
        ("MLmodel", V1.digest.encode(), b"0" * 64, "the features of .* was altered"),
    ):
        whole = (folder / file).read_bytes()
        assert old in whole
        (folder / file).write_bytes(whole.replace(old, new))
        with pytest.raises(UserError, match=sentence):
            mlflow_registry.load(str(folder), "")
        (folder / file).write_bytes(whole)
    (folder / "policy.json").unlink()
    with pytest.raises(UserError, match=r"has no readable policy\.json"):
        mlflow_registry.load(str(folder), "")


def test_a_registered_model_whose_files_agree_but_not_with_the_registry_is_refused(tmp_path: Path) -> None:
    uri = sqlite(tmp_path)
    mlflow_registry.register(trained(), V1, uri)
    (logged,) = (tmp_path / "mlartifacts").rglob("model.ubj")
    digests = mlflow_folder.write_folder(tmp_path / "other", booster(1), POLICY, V1, "m-" + "0" * 32, "0" * 32)
    for file in ("model.ubj", "MLmodel"):
        (logged.parent / file).write_bytes((tmp_path / "other" / file).read_bytes())
    assert mlflow_registry.load(str(logged.parent), uri).model_digest == digests.model
    with pytest.raises(UserError, match="the model of model tidemark 1 was altered after training"):
        mlflow_registry.load("models:/tidemark@champion", uri)


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        (FeatureSet("fraud_v1", V1.activity[1:], V1.outcome), r"user_tx_count_5m, .* and 3 more no longer computed; train"),
        (FeatureSet("fraud_v1", V1.activity, V1.outcome, devices=True), "user_new_device, .* not known to the model"),
        (FeatureSet("fraud_v1", V1.activity[::-1], V1.outcome), "the order differs"),
        (
            FeatureSet("fraud_v1", (replace(V1.activity[0], hop=10_000), *V1.activity[1:]), V1.outcome),
            r"another fraud_v1 \([0-9a-f]{12}, not",
        ),
        (None, "feature set fraud_v1, which is none of fraud_v2"),
    ],
)
def test_other_features_are_refused_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch, known: FeatureSet | None, sentence: str) -> None:
    sets = {"fraud_v2": FEATURE_SETS["fraud_v2"], **({} if known is None else {"fraud_v1": known})}
    monkeypatch.setattr(definitions, "FEATURE_SETS", sets)
    monkeypatch.setattr(mlflow_folder, "FEATURE_SETS", sets)
    with pytest.raises(UserError, match=sentence):
        mlflow_registry.load(str(folder), "")


def test_promoting_moves_the_alias(tmp_path: Path) -> None:
    uri = sqlite(tmp_path)
    for seed in (0, 1):
        mlflow_registry.register(trained(seed), V1, uri)
    mlflow_registry.promote("2", uri)
    assert mlflow_registry.champion_version(uri) == "2"
    client = MlflowClient(uri, uri)
    assert [client.get_model_version("tidemark", v).tags["role"] for v in "12"] == ["candidate", "champion"]
    with pytest.raises(UserError, match="no version 3"):
        mlflow_registry.promote("3", uri)


def test_of_trainers_that_finish_at_once_one_becomes_champion(tmp_path: Path) -> None:
    """Two processes on a SQLite file that isn't there yet."""
    uri = sqlite(tmp_path)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        done = dict(pool.map(register_one, [uri] * 2, range(2)))
    assert done == {"1": "champion", "2": "candidate"}
    assert mlflow_registry.champion_version(uri) == "1"


def test_a_contender_that_died_is_not_waited_for_forever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = sqlite(tmp_path)
    monkeypatch.setattr(mlflow_registry, "_settle_role", lambda client, version: "candidate")
    mlflow_registry.register(trained(), V1, uri)
    monkeypatch.undo()
    monkeypatch.setattr(mlflow_registry, "_CONTENTION_S", 0.3)
    assert mlflow_registry.register(trained(1), V1, uri).role == "champion"


def test_a_run_that_fails_is_marked_and_leaves_no_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = sqlite(tmp_path)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(mlflow_registry, "write_folder", fail)
    with pytest.raises(OSError, match="disk full"):
        mlflow_registry.register(trained(), V1, uri)
    client = MlflowClient(uri, uri)
    experiment = client.get_experiment_by_name("tidemark")
    assert experiment is not None
    assert [run.info.status for run in client.search_runs([experiment.experiment_id])] == ["FAILED"]
    assert client.search_model_versions("name = 'tidemark'") == []


def test_a_version_whose_role_can_not_be_settled_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = sqlite(tmp_path)

    def fail(*_: object) -> None:
        raise OSError("the registry is down")

    monkeypatch.setattr(mlflow_registry, "_settle_role", fail)
    with pytest.raises(OSError, match="the registry is down"):
        mlflow_registry.register(trained(), V1, uri)
    assert MlflowClient(uri, uri).search_model_versions("name = 'tidemark'") == []


def test_nothing_is_written_to_the_working_folder_or_the_screen(tmp_path: Path) -> None:
    script = (
        "import sys; from tests.made.registered_models import register_one; from models.registry import mlflow_registry as r\n"
        "register_one(sys.argv[1], 0); r.load('models:/tidemark@champion', sys.argv[1])"
    )
    here = tmp_path / "here"
    here.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script, sqlite(tmp_path / "home")], env=environment, cwd=here, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")
    assert list(here.iterdir()) == []
    assert not list(tmp_path.glob("tidemark-model-*"))
    assert tempfile.gettempdir() != str(tmp_path)
