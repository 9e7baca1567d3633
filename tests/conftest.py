"""What many tests share: one broker and one Redis a session, and deployments of their own for those that need one."""

import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import hypothesis
import pyarrow as pa
import pytest

from tests.made.history import simulated
from tests.run.deployment import Deployment, deployed

# A suite starts hundreds of short-lived processes on two cores. Java's second compiler would spend more than it saves in them, and Python
# would compile our modules in each.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


# How long an example takes says how busy the machine is, not whether it holds.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    """What a test does to the environment ends with it: a command that is run in this process sets variables for all that it starts."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Services that tests may share which mind their own topics or keys."""
    with deployed(tmp_path_factory.mktemp("shared") / "home") as deployment:
        yield deployment


@pytest.fixture(scope="session")
def kafka_bootstrap(shared: Deployment) -> str:
    """The bootstrap servers of a broker with Tidemark's topics."""
    return shared.config.kafka


@pytest.fixture(scope="session")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty days of 400 users from 2025-01-01, for ``--columns tidemark``."""
    return simulated(tmp_path_factory.mktemp("small") / "small.parquet", 40)


@pytest.fixture(scope="session")
def handbook() -> pa.Table:
    """The handbook's transactions from TIDEMARK_HANDBOOK, else simulated ones of the same shape, as the canonical table with labels."""
    file = os.environ.get("TIDEMARK_HANDBOOK")
    if file:
        from features.history.columns import parse_mapping
        from features.history.datafile import read_transactions

        return read_transactions(Path(file), parse_mapping("handbook", None), "7d")
    from features.history.label_delay import parse_labels_after, with_label_times
    from streams.simulate import SimulationSpec, simulate

    spec = SimulationSpec(seed=0, users=2_500, merchants=5_000, start_ms=17_622 * 86_400_000, days=153)
    return with_label_times(simulate(spec), parse_labels_after("7d", labelled=True))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A case that was left out is a failure: it neither holds nor fails."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    left_out = sum(len(reporter.stats.get(kind, [])) for kind in ("skipped", "xfailed", "xpassed")) if reporter else 0
    if left_out and exitstatus == 0:
        reporter.write_line(f"{left_out} tests were skipped or expected to fail; every test must hold", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
