"""The one error that is the user's to fix, the one rule about what no message may show, and words that messages share."""

import re

START_OVER = "start over with `tidemark reset --keep-models` and replay what history you have (docs/reliability.md)"
"""What is left to do where logs or states are lost for good."""

# As ``urllib`` takes an address apart: what stands before the last "@" of the part up to the path.
_PASSWORD = re.compile(r"(\w://[^\s:@/?#]*):[^\s/?#]+@")
# An address whose scheme was forgotten, and a password among the parameters, as Redis' addresses may have it.
_BARE = re.compile(r"(?<![\w/])([\w.-]+):[^\s/@:]+@(?=[\w\[])")
_PARAMETER = re.compile(r"([?&]password=)[^&\s#]+")


def counted(number: int, noun: str) -> str:
    """So many of what a noun names, for people."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def redacted(text: str) -> str:
    """The text with the passwords in its URLs masked: ``redis://user:***@host``."""
    return _PARAMETER.sub(r"\1***", _BARE.sub(r"\1:***@", _PASSWORD.sub(r"\1:***@", text)))


class UserError(Exception):
    """One sentence that names what is wrong and how to fix it; commands print it and exit with status 2. It shows no password of a URL."""

    def __init__(self, sentence: str = "") -> None:
        super().__init__(redacted(sentence))


class UnavailableError(UserError):
    """A service that can't be reached, or can't do it now: what the sentence says may pass by itself, so what runs on tries again."""
