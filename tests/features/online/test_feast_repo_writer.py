"""The repository that `up` writes: complete, left alone if it is right, and on the Redis it is given."""

from pathlib import Path

import pytest
from feast.infra.online_stores.redis import RedisOnlineStore
from feast.repo_config import load_repo_config
from feast.repo_operations import parse_repo
from hypothesis import given
from hypothesis import strategies as st

from features.errors import UserError
from features.online import feast_repo_writer
from features.online.feast_repo_writer import connection_string


def as_feast_reads(address: str) -> tuple[list[dict[str, str]], dict[str, object]]:
    servers, parameters = RedisOnlineStore._parse_connection_string(address)
    return servers, parameters


def times(repo: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in repo.iterdir()}


def test_a_second_write_touches_nothing(repo: Path) -> None:
    before = times(repo)
    address = load_repo_config(repo, repo / "feature_store.yaml").online_config["connection_string"].split(",")[0]
    feast_repo_writer.write(repo, f"redis://{address}/0")
    assert times(repo) == before


def test_another_redis_replaces_the_files_and_leaves_no_others(tmp_path: Path) -> None:
    repo = tmp_path / "home" / "feast"
    feast_repo_writer.write(repo, "redis://one:6379/0")
    names = set(times(repo))
    feast_repo_writer.write(repo, "redis://two:6379/3")
    assert (
        set(times(repo))
        == names
        == {
            "feature_store.yaml",
            "feature_store.spark.yaml",
            "feature_store.online.yaml",
            "registry.db",
            "views.py",
            "written.json",
        }
    )
    assert [entry.name for entry in repo.parent.iterdir()] == ["feast"]
    assert load_repo_config(repo, repo / "feature_store.yaml").online_config["connection_string"] == "two:6379,db=3"


def test_a_missing_registry_is_written_again(tmp_path: Path) -> None:
    repo = tmp_path / "feast"
    feast_repo_writer.write(repo, "redis://one:6379/0")
    (repo / "registry.db").unlink()
    feast_repo_writer.write(repo, "redis://one:6379/0")
    assert (repo / "registry.db").exists()


def test_the_file_of_views_defines_what_is_in_the_registry(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from feast import FeatureStore

    monkeypatch.syspath_prepend(str(repo))
    monkeypatch.chdir(repo)
    parsed, store = parse_repo(repo), FeatureStore(repo_path=str(repo))
    assert {view.name for view in parsed.feature_views} == {view.name for view in store.list_feature_views()}
    assert {view.name for view in parsed.on_demand_feature_views} == {view.name for view in store.list_on_demand_feature_views()}
    assert {service.name for service in parsed.feature_services} == {service.name for service in store.list_feature_services()}
    assert {entity.name for entity in parsed.entities if entity.name != "__dummy"} == {entity.name for entity in store.list_entities()}


def test_addresses() -> None:
    assert connection_string("redis://127.0.0.1:6380/2") == "127.0.0.1:6380,db=2"
    assert connection_string("redis://cache") == "cache:6379,db=0"
    assert as_feast_reads(connection_string("rediss://cache:1/")) == ([{"host": "cache", "port": "1"}], {"db": 0, "ssl": True})


@given(user=st.text("ab1 @:/,$={}\"'\\é", min_size=1), password=st.text("ab1 @:/,$={}\"'\\é", min_size=1))
def test_feast_reads_the_user_and_password_that_were_given(user: str, password: str) -> None:
    from urllib.parse import quote

    address = connection_string(f"redis://{quote(user, safe='')}:{quote(password, safe='')}@cache:6379/0")
    assert "$" not in address
    assert as_feast_reads(address) == ([{"host": "cache", "port": "6379"}], {"db": 0, "username": user, "password": password})


@pytest.mark.parametrize(
    "address", ["cache:6379", "http://cache:6379", "redis://", "redis://cache:port/0", "redis://cache/zero", "redis://[::1]:6379"]
)
def test_an_address_of_another_form_is_refused(address: str) -> None:
    with pytest.raises(UserError, match="give redis://host:port/db"):
        connection_string(address)
