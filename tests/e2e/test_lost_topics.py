"""A topic that is created again, under running workers or between two runs: they end with a sentence, and pass nothing over."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.made.records import transaction
from tests.run.deployment import Deployment, champion, eventually
from tests.run.emptied import emptied
from tests.run.topics import create_again

SENT = 200


@pytest.fixture
def deployment(shared: Deployment, tmp_path: Path) -> Iterator[Deployment]:
    """One that has decided some."""
    with emptied(shared, tmp_path / "home") as deployment:
        champion(deployment.config)
        send(deployment, 0, SENT)
        deployment.work_until_idle()
        yield deployment


def send(deployment: Deployment, begin: int, end: int) -> None:
    deployment.send([transaction(i, f"u{i % 11}", f"m{i % 5}", 1_700_000_000_000 + i * 60_000) for i in range(begin, end)])


def writes(deployment: Deployment, *sentences: str) -> None:
    """Waits until a running worker has written all of these."""

    def written() -> bool:
        words = "".join(file.read_text() for file in deployment.home.glob("worker-*.log"))
        return all(sentence in words for sentence in sentences)

    eventually(written, 150, "the worker's last words")


@pytest.mark.slow
def test_transactions_deleted_and_created_again_between_two_runs(deployment: Deployment) -> None:
    create_again(deployment.config, "transactions")
    # As many as before and more: offsets alone would not show it.
    send(deployment, 0, 2 * SENT)
    refused = deployment.tidemark("worker", "--until-idle")
    assert refused.returncode != 0
    assert "was saved of another topic transactions, which was created again since" in refused.stderr


@pytest.mark.slow
def test_transactions_deleted_and_created_again_under_a_running_worker(deployment: Deployment) -> None:
    with deployment.running("worker"):
        send(deployment, SENT, SENT + 50)
        deployment.settle()
        create_again(deployment.config, "transactions")
        send(deployment, 0, 2 * SENT)
        # Its reader says so, which ends the worker, or, if that had died first, whoever opens the states.
        writes(deployment, "created again")
