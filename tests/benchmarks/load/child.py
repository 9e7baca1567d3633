"""Processes of a benchmark's own that take their order as JSON and answer with lines on stdout, some of them first with ``READY``."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from features.errors import UserError
from streams.workers import handover

READY = "ready"


@contextmanager
def child(module: str, asked: msgspec.Struct) -> Iterator["subprocess.Popen[bytes]"]:
    """``python -m module`` with the order on its standard input; ended with the block."""
    process = handover.start([sys.executable, "-m", module], asked, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line(process: "subprocess.Popen[bytes]") -> str:
    """The next line that it says. Raises UserError if it ended instead."""
    assert process.stdout is not None
    said = process.stdout.readline().decode().strip()
    if not said:
        raise UserError(f"a process of the benchmark ended with status {process.wait()}; see its message above")
    return said


def wait_until_ready(process: "subprocess.Popen[bytes]", name: str) -> None:
    """Takes its first line. Raises UserError if it isn't ``READY``."""
    if line(process) != READY:
        raise UserError(f"{name} did not come up; see its message above")
