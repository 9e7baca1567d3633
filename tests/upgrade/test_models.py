"""Models, and what the registry keeps of them, outlive the program that registered them."""

import shutil
from dataclasses import asdict
from pathlib import Path

import msgspec
import pytest

from features.errors import UserError
from models.promotion import mlflow_audits
from models.registry import mlflow_client, mlflow_registry
from models.registry.record import MODEL_NAME
from tests.made.registered_models import sqlite
from tests.upgrade import models
from tests.upgrade.golden import HERE, holding, read


@pytest.mark.parametrize("version", holding("scores.json"))
def test_a_model_folder_scores_as_it_did(version: str) -> None:
    assert models.scores(models.read(version)) == read(version, "scores.json")


@pytest.mark.parametrize("version", holding("model.json"))
def test_a_training_record_is_read_to_the_same_figures(version: str) -> None:
    kept = read(version, "model.json")
    understood = models.understood(kept)
    for name, text in {
        "policy": kept["policy.json"],
        **{n: kept["beside_the_run"][f"{n}.json"] for n in ("reference", "evaluation", "data")},
    }.items():
        again = msgspec.json.decode(msgspec.json.encode(understood[name]))
        before = msgspec.json.decode(text)
        assert {field: again[field] for field in before} == before, name
    assert understood["policy"].digest == kept["policy_digest"]


@pytest.mark.parametrize("version", holding("model.json"))
def test_a_registry_of_that_version_serves_its_champion_and_its_audit(version: str, tmp_path: Path) -> None:
    kept, registry, scores = (read(version, f"{name}.json") for name in ("model", "registry", "scores"))
    uri = sqlite(tmp_path)
    client = mlflow_client.connect(uri)
    client.create_registered_model(MODEL_NAME, tags=registry["model_tags"])
    client.create_model_version(MODEL_NAME, (HERE / version / models.FOLDER).as_uri(), tags=registry["version_tags"])
    client.set_registered_model_alias(MODEL_NAME, "champion", "1")

    assert mlflow_registry.champion_version(uri) == "1"
    scorer = mlflow_registry.load(f"models:/{MODEL_NAME}@champion", uri)
    assert models.scores(scorer) == scores
    assert mlflow_registry.load_digest(scores["model_digest"], uri).model_version == "1"
    assert mlflow_registry.tags("1", uri)["report"] == models.LONG
    verdict = mlflow_audits.latest(scores["features_digest"], uri)
    assert verdict is not None
    assert asdict(verdict) == {"accepted": "", **kept["audit"]}


@pytest.mark.parametrize("version", holding("scores.json"))
@pytest.mark.parametrize(
    ("file", "before", "after", "words"),
    [
        ("policy.json", b"0.25", b"0.24", r"the policy of model tidemark \w+ was altered after training.*tidemark train"),
        ("features.json", b"user_tx_count_5m", b"user_tx_count_6m", r"user_tx_count_6m no longer computed.*tidemark train"),
    ],
)
def test_a_folder_that_isnt_what_was_registered_is_refused_in_words(
    version: str, file: str, before: bytes, after: bytes, words: str, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(HERE / version / models.FOLDER, folder)
    whole = (folder / file).read_bytes()
    assert before in whole
    (folder / file).write_bytes(whole.replace(before, after))
    with pytest.raises(UserError, match=words):
        mlflow_registry.load(str(folder), "unused")
