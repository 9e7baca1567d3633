"""A checkpoint and a table belong together, or the error names which to fix and how."""

import pytest

from features.errors import UserError
from streams.archive.position import CheckpointPosition, Offsets, as_starting_offsets, offsets_in, require_agreement


def agree(held: Offsets, position: CheckpointPosition) -> None:
    require_agreement("labels", "/store/labels", held, "/store/_checkpoints/archive/labels", position)


def test_offsets_are_the_last_line_of_a_checkpoint_s_file() -> None:
    assert offsets_in('v1\n{"batchWatermarkMs":0}\n{"labels":{"0":7,"1":0}}', "labels") == {0: 7, 1: 0}
    with pytest.raises(ValueError, match="no offsets of labels"):
        offsets_in("v1\n-", "labels")


def test_an_archive_begins_where_its_table_ends() -> None:
    assert as_starting_offsets("labels", {0: 7}, 2) == '{"labels": {"0": 7, "1": -2}}'


@pytest.mark.parametrize(
    ("held", "position"),
    [
        ({}, CheckpointPosition(0, {0: 3})),
        ({}, CheckpointPosition(0, {0: 3}, {0: 9})),
        ({0: 9}, CheckpointPosition(0, {0: 3}, {0: 9})),
        ({0: 9}, CheckpointPosition(1, {0: 9})),
        ({0: 9}, CheckpointPosition(1, {0: 9}, {0: 12})),
        ({0: 12}, CheckpointPosition(1, {0: 9}, {0: 12})),
    ],
)
def test_a_table_may_be_where_its_checkpoint_is_or_at_the_end_of_what_was_begun(held: Offsets, position: CheckpointPosition) -> None:
    agree(held, position)


@pytest.mark.parametrize("held", [{0: 3}, {0: 10}, {0: 15}, {0: 9, 1: 1}])
def test_a_table_elsewhere_is_refused(held: Offsets) -> None:
    with pytest.raises(UserError, match="remove the checkpoint, and the archive goes on where the table ends"):
        agree(held, CheckpointPosition(1, {0: 9}, {0: 12}))


def test_a_table_that_is_gone_is_refused() -> None:
    with pytest.raises(UserError, match="is gone: put it back; or remove the checkpoint"):
        agree({}, CheckpointPosition(1, {0: 9}))
