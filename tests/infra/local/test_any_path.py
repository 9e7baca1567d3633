"""A home may lie at any path, in any locale."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.java import property_value
from tests.infra.local.service_home import Home


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path / "jürgen 数据 $HOME" / ".t", {"TIDEMARK_MLFLOW": f"sqlite:///{tmp_path}/mlflow.db", "LC_ALL": "C", "LANG": "C"})
    home.path.parent.mkdir()
    yield home
    home.end()


def test_services_of_a_home_with_other_letters_come_up_again_and_stay_within_it(home: Home) -> None:
    for _ in range(2):
        up = home.tidemark("up")
        assert up.returncode == 0, up.stderr
        assert home.tidemark("down").returncode == 0
    assert (home.path / "kafka" / "data" / "meta.properties").exists()
    assert [path.name for path in home.path.parents[1].iterdir() if path.is_dir()] == [home.path.parent.name]


def test_letters_of_other_alphabets_are_escaped_as_java_reads_them() -> None:
    assert property_value("/a b/jürgen/\\x/😀") == "/a b/j\\u00FCrgen/\\\\x/\\uD83D\\uDE00"
