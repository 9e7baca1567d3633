"""The peers that the benchmark ``stream`` compares with: complete, chosen by name, and their failures reported."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from features.errors import UserError
from tests.benchmarks.deployment.deployment import Deployment, deployed
from tests.benchmarks.figures.sampling import Processes
from tests.benchmarks.load.workload import workload
from tests.benchmarks.measures import stream
from tests.benchmarks.peers.runner import peer_run, peers
from tests.benchmarks.peers.runner.peers import FOLDER, Peer

SMALLEST = {"bare_loop", "faust", "flink_sql", "quix_state", "quix_windows"}
PINNED = re.compile(r"^[A-Za-z0-9._-]+==\S+$")
COUNT = 3_000


def test_every_folder_is_a_peer() -> None:
    folders = {path.name for path in FOLDER.iterdir() if (path / "about.toml").is_file() or (path / "peer.py").is_file()}
    assert folders == set(peers.known()) >= SMALLEST


@pytest.mark.parametrize("peer", peers.known().values(), ids=lambda peer: peer.name)
def test_a_peer_is_complete(peer: Peer) -> None:
    compile(peer.program.read_text(), str(peer.program), "exec")
    assert peer.title
    assert peer.does
    assert peer.leaves_out, "a peer that leaves nothing out would be a second Tidemark"
    assert peer.asked_for.is_file() == peer.requirements.is_file()
    if peer.asked_for.is_file():
        assert all(PINNED.match(package) for package in peer.packages), "requirements.in pins what it names"
        locked = peer.requirements.read_text()
        assert all(package.lower() in locked for package in peer.packages)
        blocks = re.split(r"\n(?=[a-z0-9])", locked)[1:]
        assert blocks
        assert all("--hash=sha256:" in block for block in blocks)
    if jars := peer.jar_set:
        assert len(jars.locked()) == len(peer.jars)
        assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in jars.locked().values())


def test_peers_are_chosen_by_name() -> None:
    assert [peer.name for peer in peers.chosen(None)] == ["bare_loop"]
    assert peers.chosen("none") == ()
    assert {peer.name for peer in peers.chosen("all")} == set(peers.known())
    assert [peer.name for peer in peers.chosen("quix_state,faust")] == ["faust", "quix_state"]
    with pytest.raises(UserError, match="choose among them"):
        peers.chosen("faust,storm")


def test_what_a_process_started_counts_with_it() -> None:
    spin = "import time\nwhile time.process_time() < 0.5: pass\nprint(flush=True)\ntime.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {spin!r}])"
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        alone, family = Processes({"it": process.pid}), Processes({"it": process.pid}, families=("it",))
        ((cpu, memory), (all_cpu, all_memory)) = alone.look(), family.look()
        assert all_cpu["it"] >= cpu["it"] + 0.3
        assert all_memory["it"] > memory["it"]
        for child in psutil.Process(process.pid).children():
            child.kill()
        process.wait()
        assert family.look() == (all_cpu, all_memory)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def full() -> Iterator[Deployment]:
    """A deployment whose topic holds 3,000 transactions and their labels."""
    with deployed(2) as deployment:
        sent = workload(None, COUNT, deployment.home)
        with stream.replaying(deployment, sent) as replay:
            stream.finish(replay)
        yield deployment


def test_a_peer_writes_a_record_for_each_transaction(full: Deployment) -> None:
    found = peer_run.measure(full, peers.known()["bare_loop"], COUNT)
    assert found["records"] == COUNT
    assert found["tx_per_s"] > 0
    assert found["cpu_us_per_tx"].keys() == {"bare_loop", "kafka"}
    assert not _left(full)


def test_a_peer_that_dies_says_why(full: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    (tmp_path / "dies").mkdir()
    (tmp_path / "dies" / "peer.py").write_text("import os\nraise SystemExit('nothing for ' + os.environ['GROUP'])\n")
    found = peer_run.measure(full, Peer("dies", "Dies", "dies", ("everything",)), COUNT)
    assert found == {"error": f"it ended after 0 of {COUNT:,} records", "log": ["nothing for peer-dies-0"]}
    assert not _left(full)


def _left(deployment: Deployment) -> list[psutil.Process]:
    """Processes of peers of this deployment that live on."""
    time.sleep(0.1)
    own = os.getpid()
    return [
        process
        for process in psutil.Process(own).children(recursive=True)
        if process.status() != psutil.STATUS_ZOMBIE and any(part.endswith("peer.py") for part in process.cmdline())
    ]
