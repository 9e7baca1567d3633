"""README's commands, typed one after the other in an empty folder, work as they stand."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from confluent_kafka import Consumer

from api.settings import Settings
from infra.local import services
from streams.messages.events import decode_decision
from streams.workers.kafka_idle import IdleWatch
from tests.run.command_line import home_at
from tests.run.deployment import ROOT, eventually

pytestmark = pytest.mark.slow


def typed() -> list[str]:
    """The commands of README's blocks, in order, without their comments."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    lines = [line.partition(" #")[0].strip() for language, block in blocks if not language for line in block.splitlines()]
    return [command.strip() for line in lines for command in line.split(";") if command.strip().startswith("tidemark ")]


def test_there_are_commands_of_every_section() -> None:
    commands = {line.split()[1] for line in typed()}
    assert commands >= {"up", "simulate", "train", "worker", "replay", "serve", "archive", "audit", "explain", "retrain", "promote", "down"}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    try:
        yield tmp_path
    finally:
        services.down(tmp_path / ".tidemark")


def test_they_work_in_order(folder: Path) -> None:
    lines = typed()
    # The reader goes on with its other sections before the services end.
    lines.append(lines.pop(lines.index("tidemark down")))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")} | {"PYTHONPATH": str(ROOT)}
    with ExitStack() as running:
        for line in lines:
            words = shlex.split(line.rstrip("&").replace("TRANSACTION_ID", a_decision(folder) if "TRANSACTION_ID" in line else ""))
            command = [sys.executable, "-c", "from api.cli import main; main()", *words[1:]]
            if words[1] == "down":
                running.close()
            if line.endswith("&") or words[1] == "serve":
                log = (folder / f"{words[1]}.log").open("wb")
                process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
                running.callback(end, process)
                continue
            begun = time.monotonic()
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
            )
            print(f"{time.monotonic() - begun:5.1f} s  {line}")
            # The doctor finds what the first minutes lack: nothing does, once a worker runs.
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
            if words[1] == "replay":
                settled(folder)


def settled(folder: Path) -> None:
    """Waits until the worker has decided what was replayed."""
    with home_at(folder / ".tidemark"):
        watch = IdleWatch(Settings.resolve(require_services=True).agreed_config())
    try:
        eventually(watch.idle, 300, "the worker's rest")
    finally:
        watch.close()


def a_decision(folder: Path) -> str:
    """The id of any decided transaction."""
    kafka = services.addresses(folder / ".tidemark")["kafka"]
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "reader", "auto.offset.reset": "earliest"})
    consumer.subscribe(["decisions"])
    try:
        message = consumer.poll(60)
        assert message is not None
        assert message.error() is None
        return decode_decision(message.value() or b"").transaction_id
    finally:
        consumer.close()


def end(process: "subprocess.Popen[bytes]") -> None:
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(30)
