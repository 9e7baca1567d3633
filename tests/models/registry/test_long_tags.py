"""A tag of any length comes back as it was, whatever was there before."""

import re

from hypothesis import given
from hypothesis import strategies as st

from models.registry.long_tags import LONGEST, in_parts, left_over, whole

NAMES = st.text("abc./2", min_size=1, max_size=4).filter(lambda name: not re.search(r"/2+$", name))
VALUES = st.integers(0, 3 * LONGEST + 1).map(lambda length: ("0123456789" * (length // 10 + 1))[:length])


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_what_was_cut_is_put_together(tags: dict[str, str]) -> None:
    parts = in_parts(tags)
    assert all(len(value) <= LONGEST for value in parts.values())
    assert whole(parts) == tags


def test_more_than_nine_parts_keep_their_order() -> None:
    value = "".join(f"{place:>{LONGEST}}" for place in range(12))
    assert whole(in_parts({"gate.champion": value})) == {"gate.champion": value}


def test_parts_of_a_longer_value_are_left_over() -> None:
    former = in_parts({"gate.champion": "x" * (3 * LONGEST), "gate": "y"})
    assert left_over({"gate.champion": "z" * (LONGEST + 1)}, former) == ["gate.champion/3"]
    assert left_over({"gate": "z"}, former) == []
