"""The champion is followed while the registry answers, and the last one serves, bit for bit the same, while it doesn't."""

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.definitions import FEATURE_SETS, FeatureSet
from models.registry import mlflow_registry
from models.registry.model_copy import ModelCopy, from_bytes, to_bytes
from models.scoring import Scorer
from streams.control.mlflow_champion import Champion
from tests.made.models import V1, rows
from tests.made.registered_models import sqlite, trained
from tests.run.deployment import eventually

NOWHERE = "http://127.0.0.1:1"


@contextmanager
def following(uri: str, home: Path, feature_set: FeatureSet = V1, patience: float = 60.0) -> Iterator[Champion]:
    champion = Champion(uri, feature_set, str(home), patience=patience)
    try:
        yield champion
    finally:
        champion.close()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> str:
    uri = sqlite(tmp_path_factory.mktemp("registry"))
    mlflow_registry.register(trained(), V1, uri)
    return uri


@pytest.fixture
def home(registry: str, tmp_path: Path) -> Path:
    """That of a deployment in which a champion was loaded."""
    with following(registry, tmp_path) as champion:
        eventually(kept(tmp_path).exists, 60, "a champion")
        assert champion.loaded
    return tmp_path


def kept(home: Path) -> Path:
    return home / "kept" / "champion"


def same(one: Scorer, other: Scorer) -> bool:
    vectors = rows(200)
    named = [
        (scorer.model_name, scorer.model_version, scorer.model_digest, scorer.features_digest, scorer.policy) for scorer in (one, other)
    ]
    return named[0] == named[1] and one.score(vectors).probability.tobytes() == other.score(vectors).probability.tobytes()


def warned(caplog: pytest.LogCaptureFixture, words: str) -> Callable[[], bool]:
    return lambda: any(words in record.getMessage() for record in caplog.records)


def test_without_the_registry_the_last_champion_serves_as_it_was_registered(
    registry: str, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    registered = mlflow_registry.load("models:/tidemark@champion", registry)
    with following(NOWHERE, home) as champion:
        eventually(lambda: champion.loaded, 60, "a champion")
        assert same(champion.current().scorer, registered)
        eventually(warned(caplog, f"version 1 ({registered.model_digest[:12]}) serves, which is kept in {kept(home)}"), 10, "the sentence")


def test_a_registry_that_takes_connections_and_does_not_answer_is_not_waited_for(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with following(f"http://127.0.0.1:{silent.getsockname()[1]}", home, patience=0.5) as champion:
            eventually(lambda: champion.loaded, 30, "a champion")
            assert warned(caplog, "doesn't answer, version 1")()


def test_a_registry_that_answers_goes_first_even_if_its_version_has_the_same_number(home: Path, tmp_path: Path) -> None:
    other = sqlite(tmp_path / "other")
    mlflow_registry.register(trained(seed=1), V1, other)
    expected = mlflow_registry.load("models:/tidemark@champion", other)
    with following(NOWHERE, home) as champion:
        eventually(lambda: champion.loaded, 60, "the kept champion")
        assert not same(champion.current().scorer, expected)
        champion._tracking_uri = other
        eventually(lambda: same(champion.current().scorer, expected), 60, "the registry's champion")
        eventually(lambda: from_bytes(kept(home).read_bytes()).digests["model_digest"] == expected.model_digest, 10, "its copy")


def test_a_registry_without_champion_is_no_outage(home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with following(sqlite(tmp_path / "empty"), home) as champion:
        eventually(warned(caplog, "has no champion yet"), 60, "the sentence")
        assert not champion.loaded


def test_a_damaged_copy_is_ignored_with_a_sentence(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    damaged = bytearray(kept(home).read_bytes())
    damaged[len(damaged) // 2] ^= 1
    kept(home).write_bytes(damaged)
    with following(NOWHERE, home) as champion:
        eventually(warned(caplog, "is ignored, for it can't be used: its digest isn't that of its content"), 60, "the sentence")
        assert not champion.loaded
        assert warned(caplog, "none is kept that could serve instead")()


def test_a_copy_for_other_features_does_not_serve(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    with following(NOWHERE, home, FEATURE_SETS["fraud_v2"]) as champion:
        eventually(warned(caplog, "none is kept that could serve instead"), 60, "the sentence")
        assert not champion.loaded


def test_a_home_that_cannot_be_written_costs_the_copy_alone(registry: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "kept").write_text("a file")
    caplog.set_level(logging.INFO)
    with following(registry, tmp_path) as champion:
        eventually(warned(caplog, "could not be kept"), 60, "the sentence")
        assert champion.loaded


COPY = to_bytes(ModelCopy("tidemark", "3", {"model_digest": "a" * 64}, {"model.ubj": bytes(range(256))}))


@given(st.integers(0, 8 * len(COPY) - 1))
def test_no_bit_of_a_copy_changes_unseen(bit: int) -> None:
    damaged = bytearray(COPY)
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ValueError, match=r"^it"):
        from_bytes(bytes(damaged))


@given(st.integers(0, len(COPY) - 1))
def test_no_copy_is_cut_unseen(size: int) -> None:
    with pytest.raises(ValueError, match=r"^it"):
        from_bytes(COPY[:size])
