"""The command `tidemark`."""

import errno
import io
import os
import select
import signal
import sys
import threading
import traceback
from typing import Annotated, Any

import typer
from typer.main import get_command

from api.cli.commands import LazyGroup
from api.cli.options import QUIET
from features.errors import UserError, redacted
from infra.local.errors import ServiceError
from streams.workers.logs import redact_the_rest

# Typer keeps its copy of Click, whose usage errors these are, to itself.
_UsageError: Any = typer.BadParameter.__mro__[1]
_TERMINATED, _UNREAD = 128 + signal.SIGTERM, 128 + signal.SIGPIPE
_terminated = threading.Event()
_ROOM = "free space there, or set TIDEMARK_HOME to another disk"
_RIGHTS = "make it yours to read and write, or choose another place"
_MENDS = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: _RIGHTS,
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOTDIR: "choose a place in a folder",
    errno.EMFILE: "raise `ulimit -n`",
}
"""What the machine can refuse any command → what to do about it."""


# By the names of the exceptions of clients, which are slow to import.
_SERVICES = {
    "MlflowException": "the model registry",
    "RestException": "the model registry",
    "KafkaException": "Kafka",
    "OnlineStoreError": "the online store",
}
"""What may fail while a command works with it."""


def main() -> None:
    """Run the command that the arguments name. What the user can fix is one line on stderr and exit status 2."""
    redact_the_rest()
    # Whoever lies in the folder where this is run, as a features.py, is not to be what stages and Spark's workers import.
    os.environ["PYTHONSAFEPATH"] = "1"
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # what a terminal of another encoding can't show is no reason to fail
    before = signal.signal(signal.SIGTERM, _end)
    status = _run()
    signal.signal(signal.SIGTERM, before)
    flushed = _flushed()
    sys.exit(status or flushed)


def _flushed() -> int:
    """The status of writing out what was printed."""
    try:
        if sys.stdout is not None:  # somebody may have closed it
            sys.stdout.flush()
        return 0
    except OSError as error:
        # What is left in its buffer would be tried again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _of_the_machine(error)


def _show(version: bool) -> None:
    if version:
        from importlib import metadata

        typer.echo(f"tidemark {metadata.version('tidemark')}")
        raise typer.Exit


def tidemark(
    version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_show, help="Show the version and exit.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress, only results and what is wrong.")] = False,
) -> None:
    """Fraud scoring of card transactions while they happen."""
    if quiet:
        os.environ[QUIET] = "1"


def group() -> Any:
    """All commands as one, as Typer calls it."""
    app = typer.Typer(cls=LazyGroup, no_args_is_help=True, rich_markup_mode=None)
    app.callback()(tidemark)
    return get_command(app)


def _end(*_: object) -> None:
    """Ends the command as Ctrl-C would: what is open is closed, temporary folders are removed."""
    _terminated.set()
    sys.exit(_TERMINATED)


def _run() -> int:
    """The exit status."""
    try:
        return group()(prog_name="tidemark", standalone_mode=False) or 0
    except _UsageError as error:
        return _refused(error)
    except (UserError, ServiceError) as error:
        print(f"error: {redacted(str(error))}", file=sys.stderr)
        return 2
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except SystemExit as ended:
        # What Click makes of a pipe that nobody reads any more.
        if ended.code == 1 and _is_read_no_more():
            return _UNREAD
        raise
    except Exception as error:
        if _terminated.is_set():  # by which what it used, such as Spark's JVM, may have been ended too
            return _TERMINATED
        if isinstance(error, OSError) and error.errno in (*_MENDS, errno.EPIPE):
            return _of_the_machine(error)
        if (service := _SERVICES.get(type(error).__name__)) is not None:
            print(f"error: {redacted(f'{service} failed ({_reason(error)})')}; see `tidemark doctor`, then try again", file=sys.stderr)
            return 2
        # Typer would print it with its own hook, passwords and all.
        sys.stderr.write(redacted(traceback.format_exc()))
        return 1


def _reason(error: Exception) -> str:
    """The first line of what a client says."""
    cause = error.args[0] if error.args else error
    text = str(cause.str() if hasattr(cause, "str") else cause)
    return "it doesn't answer" if "Max retries exceeded" in text else (text.splitlines() or [type(error).__name__])[0][:300]


def _refused(error: Any) -> int:
    """Says in a sentence what of the arguments can't be, or shows the help that was missing them."""
    command = error.ctx.command_path if error.ctx is not None else "tidemark"
    message = " ".join(str(error.format_message()).split()).rstrip(".")
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
    else:
        print(f"error: {message[:1].lower()}{message[1:]}; see `{command} --help`", file=sys.stderr)
    return 2


def _of_the_machine(error: OSError) -> int:
    """Says what the machine refuses; nobody listens any more to a pipe that is closed."""
    if error.errno == errno.EPIPE and _is_read_no_more():
        return _UNREAD
    if error.errno == errno.ENOSPC and not error.filename and os.path.realpath("/proc/self/fd/1") == "/dev/full":
        print(f"error: what is printed can't be written ({error.strerror}); send it elsewhere", file=sys.stderr)
        return 2
    what = f"{error.filename} can't be used: " if error.filename else ""
    mend = _MENDS.get(error.errno or 0, "see to that, then try again")
    print(f"error: {redacted(f'{what}{error.strerror}')}; {mend}", file=sys.stderr)
    return 2


def _is_read_no_more() -> bool:
    """Whether whoever read what is printed has gone."""
    asked = select.poll()
    asked.register(1, 0)
    return any(event & (select.POLLERR | select.POLLNVAL) for _, event in asked.poll(0))
