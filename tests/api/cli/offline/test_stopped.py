"""Whoever stops one of Spark's jobs, as a shell does it or as a service manager, sees nothing but the prompt, and finds nothing left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.made.records import transaction
from tests.run.deployment import Deployment, champion, eventually
from tests.run.emptied import emptied

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def deployment(shared: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One with an archive."""
    with emptied(shared, tmp_path_factory.mktemp("stopped") / "home") as deployment:
        champion(deployment.config)
        deployment.send([transaction(i, f"u{i % 23}", "m1", 1_700_000_000_000 + i * 3_600_000) for i in range(2_000)])
        deployment.work_until_idle()
        done = deployment.tidemark("archive", "--once")
        assert done.returncode == 0, done.stderr
        yield deployment


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(
    ("command", "ends_well"),
    [
        (("archive", "--every", "2"), True),
        (("backfill", "--features", "fraud_v2", "--from", "2023-11-15", "--to", "2024-01-30"), False),
        (("training-set", "rows"), False),
    ],
    ids=["archive", "backfill", "training-set"],
)
def test_a_job_is_stopped_in_silence(
    deployment: Deployment, tmp_path: Path, command: tuple[str, ...], ends_well: bool, sent: signal.Signals
) -> None:
    log, scratch = deployment.home / "logs" / f"spark-{command[0]}.log", tmp_path / "tmp"
    scratch.mkdir()
    log.unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-c", "from api.cli import main; main()", *command],
        env={**deployment.environment, "TMPDIR": str(scratch)},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        # What a shell starts in the background ignores it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        eventually(lambda: log.exists() or process.poll() is not None, 60, "the start of Spark")
        time.sleep(4)
        assert process.poll() is None, process.communicate()
        os.killpg(process.pid, sent)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    # To be stopped is how an archive with --every ends, once Spark has started.
    assert (process.returncode in {128 + sent, 0 if ends_well else 128 + sent}, err) == (True, ""), (process.returncode, out)
    assert [path.name for path in scratch.iterdir()] == []
