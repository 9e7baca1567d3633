"""What a model learns from: nothing that wasn't known by the day it claims."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from features.definitions import DAY, FEATURE_SETS
from features.errors import UserError
from features.history.label_delay import with_label_times
from features.history.log import HistoryLog, vectors
from models.training_set.rows import TrainingSet, training_set
from tests.made.history import BEGIN

V1 = FEATURE_SETS["fraud_v1"]
FROM, TO, AS_OF = BEGIN + 14 * DAY, BEGIN + 28 * DAY, BEGIN + 33 * DAY


def chosen(table: pa.Table, begin: int = FROM, end: int = TO, as_of: int = AS_OF) -> TrainingSet:
    return training_set(table, V1, begin, end, as_of, 7 * DAY)


def equal(one: TrainingSet, other: TrainingSet) -> bool:
    same = (np.array_equal(getattr(one, name), getattr(other, name)) for name in ("is_fraud", "event_time", "amount"))
    return np.array_equal(one.vectors.view(np.uint32), other.vectors.view(np.uint32)) and all(same)


def with_frauds(table: pa.Table, change: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> pa.Table:
    """The table with other labels: ``change`` is given those there are and the event times."""
    is_fraud = change(table["is_fraud"].to_numpy(), table["event_time"].to_numpy())
    at = table.schema.get_field_index("is_fraud")
    return with_label_times(table.set_column(at, table.schema.field(at), pa.array(is_fraud)), 7 * DAY)


def test_vectors_are_those_of_the_whole_history(small: pa.Table) -> None:
    log = HistoryLog.from_table(small)
    event_time = small["event_time"].to_numpy()[log.order]
    mature = (event_time >= FROM) & (event_time < TO) & (event_time + 7 * DAY <= AS_OF)
    rows = chosen(small)
    assert np.array_equal(rows.vectors.view(np.uint32), vectors(log, V1)[mature].view(np.uint32))
    assert rows.event_time.tolist() == event_time[mature].tolist()
    assert rows.immature == ((event_time >= FROM) & (event_time < TO)).sum() - mature.sum() > 0
    assert rows.frauds == small["is_fraud"].to_numpy()[log.order][mature].sum() > 20


def test_labels_that_come_after_as_of_change_nothing(small: pa.Table) -> None:
    altered = with_frauds(small, lambda is_fraud, event_time: np.where(event_time + 7 * DAY > AS_OF, ~is_fraud, is_fraud))
    assert equal(chosen(altered), chosen(small))


def test_transactions_after_as_of_change_nothing(small: pa.Table) -> None:
    early = small.filter(pc.less_equal(small["event_time"], AS_OF))
    assert len(early) < len(small)
    assert equal(chosen(early), chosen(small))


def test_earlier_labels_do_change_it(small: pa.Table) -> None:
    altered = with_frauds(small, lambda is_fraud, event_time: is_fraud & (event_time >= FROM))
    assert not equal(chosen(altered), chosen(small))


def test_history_before_the_range_warms_the_windows(small: pa.Table) -> None:
    cold = small.filter(pc.greater_equal(small["event_time"], FROM))
    assert not equal(chosen(cold), chosen(small))


def test_the_order_of_the_file_does_not_matter_but_for_ties(small: pa.Table) -> None:
    event_time = small["event_time"].to_numpy()
    distinct = small.take(pa.array(np.unique(event_time, return_index=True)[1]))
    mixed = distinct.take(pa.array(np.random.default_rng(0).permutation(len(distinct))))
    assert equal(chosen(mixed), chosen(distinct))


def test_rows_without_a_label_are_left_out_and_counted(small: pa.Table) -> None:
    at = small.schema.get_field_index("is_fraud")
    some = pc.if_else(pa.array(np.arange(len(small)) % 10 == 0), pa.scalar(None, pa.bool_()), small["is_fraud"])
    rows = chosen(small.set_column(at, small.schema.field(at), some))
    assert rows.unlabelled > 0
    assert rows.unlabelled + len(rows.is_fraud) == len(chosen(small).is_fraud)


def test_what_leaves_nothing_to_learn_from_is_said(small: pa.Table) -> None:
    with pytest.raises(UserError, match="there is no transaction from --from to --to"):
        chosen(small, BEGIN + 90 * DAY, BEGIN + 91 * DAY, BEGIN + 99 * DAY)
    with pytest.raises(UserError, match="labels of the range come after --as-of, so nothing is left to learn from; give a later"):
        chosen(small, as_of=FROM + 7 * DAY - 1)
    at = small.schema.get_field_index("is_fraud")
    with pytest.raises(UserError, match="--columns is_fraud="):
        chosen(small.set_column(at, small.schema.field(at), pa.nulls(len(small), pa.bool_())))
    half = pc.if_else(pc.less(small["event_time"], FROM), small["is_fraud"], pa.scalar(None, pa.bool_()))
    with pytest.raises(UserError, match=r"come after --as-of and .* of its transactions have no label, so"):
        chosen(small.set_column(at, small.schema.field(at), half))


def test_propensities_become_weights_of_their_own_rows(small: pa.Table) -> None:
    propensity = np.where(small["amount"].to_numpy() > 5_000, 0.1, np.nan)
    rows = training_set(small, V1, FROM, TO, AS_OF, 7 * DAY, propensity=propensity)
    assert rows.weight is not None
    assert rows.weight.tolist() == pytest.approx(np.where(rows.amount > 5_000, 10.0, 1.0).tolist())
    assert equal(rows, chosen(small))
