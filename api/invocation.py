"""What was run: the command as it was typed, and the code's commit."""

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[1]


def command_line() -> list[str]:
    """The command as it was typed, its program by name."""
    return [Path(sys.argv[0]).name, *sys.argv[1:]]


def commit() -> str | None:
    """The checkout's commit, with ``+changes`` if files of it were changed since; None outside a checkout."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    head = git("rev-parse", "HEAD")
    return f"{head}+changes" if head and git("status", "--porcelain", "--untracked-files=no") else head
