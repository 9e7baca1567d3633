"""A deployment in dollars on fraud_v3: worker and API take both from deployment.toml, and `tidemark up` keeps them."""

import json
import socket
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local import deployment_file
from streams.messages.events import DeadLetter, Decision
from tests.made.records import transaction
from tests.run.deployment import Deployment, champion, deployed, eventually


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with deployed(tmp_path_factory.mktemp("dollars") / "home", partitions=1, features="fraud_v3", currency="USD") as deployment:
        champion(deployment.config)
        yield deployment


def test_a_worker_takes_them_from_the_file(deployment: Deployment) -> None:
    deployment.send([transaction(1, currency="USD"), transaction(2, currency="EUR")])
    deployment.work_until_idle()
    decided = {one.transaction_id: one.features_digest for one in deployment.messages("decisions", Decision)}
    assert decided == {"t1": deployment.config.feature_set.digest}
    (refused,) = deployment.messages("dead-letters", DeadLetter)
    assert "USD" in refused.sentence


def test_the_api_takes_them_from_the_file(deployment: Deployment) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{free.getsockname()[1]}"

    def asked(path: str, body: bytes | None = None) -> tuple[int, str]:
        request = urllib.request.Request(base + path, body, {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except urllib.error.URLError:
            return 0, ""

    with deployment.running("serve", "--port", base.rpartition(":")[2]):
        eventually(lambda: asked("/readyz")[0] == 200, what="readiness")
        status, answer = asked("/v1/score", transaction(3, currency="USD").value)
        assert status == 200, answer
        assert json.loads(answer)["features_digest"] == deployment.config.feature_set.digest
        status, answer = asked("/v1/score", transaction(4, currency="EUR").value)
        assert status == 422
        assert "USD" in answer


def test_up_keeps_them_and_refuses_others(deployment: Deployment) -> None:
    file = deployment_file.path(deployment.home)
    again = deployment.tidemark("up")
    assert again.returncode == 0, again.stderr
    content = deployment_file.read(deployment.home)
    assert (content["features"], content["currency"]) == ("fraud_v3", "USD")
    assert content["elsewhere"] == {"mlflow": deployment.config.mlflow}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    refused = deployment.tidemark("up", "--currency", "EUR")
    assert refused.returncode == 2
    assert "settles in USD" in refused.stderr
    assert deployment_file.read(deployment.home) == content


def test_a_damaged_file_is_one_sentence(deployment: Deployment) -> None:
    file = deployment_file.path(deployment.home)
    written: Path = file.rename(file.with_suffix(".kept"))
    try:
        file.write_text("features = ")
        said = deployment.tidemark("worker", "--until-idle").stderr
    finally:
        written.replace(file)
    assert said.startswith(f"error: {file} is not TOML")
    assert len(said.splitlines()) == 1
