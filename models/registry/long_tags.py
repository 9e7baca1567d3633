"""Tags longer than MLflow takes: cut into parts, and put together again.

Its server decides how long one may be; 5,000 characters were the limit for long.
"""

from collections.abc import Iterable, Mapping

LONGEST = 4_900
_PART = "/"


def in_parts(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags with no value longer than ``LONGEST`` characters: ``name``, then ``name/2``, ``name/3`` and so on."""
    return {
        name if begin == 0 else f"{name}{_PART}{begin // LONGEST + 1}": value[begin : begin + LONGEST]
        for name, value in tags.items()
        for begin in range(0, max(len(value), 1), LONGEST)
    }


def whole(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that ``in_parts`` cut."""
    parts = {name: split for name in tags if (split := _split(name, tags)) is not None}
    found = {name: value for name, value in tags.items() if name not in parts}
    for name, (of, _) in sorted(parts.items(), key=lambda part: part[1]):
        found[of] += tags[name]
    return found


def left_over(tags: Mapping[str, str], former: Iterable[str]) -> list[str]:
    """Which of the ``former`` names are parts of an older, longer value of these tags, once they are written anew."""
    now = in_parts(tags)
    return [name for name in former if name not in now and _split(name, tags) is not None]


def _split(name: str, tags: Mapping[str, str]) -> tuple[str, int] | None:
    """The tag this name belongs to, and the number of the part; None if it belongs to none."""
    of, _, number = name.rpartition(_PART)
    return (of, int(number)) if of in tags and number.isdigit() and int(number) > 1 else None
