"""A model whose files lie on a real S3 server comes back the same, whoever keeps the registry."""

from pathlib import Path

import numpy as np
import pyarrow.fs as pa_fs
import pytest

from features.offline.storage import Storage
from infra.local import mlflow as mlflow_service
from infra.local import ports, processes
from infra.local.processes import Slot
from models.learners.trained import Trained
from models.registry import mlflow_registry
from tests.made.models import POLICY, V1, booster, rows
from tests.run.deployment import eventually
from tests.run.s3_server import BUCKET, s3_server


def test_a_model_is_kept_on_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = f"s3://{BUCKET}/models"
    home = tmp_path / "home"
    with s3_server(tmp_path) as environment:
        for name, value in {**environment, "TIDEMARK_ARTIFACTS": root}.items():
            monkeypatch.setenv(name, value)
        assigned = {mlflow_service.NAME: ports.choose([], set())}
        mlflow_service.start(home, assigned)
        try:
            eventually(lambda: mlflow_service.SERVICE.answers(home, assigned, 5.0), what="MLflow's server")
            for tracking_uri in (f"sqlite:///{tmp_path / 'alone' / 'mlflow.db'}", mlflow_service.url(assigned)):
                before = len(model_files(root))
                mlflow_registry.register(Trained(booster(), POLICY, {}, {}), V1, tracking_uri)
                loaded = mlflow_registry.load("models:/tidemark@champion", tracking_uri)
                vectors = rows(50)
                assert np.array_equal(loaded.booster.inplace_predict(vectors), booster().inplace_predict(vectors))
                assert len(model_files(root)) == before + 1
        finally:
            processes.stop(Slot(home, mlflow_service.NAME), 10.0)
    assert not list(tmp_path.rglob("mlartifacts"))


def model_files(root: str) -> list[str]:
    filesystem, path = Storage.of(root).arrow()
    found = filesystem.get_file_info(pa_fs.FileSelector(path, recursive=True, allow_not_found=True))
    return [file.path for file in found if file.base_name == "model.ubj"]
