"""The deployment's facts: where they stand, which place counts, and what `tidemark up` may change."""

from dataclasses import asdict
from pathlib import Path

import pytest

from api.deployment import Facts
from api.offline_store import offline_store
from api.settling import Record, settle
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


class Topics:
    """What stands with the topics of a Kafka, and whether these have data."""

    def __init__(self, known: Facts | None = None, data: bool = True) -> None:
        self.known, self.data, self.revision = known, data, 0 if known is None else 1

    def settle(self, home: Path, features: str | None = None, currency: str | None = None) -> Facts:
        def take(facts: Facts, after: int) -> int:
            self.known, self.revision = facts, max(self.revision, after) + 1
            return self.revision

        known = {} if self.known is None else asdict(self.known)
        return settle(home, features, currency, Record(known, self.revision, lambda: self.data, take))


def settled(home: Path, features: str | None = None, currency: str | None = None, data: bool = False) -> None:
    Topics(data=data).settle(home, features, currency)


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
    deployment_file.write(home, features="v9", currency="USD")
    with pytest.raises(UserError, match=rf"^features = 'v9' in {home}/deployment.toml is not a feature set"):
        Facts.resolve(home)
    monkeypatch.setenv("TIDEMARK_FEATURES", "v8")
    with pytest.raises(UserError, match=r"^TIDEMARK_FEATURES=v8 is not a feature set"):
        Facts.resolve(home)


@pytest.mark.parametrize(
    ("currency", "fix"),
    [
        ("eur", "write it in capitals, EUR"),
        ("Eur", "write it in capitals, EUR"),
        ("euro", "use its three capital letters, such as EUR"),
        ("EURO", "use its three capital letters, such as EUR"),
        ("US", "use its three capital letters, such as EUR"),
        ("EU1", "use its three capital letters, such as EUR"),
        ("EUR\n", "use its three capital letters, such as EUR"),
        ("ÉUR", "use its three capital letters, such as EUR"),
    ],
)
def test_a_currency_is_three_capital_letters_wherever_it_stands(
    home: Path, monkeypatch: pytest.MonkeyPatch, currency: str, fix: str
) -> None:
    with pytest.raises(UserError) as refused:
        Facts.resolve(home, currency=currency)
    assert str(refused.value) == f"--currency {currency} is not a currency; {fix} (ISO 4217)"
    deployment_file.write(home, features="fraud_v1", currency=currency)
    with pytest.raises(UserError, match=rf"in {home}/deployment.toml is not a currency; {fix}"):
        Facts.resolve(home)
    monkeypatch.setenv("TIDEMARK_CURRENCY", currency)
    with pytest.raises(UserError, match=rf"^TIDEMARK_CURRENCY={currency} is not a currency; {fix}"):
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


def test_a_new_home_takes_over_what_stands_with_the_topics(home: Path) -> None:
    assert Topics(Facts("fraud_v3", "USD")).settle(home) == Facts("fraud_v3", "USD")
    assert recorded(home) == ("fraud_v3", "USD")


def test_the_first_up_after_an_upgrade_puts_the_homes_facts_with_the_topics(home: Path) -> None:
    deployment_file.write(home, features="fraud_v3", currency="USD")
    topics = Topics()
    topics.settle(home)
    assert topics.known == Facts("fraud_v3", "USD")


def test_nothing_is_put_on_record_for_a_deployment_that_never_recorded_its_facts_until_they_are_given(home: Path) -> None:
    topics = Topics()
    topics.settle(home)
    assert topics.known is None
    topics.settle(home, "fraud_v2", "USD")
    assert topics.known == Facts("fraud_v2", "USD")


def test_a_home_that_says_otherwise_than_the_topics_is_refused_until_it_is_given_which(home: Path) -> None:
    deployment_file.write(home, features="fraud_v1", currency="EUR")
    topics = Topics(Facts("fraud_v1", "USD"))
    with pytest.raises(UserError, match=rf"^currency is EUR in {home}/deployment.toml, but USD .* run `tidemark up --currency USD`"):
        topics.settle(home)
    assert (recorded(home), topics.known) == (("fraud_v1", "EUR"), Facts("fraud_v1", "USD"))
    topics.settle(home, currency="USD")
    assert (recorded(home), topics.known) == (("fraud_v1", "USD"), Facts("fraud_v1", "USD"))


def test_what_stands_with_topics_that_have_data_stays_whatever_a_home_is_given(home: Path) -> None:
    topics = Topics(Facts("fraud_v1", "EUR"))
    with pytest.raises(UserError, match="settles in EUR and has transactions in it"):
        topics.settle(home, currency="USD")
    with pytest.raises(UserError, match="computes fraud_v1 and has states of it"):
        topics.settle(home, features="fraud_v2")
    assert topics.known == Facts("fraud_v1", "EUR")
    topics.data = False
    topics.settle(home, currency="USD")
    assert topics.known == Facts("fraud_v1", "USD")


def test_a_former_record_that_somebody_has_sent_again_is_written_over(home: Path) -> None:
    topics = Topics(Facts("fraud_v3", "USD"))
    topics.revision = 4
    topics.settle(home)
    topics.known, topics.revision = Facts("fraud_v1", "EUR"), 2
    assert topics.settle(home) == Facts("fraud_v3", "USD")
    assert (topics.known, topics.revision) == (Facts("fraud_v3", "USD"), 5)
    topics.known = None
    topics.revision = 0
    topics.settle(home)
    assert (topics.known, topics.revision) == (Facts("fraud_v3", "USD"), 6)
