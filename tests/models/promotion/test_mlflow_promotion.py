"""The gate between two models on the newest matured weeks of a file, through the commands, on a registry on SQLite."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xgboost as xgb

from features.errors import UserError
from models.learners.trained import Trained
from models.policy import Policy
from models.promotion import mlflow_audits, mlflow_promotion
from models.promotion.gate import GateVerdict, Latency
from models.promotion.latency import latencies
from models.registry import mlflow_registry
from tests.made.models import V1, learnable, passed_audit, scorer
from tests.run.command_line import home_at
from tests.run.command_line import ran as tidemark

LEARNT = ("--from", "2025-01-08", "--to", "2025-01-22", "--as-of", "2025-01-29")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with home_at(tmp_path_factory.mktemp("gate")) as home:
        yield home


@pytest.fixture(scope="module")
def registry(home: Path, small_file: Path) -> str:
    """Version 1, the champion, and version 2, with another seed, have learnt from two weeks; version 3 knows nothing; version 4 learnt from
    all the weeks; all of the same features, which an audit found right."""
    uri = f"sqlite:///{home / 'mlflow.db'}"
    for seed in (0, 1):
        tidemark("train", "--data", small_file, *LEARNT, "--seed", seed)
    rows = learnable(500)
    data = xgb.DMatrix(rows.vectors, np.random.default_rng(0).random(500) < 0.1, feature_names=list(V1.names))
    ignorant = xgb.train({"objective": "binary:logistic", "max_depth": 2, "nthread": 1}, data, 5)
    policy = Policy(review_threshold=0.5, block_threshold=0.9, elevated_threshold=0.3, highest_threshold=0.8)
    mlflow_registry.register(Trained(ignorant, policy, {}, {}), V1, uri)
    tidemark("train", "--data", small_file)
    mlflow_audits.record(V1.digest, passed_audit(), uri)
    return uri


def test_a_version_that_is_no_worse_becomes_challenger(registry: str, small_file: Path, tmp_path: Path) -> None:
    printed = tidemark("promote", "2", "--as", "challenger", "--data", small_file, "--json", tmp_path / "verdict.json")
    assert "models:/tidemark/2 is challenger" in printed
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    assert (verdict["passed"], verdict["champion"], verdict["objections"]) == (True, "1", [])
    assert verdict["comparison"]["frauds"] >= 30
    assert verdict["latency"]["one_ms"] > 0
    assert mlflow_registry.load("models:/tidemark@challenger", registry).model_version == "2"
    assert json.loads(mlflow_registry.tags("2", registry)["gate.challenger"])["comparison"] == verdict["comparison"]


def test_the_rows_compared_on_begin_a_label_delay_after_what_was_learnt(registry: str, small_file: Path, tmp_path: Path) -> None:
    tidemark("promote", "2", "--as", "challenger", "--data", small_file, "--json", tmp_path / "verdict.json")
    compared = json.loads((tmp_path / "verdict.json").read_text())["comparison"]
    trained_to = max(int(mlflow_registry.tags(version, registry)["trained_to"]) for version in ("1", "2"))
    assert compared["first"] > trained_to + 7 * 86_400_000


def test_a_version_that_is_worse_is_refused_and_says_why(registry: str, small_file: Path) -> None:
    with pytest.raises(UserError, match=r"version 3 can't become champion: its average precision may be 0\.\d+ lower than the champion's"):
        tidemark("promote", "3", "--data", small_file)
    assert mlflow_registry.champion_version(registry) == "1"
    assert "gate.champion" not in mlflow_registry.tags("3", registry)


def test_rows_that_a_version_has_learnt_from_say_nothing(small_file: Path) -> None:
    with pytest.raises(UserError, match=r"no matured transactions to compare on: .* the models have learnt from rows up to 2025-02-02"):
        tidemark("promote", "4", "--data", small_file)


def test_too_few_frauds_decide_nothing(small_file: Path) -> None:
    with pytest.raises(UserError, match=r"frauds among .* matured transactions are too few to compare on"):
        tidemark("promote", "2", "--data", small_file, "--as-of", "2025-02-06")


def test_a_slow_version_is_refused(registry: str, small_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_promotion, "latencies", lambda _: (Latency(9.0, 70.0), Latency(4.0, 30.0)))
    with pytest.raises(UserError, match=r"9\.0 ms for one transaction, more than 6\.0 ms; it takes 70 µs for each .*, more than 50 µs"):
        tidemark("promote", "2", "--data", small_file)
    assert registry


def test_a_refit_rests_on_the_verdict_on_the_version_it_was_validated_as(registry: str, small_file: Path) -> None:
    mlflow_registry.tag("4", {"refit_of": "2"}, registry)
    mlflow_promotion.put_on_record(GateVerdict("2", "champion", "1", "2025-03-01T00:00:00+00:00", ()), registry)
    assert "models:/tidemark/4 is challenger" in tidemark("promote", "4", "--as", "challenger")
    mlflow_promotion.put_on_record(GateVerdict("3", "champion", "1", "2025-03-01T00:00:00+00:00", ("too slow",)), registry)
    mlflow_registry.tag("4", {"refit_of": "3"}, registry)
    with pytest.raises(UserError, match="version 3, of which it is a refit, did not pass: too slow"):
        tidemark("promote", "4", "--data", small_file)


def test_a_refit_whose_validation_knew_another_champion_is_compared_through_it_again(
    registry: str, small_file: Path, tmp_path: Path
) -> None:
    for validated in ("2", "3"):
        verdict = GateVerdict(validated, "challenger", "9", "2025-03-01T00:00:00+00:00", ())
        mlflow_promotion.put_on_record(verdict, registry)
    mlflow_registry.tag("4", {"refit_of": "2"}, registry)
    command = r"run tidemark promote 4 --as challenger --data FILE with the newest matured weeks"
    with pytest.raises(UserError, match=f"how version 2, of which it is a refit, compares with the champion, version 1; {command}"):
        tidemark("promote", "4", "--as", "challenger")
    printed = tidemark("promote", "4", "--as", "challenger", "--data", small_file, "--json", tmp_path / "verdict.json")
    assert "models:/tidemark/4 is challenger" in printed
    found = json.loads((tmp_path / "verdict.json").read_text())
    assert (found["version"], found["validated"], found["champion"]) == ("4", "2", "1")
    # On rows that the validated one doesn't know; the refit does.
    assert found["comparison"]["first"] > int(mlflow_registry.tags("2", registry)["trained_to"]) + 7 * 86_400_000
    assert found["comparison"]["first"] < int(mlflow_registry.tags("4", registry)["trained_to"])
    mlflow_registry.tag("4", {"refit_of": "3"}, registry)
    with pytest.raises(UserError, match="version 3, of which it is a refit, does not pass: its average precision may be"):
        tidemark("promote", "4", "--as", "challenger", "--data", small_file)


def test_a_verdict_of_any_length_is_read_back_whole(registry: str, small_file: Path) -> None:
    long = tuple(f"objection {number}: {'for this reason and that, ' * 40}" for number in range(20))
    mlflow_promotion.put_on_record(GateVerdict("3", "champion", "1", "2025-03-01T00:00:00+00:00", long), registry)
    written = mlflow_registry.tags("3", registry)["gate.champion"]
    assert len(written) > 20_000
    assert tuple(json.loads(written)["objections"]) == long
    mlflow_registry.tag("4", {"refit_of": "3"}, registry)
    with pytest.raises(UserError, match=r"did not pass: objection 0.*objection 19"):
        tidemark("promote", "4", "--data", small_file)
    short = GateVerdict("3", "champion", "1", "2025-03-01T00:00:00+00:00", ("too slow",))
    mlflow_promotion.put_on_record(short, registry)
    assert json.loads(mlflow_registry.tags("3", registry)["gate.champion"])["objections"] == ["too slow"]


def test_latency_is_measured() -> None:
    (measured,) = latencies(((scorer(), learnable(100).vectors),))
    assert measured.one_ms > 0
    assert measured.each_us > 0
