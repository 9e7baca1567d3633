"""deployment.toml: read as it was written, by its owner alone, and refused in a sentence where it can't be used."""

import json
import stat
from pathlib import Path

import pytest

from infra.local import deployment_file, services
from infra.local.errors import ServiceError

PORTS = {"prometheus": {"prometheus": 9090}, "redis": {"redis": 6379}, "kafka": {"broker": 9092, "controller": 9093}}


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert deployment_file.read(tmp_path) == {}
    content = {
        "features": "fraud_v3",
        "currency": "USD",
        "offline": 'a "quoted\\ \x7f" folder – ü',
        "services": {"redis": "redis://127.0.0.1:6379/0"},
        "elsewhere": {"kafka": "a:9092,b:9092", "mlflow": "http://elsewhere"},
        "ports": PORTS,
    }
    deployment_file.write(tmp_path, **content)
    assert deployment_file.read(tmp_path) == content
    deployment_file.write(tmp_path, services=None, currency="EUR")
    assert deployment_file.read(tmp_path) == {**{name: content[name] for name in content if name != "services"}, "currency": "EUR"}


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    file = deployment_file.path(tmp_path)
    file.with_suffix(".new").write_text("left by a killed process")
    file.with_suffix(".new").chmod(0o644)
    deployment_file.write(tmp_path, elsewhere={"redis": "redis://user:word@elsewhere/0"})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["deployment.toml"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("features = fraud_v1", "is not TOML"),
        ("\xff", "is not TOML"),
        ('features = ""', "has a 'features' that can't be used"),
        ("currency = 5", "has a 'currency' that can't be used"),
        ("services = 5", "has a 'services' that can't be used"),
        ("[elsewhere]\nkafka = 9092", "has a 'elsewhere' that can't be used"),
        ('[ports.kafka]\nbroker = "9092"', "has a 'ports' that can't be used"),
        ("[ports]\nkafka = 9092", "has a 'ports' that can't be used"),
        ("[ports.kafka]\nkafka = 99999", "has a 'ports' that can't be used"),
        ('[elsewhere]\nrediss = "x"', "has a 'elsewhere' that can't be used"),
        ('[elsewhere]\nprometheus = "x"', "has a 'elsewhere' that can't be used"),
        ('[build]\nimage = "x"', "has 'build', which tidemark doesn't know"),
    ],
)
def test_what_can_not_be_used_is_one_sentence_with_its_fix(tmp_path: Path, text: str, why: str) -> None:
    deployment_file.path(tmp_path).write_bytes(text.encode("latin-1"))
    with pytest.raises(
        ServiceError, match=rf"^{tmp_path}/deployment.toml {why}.*; correct it, or remove it and run `tidemark up`"
    ) as raised:
        deployment_file.read(tmp_path)
    assert "\n" not in str(raised.value)


def test_the_file_of_before_is_taken_over(tmp_path: Path) -> None:
    endpoints = services.Endpoints("127.0.0.1:1", "redis://127.0.0.1:2/0", "http://127.0.0.1:3", tmp_path / "feast")
    written = {
        "kafka": {"bootstrap_servers": endpoints.kafka},
        "redis": {"url": endpoints.redis},
        "mlflow": {"tracking_uri": endpoints.mlflow},
    }
    (tmp_path / "services.json").write_text(json.dumps({"endpoints": written, "ports": PORTS}))
    known = {"ports": PORTS, "services": {"kafka": endpoints.kafka, "redis": endpoints.redis, "mlflow": endpoints.mlflow}}
    assert deployment_file.read(tmp_path) == known
    deployment_file.write(tmp_path, features="fraud_v1", currency="EUR")
    assert deployment_file.read(tmp_path) == known | {"features": "fraud_v1", "currency": "EUR"}
    assert not (tmp_path / "services.json").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "services.json").write_text("{")
    with pytest.raises(ServiceError, match=r"services.json is damaged"):
        deployment_file.read(tmp_path / "other")


def test_a_service_elsewhere_is_remembered_until_it_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in services.OUTSIDE_VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    kafka, redis, mlflow = (next(each for each in services.SERVICES if each.name == name) for name in ("kafka", "redis", "mlflow"))
    deployment_file.write(tmp_path, elsewhere={"kafka": "elsewhere:9092"}, services={"redis": "redis://127.0.0.1:6379/0"})
    monkeypatch.setenv("TIDEMARK_MLFLOW", "http://mine")
    assert [services.outside(each, tmp_path) for each in (kafka, redis, mlflow)] == ["elsewhere:9092", None, "http://mine"]
    assert services.addresses(tmp_path) == {"kafka": "elsewhere:9092", "redis": "redis://127.0.0.1:6379/0", "mlflow": "http://mine"}
    services.down(tmp_path)
    assert services.addresses(tmp_path) == {"kafka": "elsewhere:9092", "mlflow": "http://mine"}
    with pytest.raises(
        ServiceError, match=r"which .*deployment.toml names, does not answer; start it, set TIDEMARK_KAFKA, or remove it there"
    ):
        services.check_outside(kafka, tmp_path)
