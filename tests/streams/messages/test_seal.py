import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from streams.messages.record import LogRecord
from streams.messages.seal import Seal
from tests.made.seal import SEAL, sealed

PARTS = st.lists(st.none() | st.binary(max_size=4), max_size=4)
RECORD = LogRecord(3, 0, b"key", b"value", [("tidemark-features", b"f")])


@given(PARTS, PARTS)
def test_only_the_same_parts_have_the_same_seal(one: list[bytes | None], other: list[bytes | None]) -> None:
    """Wherever the borders between them lie, and nothing isn't empty."""
    assert SEAL.holds(SEAL.of(b"x", *one), b"x", *other) == (one == other)


def test_a_seal_is_for_one_purpose_and_by_one_key() -> None:
    made = SEAL.of(b"answer", b"a")
    assert SEAL.holds(made, b"answer", b"a")
    assert not SEAL.holds(made, b"label", b"a")
    assert not Seal("another key, as long as that of the tests").holds(made, b"answer", b"a")
    assert not SEAL.holds(None, b"answer", b"a")
    assert not SEAL.holds(made[:-1], b"answer", b"a")


def test_without_a_key_nothing_holds_and_nothing_can_be_sealed() -> None:
    assert not Seal().holds(b"\0" * 32, b"answer")
    with pytest.raises(ValueError, match="no key"):
        Seal().of(b"answer")


def test_a_record_of_ours_is_so_in_its_place_with_its_content_and_headers_only() -> None:
    ours = sealed("state.users", RECORD, 2)
    assert SEAL.is_ours("state.users", 2, ours)
    # Where it stands in the partition is the broker's affair, and headers that others add are nobody's.
    assert SEAL.is_ours("state.users", 2, structs.replace(ours, offset=9, headers=[("traceparent", b"1"), *ours.headers]))
    (features, seal) = ours.headers
    for other in (
        structs.replace(ours, key=b"another"),
        structs.replace(ours, value=b"valuf"),
        structs.replace(ours, value=None),
        structs.replace(ours, headers=[seal]),
        structs.replace(ours, headers=[("tidemark-features", b"g"), seal]),
        structs.replace(ours, headers=[seal, features]),
        structs.replace(ours, headers=[features, seal, seal]),
        structs.replace(ours, headers=[features, ("tidemark-seal", None)]),  # type: ignore[list-item]
        structs.replace(ours, headers=[]),
    ):
        assert not SEAL.is_ours("state.users", 2, other)
    assert not SEAL.is_ours("state.users", 1, ours)
    assert not SEAL.is_ours("state.merchants", 2, ours)
