"""Where commands look for the services: the environment first, then what `tidemark up` left, and MLflow's store without any of it."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.settings import Settings
from features.errors import UserError
from infra.local import deployment_file, processes, services
from tests.made.seal import ANSWER_KEY


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for variable in (*services.OUTSIDE_VARIABLES.values(), "TIDEMARK_FEATURES", "TIDEMARK_CURRENCY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TIDEMARK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TIDEMARK_ANSWER_KEY", ANSWER_KEY)
    return tmp_path / "home"


@pytest.fixture
def listening() -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def leave(home: Path, address: str) -> None:
    """What `up` leaves, as if all three services listened at the address."""
    home.mkdir()
    deployment_file.write(home, services={"kafka": address, "redis": f"redis://{address}/0", "mlflow": f"http://{address}"})


def test_without_services_mlflow_is_its_store_under_the_home(home: Path) -> None:
    settings = Settings.resolve(require_services=False)
    assert settings.mlflow == f"sqlite:///{home}/mlflow.db"
    assert (settings.home, settings.feast_repo) == (home, home / "feast")


def test_required_services_that_are_not_up_are_an_error_with_its_mend(home: Path) -> None:
    with pytest.raises(UserError, match=f"Kafka is not running for {home}.*tidemark up"):
        Settings.resolve(require_services=True)


def test_outside_services_need_no_home(monkeypatch: pytest.MonkeyPatch, home: Path, listening: str) -> None:
    monkeypatch.setenv("TIDEMARK_KAFKA", f"127.0.0.1:1,{listening}")
    monkeypatch.setenv("TIDEMARK_REDIS", f"redis://user:word@{listening}/3")
    monkeypatch.setenv("TIDEMARK_MLFLOW", "sqlite:////elsewhere/mlflow.db")
    settings = Settings.resolve(require_services=True)
    assert settings.kafka == f"127.0.0.1:1,{listening}"
    assert settings.redis == f"redis://user:word@{listening}/3"
    assert settings.mlflow == "sqlite:////elsewhere/mlflow.db"
    assert not home.exists()


def test_an_outside_service_that_takes_no_connection_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    assert not home.exists()
    monkeypatch.setenv("TIDEMARK_KAFKA", "127.0.0.1:1")
    with pytest.raises(UserError, match=r"Kafka at 127\.0\.0\.1:1 takes no connection"):
        Settings.resolve(require_services=True)


def test_what_up_left_is_used_while_its_processes_run(monkeypatch: pytest.MonkeyPatch, home: Path, listening: str) -> None:
    leave(home, listening)
    monkeypatch.setattr(processes, "running_pid", lambda _slot: 1)
    settings = Settings.resolve(require_services=True)
    assert (settings.kafka, settings.redis, settings.mlflow) == (listening, f"redis://{listening}/0", f"http://{listening}")


def test_after_a_hard_kill_whoever_has_our_ports_is_not_taken_for_our_services(home: Path, listening: str) -> None:
    leave(home, listening)
    with pytest.raises(UserError, match="is not running"):
        Settings.resolve(require_services=True)
    assert Settings.resolve(require_services=False).mlflow == f"sqlite:///{home}/mlflow.db"


def test_services_elsewhere_that_up_was_given_are_used_without_the_environment(home: Path, listening: str) -> None:
    home.mkdir()
    deployment_file.write(home, elsewhere={"kafka": listening, "redis": f"redis://:word@{listening}/1", "mlflow": f"http://{listening}"})
    settings = Settings.resolve(require_services=True)
    assert (settings.kafka, settings.redis, settings.mlflow) == (listening, f"redis://:word@{listening}/1", f"http://{listening}")


def test_workers_and_api_take_the_deployments_facts(home: Path) -> None:
    home.mkdir()
    deployment_file.write(home, features="fraud_v3", currency="USD")
    settings = Settings.resolve(require_services=False)
    config = settings.stream_config()
    assert (config.features, config.currency) == ("fraud_v3", "USD")
    assert settings.stream_config("fraud_v2").features == "fraud_v2"
    with pytest.raises(UserError, match="--features v9 is not a feature set; use one of fraud_v1"):
        settings.stream_config("v9")
    with pytest.raises(UserError, match="--metrics 9100 is not an address; write it as"):
        settings.stream_config(metrics="9100")


def test_a_currency_that_contradicts_the_deployments_is_refused_before_it_can_refuse_transactions(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    home.mkdir()
    deployment_file.write(home, features="fraud_v1", currency="EUR")
    monkeypatch.setenv("TIDEMARK_CURRENCY", "USD")
    with pytest.raises(UserError, match=r"TIDEMARK_CURRENCY=USD contradicts .*deployment.toml: this deployment settles in EUR"):
        Settings.resolve(require_services=False).stream_config()
    monkeypatch.setenv("TIDEMARK_CURRENCY", "EUR")
    assert Settings.resolve(require_services=False).stream_config().currency == "EUR"


def test_security_of_an_outside_kafka_goes_to_all_who_speak_to_it(monkeypatch: pytest.MonkeyPatch, home: Path, tmp_path: Path) -> None:
    security = {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.username": "me", "sasl.password": "secret"}
    file = tmp_path / "kafka.security"
    file.write_text("".join(f"{name}={value}\n" for name, value in security.items()))
    monkeypatch.setenv("TIDEMARK_KAFKA", "k:9092")
    monkeypatch.setenv("TIDEMARK_KAFKA_SECURITY", str(file))
    settings = Settings.resolve(require_services=False)
    assert settings.require_kafka().security == settings.stream_config().kafka_security == security
    assert "secret" not in repr(settings)
    monkeypatch.delenv("TIDEMARK_KAFKA_SECURITY")
    assert Settings.resolve(require_services=False).stream_config().kafka_security == {}


def test_security_for_the_embedded_kafka_is_an_error(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("TIDEMARK_KAFKA_SECURITY", "anywhere")
    with pytest.raises(UserError, match="embedded Kafka has neither TLS nor SASL; name yours in TIDEMARK_KAFKA"):
        Settings.resolve(require_services=False)
