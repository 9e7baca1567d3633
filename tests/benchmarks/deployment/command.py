"""``tidemark`` as a benchmark starts it: in a process of its own, with this interpreter, from this checkout."""

import sys

# So that what it states about itself is the command that would be typed.
_AS_TYPED = "import sys; sys.argv[0] = 'tidemark'; from api.cli import main; main()"


def tidemark(*arguments: str) -> list[str]:
    """The command with its arguments."""
    return [sys.executable, "-c", _AS_TYPED, *arguments]
