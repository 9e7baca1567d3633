"""A policy is data: its digest follows its content, and contradictions are refused."""

import msgspec
import pytest

from models.policy import Policy


def test_the_digest_follows_the_content() -> None:
    policy = Policy(review_threshold=0.5, block_threshold=0.9, elevated_threshold=0.3, highest_threshold=0.8)
    same = Policy.from_json(policy.to_json())
    other = Policy(review_threshold=0.5, block_threshold=0.91, elevated_threshold=0.3, highest_threshold=0.8)
    assert policy.digest == same.digest
    assert policy.digest != other.digest
    # So that a change of the encoding doesn't go unnoticed: decisions in the log name it.
    assert policy.digest == "5f0907ccb94bee4148a6ceb17854f364633c2e1dfb41a647212e4ffd836e29fb"


@pytest.mark.parametrize(
    ("review", "block", "elevated", "highest", "sentence"),
    [
        (0.9, 0.5, 0.1, 0.2, "lies above the block threshold"),
        (0.5, 0.9, 0.6, 0.8, "risk levels"),
        (0.5, 0.9, 0.3, 0.95, "risk levels"),
        (0.5, 3.0, 0.3, 0.8, "between 0 and 2"),
        (float("nan"), 0.9, 0.3, 0.8, "between 0 and 2"),
    ],
)
def test_contradictions_are_refused(review: float, block: float, elevated: float, highest: float, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Policy(review_threshold=review, block_threshold=block, elevated_threshold=elevated, highest_threshold=highest)


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b'{"review_threshold": 1, "block_threshold": 0, "elevated_threshold": 0, "highest_threshold": 0}']
)
def test_what_is_no_policy_is_refused(text: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        Policy.from_json(text)
