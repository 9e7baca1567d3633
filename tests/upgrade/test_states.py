"""Saved states outlive the program that saved them."""

import re
from typing import Any

import pytest

from features.definitions import FEATURE_SETS
from features.errors import UserError
from tests.upgrade import states
from tests.upgrade.golden import holding, read, unpacked

REFUSED = {"0.1.0": "these 32 bytes are no state of layout 2; rebuild the store they came from"}
"""The versions whose states this program refuses, and in which words."""


@pytest.mark.parametrize("version", holding("feature_sets.json"))
def test_a_feature_set_keeps_its_meaning_and_its_digest(version: str) -> None:
    kept = read(version, "feature_sets.json")
    now = {name: {"digest": FEATURE_SETS[name].digest, "names": list(FEATURE_SETS[name].names)} for name in kept}
    assert now == kept, "give the changed set another name: models, states and vectors of the old one would be taken for it"


@pytest.mark.parametrize("version", [version for version in holding("states.json") if version not in REFUSED])
def test_a_keys_state_is_read_to_the_same_features(version: str) -> None:
    for name, entities in read(version, "states.json").items():
        for entity, kept in entities.items():
            assert states.known_of_keys(FEATURE_SETS[name], entity, kept["states"], kept["clock"]) == kept["known"], (name, entity)


@pytest.mark.parametrize("version", REFUSED)
def test_a_keys_state_that_cant_be_read_is_refused_in_words(version: str) -> None:
    for name, entities in read(version, "states.json").items():
        for entity, kept in entities.items():
            for key, state in kept["states"].items():
                words = REFUSED[version].replace("32 bytes", f"{len(unpacked(state))} bytes")
                with pytest.raises(ValueError, match=re.escape(words)):
                    states.known_of_keys(FEATURE_SETS[name], entity, {key: state}, [states.NEXT])


def saved_by(version: str) -> list[tuple[str, dict[str, Any]]]:
    return [(stage, read(version, f"saved_{stage}.json")) for stage in ("ingest", "score")]


@pytest.mark.parametrize("version", holding("saved_ingest.json"))
def test_a_state_topic_is_read_to_the_same_state(version: str) -> None:
    for stage, kept in saved_by(version):
        state, saved = states.restored(stage, kept["records"])
        assert saved == kept["saved"]
        assert states.known_of_partition(state) == kept["known"]


@pytest.mark.parametrize("version", holding("saved_ingest.json"))
def test_a_stage_that_goes_on_from_a_state_topic_gets_where_it_would_have_been(version: str) -> None:
    """Records after the position, those of keys already beyond it left out; a transaction sent again is still known."""
    (_, kept), _ = saved_by(version)
    state, saved = states.restored("ingest", kept["records"])
    assert saved is not None
    assert kept["known"]["ahead"], "the case is one of a worker that died within a round"
    assert states.goes_on(state, saved) == states.goes_on(states.empty("ingest"), 0)


@pytest.mark.parametrize("version", holding("saved_ingest.json"))
def test_a_state_topic_of_another_feature_set_is_refused_in_words(version: str) -> None:
    for stage, kept in saved_by(version):
        former = states.FEATURE_SET.digest[:16]
        records = {name.replace(former, "0" * 16): value for name, value in kept["records"].items()}
        with pytest.raises(
            UserError, match=rf"state-{stage}\[0\] holds states of feature set unknown \(0+\), this worker computes fraud_v2"
        ):
            states.restored(stage, records)
