"""A finished history through the kernel equals the oracle, run over the log that the history makes."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from features.definitions import FEATURE_SETS, REQUEST_MEASURES, FeatureSet
from features.history.log import HistoryLog, chunks, vectors
from streams.simulate import SimulationSpec, simulate
from tests.parity.both import assert_same_bits, by_oracle, follow, in_order
from tests.parity.logs import DAY, HOUR, MINUTE, Chargeback, Payment, Record, payments_of
from tests.parity.windows import restated

V1, V2 = FEATURE_SETS["fraud_v1"], FEATURE_SETS["fraud_v2"]

COLUMNS = ("transaction_id", "event_time", "user_id", "merchant_id", "amount", "device_id")


def merged(table: pa.Table) -> list[Record]:
    """The log of a table: by time, at equal time labels first, then in the order of the file."""
    records: list[tuple[int, int, int, Record]] = []
    rows = zip(*(table[name].to_pylist() for name in (*COLUMNS, "is_fraud", "label_time")), strict=True)
    for row, (*figures, is_fraud, label_time) in enumerate(rows):
        payment = Payment(*figures)
        records.append((payment.event_time, 1, row, payment))
        if label_time is not None:
            records.append((label_time, 0, row, Chargeback.of(payment, label_time, bool(is_fraud))))
    return [record for *_, record in sorted(records, key=lambda entry: entry[:3])]


@pytest.fixture(scope="module")
def simulated() -> pa.Table:
    """Two months of a small town whose frauds become known after a week, some later, some again found innocent, in any order of rows."""
    town = simulate(SimulationSpec(seed=3, users=12, merchants=20, start_ms=17_622 * DAY, days=60))
    rng = np.random.default_rng(3)
    town = town.take(pa.array(rng.permutation(len(town))))
    # Ties between transactions and with labels: whole minutes only.
    time = town["event_time"].to_numpy() // MINUTE * MINUTE
    fraud = town["is_fraud"].to_numpy() | (rng.random(len(town)) < 0.1)
    known = fraud | (rng.random(len(town)) < 0.1)
    label_time = time + rng.choice([0, 6 * HOUR, 7 * DAY, 7 * DAY, 12 * DAY], len(town))
    for name, column in (
        ("event_time", pa.array(time)),
        ("is_fraud", pa.array(fraud)),
        ("label_time", pa.array(label_time, pa.int64(), mask=~known)),
    ):
        town = town.set_column(town.schema.get_field_index(name), name, column)
    return town


@pytest.mark.parametrize("feature_set", [V1, V2], ids=lambda feature_set: feature_set.name)
def test_a_simulated_history_equals_the_oracle(simulated: pa.Table, feature_set: FeatureSet) -> None:
    log = merged(simulated)
    history = HistoryLog.from_table(simulated)
    assert simulated["transaction_id"].take(pa.array(history.order)).to_pylist() == [payment.transaction_id for payment in payments_of(log)]
    assert_same_bits(feature_set, log, vectors(history, feature_set), by_oracle(feature_set, log))


def test_the_simulated_history_shows_frauds_and_devices(simulated: pa.Table) -> None:
    seen = vectors(HistoryLog.from_table(simulated), V2)
    for name in ("user_fraud_count_7d", "merchant_fraud_count_30d", "user_new_device"):
        assert np.count_nonzero(seen[:, V2.names.index(name)] > 0) > 10


def test_the_handbooks_history_equals_the_oracle(handbook: pa.Table) -> None:
    """Every record of its first fifty days is applied; of the last ten days a sample is compared, with all kinds of keys in it."""
    start = pc.min(handbook["event_time"]).as_py()
    table = handbook.filter(pc.less(handbook["event_time"], start + 50 * DAY))
    history = HistoryLog.from_table(table)
    kernel = vectors(history, V1)
    time = table["event_time"].to_numpy()[history.order]
    late = np.flatnonzero(time >= start + 40 * DAY)
    with_frauds = late[kernel[late, V1.names.index("merchant_fraud_count_30d")] > 0]
    first_seen = np.flatnonzero(np.isnan(kernel[:, V1.names.index("merchant_seconds_since_last")]))
    rng = np.random.default_rng(0)
    sample = {int(row) for rows in (late, with_frauds, first_seen) for row in rng.choice(rows, 400, replace=False)}

    oracle, row = restated(), 0
    rows, asked, expected = [], [], []
    for record in merged(table):
        if isinstance(record, Payment):
            if row in sample:
                rows.append(row)
                asked.append(record)
                expected.append(in_order(V1, oracle.observe(record)))
            row += 1
        follow(oracle, record)
    assert_same_bits(V1, asked, kernel[rows], np.array(expected, np.float32))


def test_chunks_are_the_vectors_in_pieces(simulated: pa.Table) -> None:
    many = pa.concat_tables([simulated] * 50)
    log = HistoryLog.from_table(many)
    pieces = list(chunks(log, V1))
    assert len(pieces) > 1
    assert np.concatenate([rows for rows, _ in pieces]).tolist() == log.order.tolist()
    assert np.concatenate([piece for _, piece in pieces]).tobytes() == vectors(log, V1).tobytes()


def test_an_empty_history_has_no_vectors(simulated: pa.Table) -> None:
    assert vectors(HistoryLog.from_table(simulated.slice(0, 0)), V1).shape == (0, len(V1.names))


def test_a_history_without_labels_shows_no_fraud(simulated: pa.Table) -> None:
    index = simulated.schema.get_field_index("label_time")
    unlabelled = simulated.set_column(index, "label_time", pa.nulls(len(simulated), pa.int64()))
    seen = vectors(HistoryLog.from_table(unlabelled), V1)
    assert not seen[:, [i for i, name in enumerate(V1.names) if "fraud_count" in name]].any()
    assert (seen[:, : len(REQUEST_MEASURES)] >= 0).all()
