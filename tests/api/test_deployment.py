"""The deployment's facts: where they stand, which place counts, and what `tidemark up` may change."""

from pathlib import Path

import pytest

from api.deployment import Facts
from api.offline_store import offline_store
from api.settling import settle
from features.errors import UserError
from infra.local import deployment_file


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for fact in ("FEATURES", "CURRENCY", "OFFLINE"):
        monkeypatch.delenv(f"TIDEMARK_{fact}", raising=False)
    return tmp_path


def recorded(home: Path) -> tuple[object, object]:
    content = deployment_file.read(home)
    return content.get("features"), content.get("currency")


def settled(home: Path, features: str | None = None, currency: str | None = None, data: bool = False) -> None:
    settle(home, features, currency, lambda: data)


def test_the_option_counts_before_the_environment_before_the_file_before_the_default(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Facts.resolve(home) == Facts("fraud_v1", "EUR")
    deployment_file.write(home, features="fraud_v3", currency="USD")
    assert Facts.resolve(home) == Facts("fraud_v3", "USD")
    monkeypatch.setenv("TIDEMARK_FEATURES", "fraud_v2")
    monkeypatch.setenv("TIDEMARK_CURRENCY", "")
    assert Facts.resolve(home) == Facts("fraud_v2", "USD")
    assert Facts.resolve(home, "fraud_v1", "CHF") == Facts("fraud_v1", "CHF")


def test_what_can_not_be_a_fact_is_refused_with_the_place_where_it_stands(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"^--features v9 is not a feature set; use one of fraud_v1, fraud_v2"):
        Facts.resolve(home, features="v9")
    with pytest.raises(UserError, match=r"^--currency euro is not a currency; use three capital letters, such as EUR"):
        Facts.resolve(home, currency="euro")
    deployment_file.write(home, features="v9", currency="USD")
    with pytest.raises(UserError, match=rf"^features = 'v9' in {home}/deployment.toml is not a feature set"):
        Facts.resolve(home)
    monkeypatch.setenv("TIDEMARK_FEATURES", "v8")
    with pytest.raises(UserError, match=r"^TIDEMARK_FEATURES=v8 is not a feature set"):
        Facts.resolve(home)


def test_one_fact_without_the_other_is_refused_with_the_line_to_add(home: Path) -> None:
    deployment_file.write(home, features="fraud_v2")
    with pytest.raises(UserError, match=r'deployment.toml names no currency; add a line such as currency = "EUR"'):
        Facts.resolve(home)


def test_up_records_the_facts_once_and_keeps_them(home: Path) -> None:
    settled(home, "fraud_v3", "USD")
    assert recorded(home) == ("fraud_v3", "USD")
    settled(home, data=True)
    settled(home, "fraud_v3", data=True)
    assert recorded(home) == ("fraud_v3", "USD")


def test_up_records_what_the_environment_says(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_CURRENCY", "CHF")
    monkeypatch.setenv("TIDEMARK_OFFLINE", "s3://bucket/tidemark/")
    settled(home)
    monkeypatch.delenv("TIDEMARK_CURRENCY")
    monkeypatch.delenv("TIDEMARK_OFFLINE")
    assert Facts.resolve(home) == Facts("fraud_v1", "CHF")
    assert offline_store(home).url == "s3://bucket/tidemark"
    assert offline_store(home, "other").url == str(Path("other").resolve())


def test_facts_may_change_as_long_as_there_is_no_data(home: Path) -> None:
    settled(home)
    assert recorded(home) == ("fraud_v1", "EUR")
    settled(home, "fraud_v2", "USD")
    assert recorded(home) == ("fraud_v2", "USD")


def test_with_data_a_change_is_refused_with_its_fix(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settled(home)
    with pytest.raises(UserError, match=r"computes fraud_v1 and has states of it.*`tidemark rebuild-state --features fraud_v2`"):
        settled(home, "fraud_v2", data=True)
    monkeypatch.setenv("TIDEMARK_CURRENCY", "USD")
    with pytest.raises(UserError, match=rf"settles in EUR.*give the one in USD a TIDEMARK_HOME, and a Kafka, of its own.*{home}"):
        settled(home, data=True)
    assert recorded(home) == ("fraud_v1", "EUR")


def test_a_deployment_from_before_keeps_the_former_defaults_until_it_is_given_its_facts(home: Path) -> None:
    settled(home, data=True)
    assert recorded(home) == (None, None)
    assert Facts.resolve(home) == Facts("fraud_v1", "EUR")
    settled(home, "fraud_v2", "USD", data=True)
    assert recorded(home) == ("fraud_v2", "USD")
