"""How a process gets what it has to know: by a pipe, since anybody on the machine can read its command line, and passwords are among it."""

import contextlib
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

_Value = TypeVar("_Value", bound=msgspec.Struct)


def start(command: Sequence[str], value: msgspec.Struct, **options: Any) -> "subprocess.Popen[bytes]":
    """Starts the command with ``value`` as JSON on its standard input, which ends after it; ``options`` are Popen's."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, **options)
    assert process.stdin is not None
    # One that has ended already is noticed by its status.
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(msgspec.json.encode(value))
        process.stdin.flush()
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    # Or Popen would flush it once more.
    process.stdin = None
    return process


def receive(kind: type[_Value]) -> _Value:
    """What ``start`` has handed to this process. Call it once."""
    return msgspec.json.decode(sys.stdin.buffer.read(), type=kind)
