"""Processes of a benchmark's own, each given its order as JSON and answering in lines."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from features.errors import UserError


@contextmanager
def child(module: str, asked: msgspec.Struct) -> Iterator["subprocess.Popen[str]"]:
    """A process of ours that takes its order as JSON; ended with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, msgspec.json.encode(asked).decode()], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line(process: "subprocess.Popen[str]") -> str:
    """Its next line, waited for. Raises UserError if it ended instead."""
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        raise UserError(f"a process of the benchmark ended with status {process.wait()}; see its message above")
    return line
