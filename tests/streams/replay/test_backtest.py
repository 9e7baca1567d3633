"""A backtest gives what the stream would have: the kernel's vectors in replay order, scored by the model."""

from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.arrays import RecordKind
from features.definitions import DAY, FEATURE_SETS
from features.history.datafile import write_transactions
from features.history.label_delay import with_label_times
from features.history.log import HistoryLog, vectors
from models.policy import ACTIONS
from streams.replay.backtest import Backtest, feature_set_of
from streams.replay.plan import plan_replay
from streams.simulate import SimulationSpec, simulate
from tests.made.models import V1, scorer

BEGIN = 20_089 * DAY
FROM, TO = BEGIN + 12 * DAY, BEGIN + 20 * DAY


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """Twenty-four days of 300 users, in an order of the file that isn't that of time."""
    made = simulate(SimulationSpec(seed=2, users=300, merchants=150, start_ms=BEGIN, days=24, takeovers=50))
    mixed = made.take(pa.array(np.random.default_rng(0).permutation(len(made))))
    return with_label_times(mixed, 7 * DAY)


def scored(test: Backtest) -> pa.Table:
    return pa.concat_tables(chunk for _, chunk in test.scores(test.log)).combine_chunks()


def features(found: pa.Table) -> np.ndarray:
    return np.column_stack([found[name].to_numpy() for name in V1.names])


def bits(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).view(np.uint32)


def same(one: pa.Table, other: pa.Table) -> bool:
    """Equal to the bit; Arrow's own comparison takes a NaN for unequal to itself."""
    scores = ["transaction_id", "probability", "risk_score", "decision"]
    return bool(one.select(scores).equals(other.select(scores)) and np.array_equal(bits(features(one)), bits(features(other))))


def test_rows_of_the_range_in_replay_order_with_the_kernels_vectors(table: pa.Table) -> None:
    found = scored(Backtest(table, scorer(), FROM, TO))
    log = HistoryLog.from_table(table)
    event_time = table["event_time"].to_numpy()[log.order]
    asked = (event_time >= FROM) & (event_time < TO)
    assert found["transaction_id"].to_pylist() == table["transaction_id"].take(pa.array(log.order[asked])).to_pylist()
    assert np.array_equal(bits(features(found)), bits(vectors(log, V1)[asked]))


def test_scores_are_the_models(table: pa.Table) -> None:
    found = scored(Backtest(table, scorer(), FROM, TO))
    scores = scorer().score(features(found))
    assert np.array_equal(found["probability"].to_numpy(), scores.probability)
    assert np.array_equal(found["risk_score"].to_numpy(), scores.risk_score)
    assert found["decision"].to_pylist() == [ACTIONS[i] for i in scores.decision]
    assert len(set(found["decision"].to_pylist())) > 1


def test_columns_are_as_promised(table: pa.Table) -> None:
    schema = scored(Backtest(table, scorer(), FROM, TO)).schema
    assert schema.names == ["transaction_id", "probability", "risk_score", "decision", *V1.names]
    assert (schema.field("transaction_id").type, schema.field("probability").type) == (pa.string(), pa.float64())
    assert {schema.field(name).type for name in V1.names} == {pa.float32()}


def test_labels_count_from_when_they_were_known(table: pa.Table) -> None:
    """Frauds of the twelve days before the range; those of its own last day are known only after it."""
    whole = scored(Backtest(table, scorer(), FROM, TO))
    late = pc.greater_equal(table["event_time"], TO - 7 * DAY)
    at = table.schema.get_field_index("is_fraud")
    blind = table.set_column(at, table.schema.field(at), pc.and_(table["is_fraud"], pc.invert(late)))
    assert same(scored(Backtest(with_label_times(blind, 7 * DAY), scorer(), FROM, TO)), whole)
    assert max(whole["merchant_fraud_count_7d"].to_pylist()) > 0
    unlabelled = scored(Backtest(with_label_times(table, None), scorer(), FROM, TO))
    assert max(unlabelled["merchant_fraud_count_7d"].to_pylist()) == 0


def test_without_history_it_is_the_replay_of_the_range(table: pa.Table) -> None:
    test = Backtest(table, scorer(), FROM, TO, history=False)
    plan, log = plan_replay(table, FROM, TO), test.log
    assert np.array_equal(log.kind, plan.kind)
    assert np.array_equal(log.row, plan.row)
    assert (plan.kind != RecordKind.TRANSACTION).any()
    found = scored(test)
    assert found["transaction_id"].to_pylist() == scored(Backtest(table, scorer(), FROM, TO))["transaction_id"].to_pylist()
    assert found["user_age_seconds"].to_numpy().max() < (TO - FROM) / 1_000
    assert max(found["merchant_fraud_count_7d"].to_pylist()) > 0


def test_what_comes_after_the_range_changes_nothing(table: pa.Table) -> None:
    early = table.filter(pc.less(table["event_time"], TO))
    assert same(scored(Backtest(early, scorer(), FROM, TO)), scored(Backtest(table, scorer(), FROM, TO)))


def test_twice_gives_the_same_bytes(table: pa.Table, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one.parquet", "two.parquet")]
    for file in files:
        test = Backtest(table, scorer(), FROM, TO)
        assert write_transactions(file, (chunk for _, chunk in test.scores(test.log)), test.schema) > 1_000
    assert files[0].read_bytes() == files[1].read_bytes()
    assert same(pq.read_table(files[0]), scored(Backtest(table, scorer(), FROM, TO)))


def test_an_interrupted_one_leaves_no_file(table: pa.Table, tmp_path: Path) -> None:
    test = Backtest(table, scorer(), FROM, TO)

    def interrupted(chunk: pa.Table) -> pa.Table:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_transactions(tmp_path / "scores.parquet", map(interrupted, (chunk for _, chunk in test.scores(test.log))), test.schema)
    assert list(tmp_path.iterdir()) == []


def test_the_feature_set_is_the_models() -> None:
    assert feature_set_of(scorer()) is FEATURE_SETS["fraud_v1"]
    unknown = partial(feature_set_of, type("Other", (), {"features_digest": "f" * 64, "model_name": "tidemark", "model_version": "9"})())
    with pytest.raises(ValueError, match="no feature set has the digest ffff"):
        unknown()
