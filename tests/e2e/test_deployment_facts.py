"""A deployment in dollars on fraud_v3: worker and API take both from deployment.toml, and `tidemark up` keeps them."""

import json
import re
import socket
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.local import deployment_file
from streams.messages.events import DeadLetter, Decision
from streams.messages.record import LogRecord
from tests.made.records import transaction
from tests.run.deployment import Deployment, champion, deployed, eventually
from tests.run.topics import create_again

WRITTEN = ("transactions", "labels", "decisions", "dead-letters", "deployment")


@dataclass
class Elsewhere(Deployment):
    """Another home, as on another machine, that is pointed at the services of a deployment."""

    facts: dict[str, str]

    @property
    def environment(self) -> dict[str, str]:
        key = {"TIDEMARK_ANSWER_KEY": self.config.answer_key}
        services = {"TIDEMARK_KAFKA": self.config.kafka, "TIDEMARK_REDIS": self.config.redis, **key}
        return {**super().environment, **services, **self.facts}


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with deployed(tmp_path_factory.mktemp("dollars") / "home", partitions=1, features="fraud_v3", currency="USD") as deployment:
        champion(deployment.config)
        yield deployment


def test_a_worker_takes_them_from_the_file(deployment: Deployment) -> None:
    deployment.send([transaction(1, currency="USD"), transaction(2, currency="EUR")])
    done = deployment.tidemark("worker", "--until-idle", timeout=240)
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"WARNING ingest: refused 1 record in the last \d+ s: foreign_currency 1; see `tidemark dead-letters`\n", done.stderr
    ), "at the end at the latest"
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


COMMANDS = (
    ("worker", "--until-idle"),
    ("archive", "--once"),
    ("serve",),
    ("replay", "FILE", "--columns", "tidemark"),
    ("audit",),
    ("explain", "t1"),
    ("replay", "FILE", "--columns", "tidemark", "--aligned"),
    ("simulate", "--topic", "--days", "1"),
    ("rebuild-online",),
)


OTHER_CURRENCY = {"TIDEMARK_CURRENCY": "EUR", "TIDEMARK_FEATURES": "fraud_v3"}, ("settles in EUR", "in USD")
OTHER_FEATURES = {"TIDEMARK_CURRENCY": "USD", "TIDEMARK_FEATURES": "fraud_v1"}, ("computes fraud_v1", "fraud_v3")


@pytest.mark.parametrize(
    ("command", "fact", "both"),
    [
        *((command, *OTHER_CURRENCY) for command in COMMANDS[:2]),
        *(pytest.param(command, *OTHER_CURRENCY, marks=pytest.mark.slow) for command in COMMANDS[2:]),
        *((command, *OTHER_FEATURES) for command in COMMANDS[:1]),
    ],
)
def test_a_command_of_another_home_with_other_facts_does_nothing(
    deployment: Deployment, tmp_path: Path, small_file: Path, command: tuple[str, ...], fact: dict[str, str], both: tuple[str, str]
) -> None:
    before = {topic: len(deployment.read(topic)) for topic in WRITTEN}
    elsewhere = Elsewhere(tmp_path, deployment.config, fact)
    refused = elsewhere.tidemark(*(str(small_file) if part == "FILE" else part for part in command))
    assert refused.returncode == 2, refused.stderr
    assert refused.stderr.startswith("error: this command ")
    assert all(part in refused.stderr for part in both), refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert {topic: len(deployment.read(topic)) for topic in WRITTEN} == before
    assert not (tmp_path / "offline").exists()


def test_another_home_takes_the_facts_over_by_its_first_up(deployment: Deployment, tmp_path: Path) -> None:
    (tmp_path / "another").mkdir()
    without_key = Elsewhere(tmp_path / "another", deployment.config, {"TIDEMARK_ANSWER_KEY": "a key of its own, which nobody else knows"})
    refused = without_key.tidemark("up")
    assert (refused.returncode, "has another key than this home" in refused.stderr) == (2, True), refused.stderr
    elsewhere = Elsewhere(tmp_path, deployment.config, {})
    refused = elsewhere.tidemark("worker", "--until-idle")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1), refused.stderr
    up = elsewhere.tidemark("up")
    assert up.returncode == 0, up.stderr
    assert "feature set fraud_v3, currency USD" in up.stdout
    assert deployment_file.read(tmp_path)["currency"] == "USD"


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


@pytest.mark.parametrize("overwritten", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["lost", "overwritten"])
def test_facts_that_the_topics_have_lost_are_put_on_record_again(deployment: Deployment, tmp_path: Path, overwritten: bool) -> None:
    """By a home that has them, or is given them. What the topics hold under the deployment's key shows that it is the same one."""
    create_again(deployment.config, "deployment")
    if overwritten:
        deployment.send([LogRecord(0, 0, b"facts", b'{"features":"fraud_v1","currency":"EUR"}', [])], "deployment")
    refused = deployment.tidemark("worker", "--until-idle")
    assert (refused.returncode, "run `tidemark up` once, which records both there" in refused.stderr) == (2, True), refused.stderr
    unknowing = Elsewhere(tmp_path, deployment.config, {}).tidemark("up")
    assert "--features and --currency that its workers had" in unknowing.stderr
    again = deployment.tidemark("up")
    assert (again.returncode, "feature set fraud_v3, currency USD" in again.stdout) == (0, True), again.stderr
    done = deployment.tidemark("worker", "--until-idle")
    assert done.returncode == 0, done.stderr
    elsewhere = Elsewhere(tmp_path, deployment.config, {}).tidemark("up")
    assert "feature set fraud_v3, currency USD" in elsewhere.stdout, elsewhere.stderr


def test_topics_without_anything_of_this_key_are_no_ones_to_take_over(deployment: Deployment, tmp_path: Path) -> None:
    """The last of the module: nothing is on record any more, as where a Tidemark before 0.3.0 has worked. The attempt leaves nothing."""
    create_again(deployment.config, "deployment")
    refused = Elsewhere(tmp_path, deployment.config, {"TIDEMARK_ANSWER_KEY": ""}).tidemark("up")
    assert refused.returncode == 2, refused.stdout
    assert (
        "is sealed with this home's key: they are those of a Tidemark before 0.3.0, or of a deployment with another key" in refused.stderr
    )
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "answer.key").exists()
