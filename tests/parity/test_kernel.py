"""The compiled kernel equals the oracle, bit for bit, whatever the log and however it is cut into batches."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from features.definitions import FEATURE_SETS, FeatureSet
from features.definitions import Window as Defined
from features.oracle import Oracle, OracleWindow, as_float32
from tests.parity.both import Kernel, assert_same_bits, by_kernel, by_oracle, follow
from tests.parity.logs import (
    DAY,
    HOUR,
    MINUTE,
    START,
    TEMPERS,
    Chargeback,
    Log,
    Payment,
    Temper,
    cut,
    logs,
    long_log,
    payment_lists,
    payments_of,
)
from tests.parity.windows import restated

# The first example compiles the kernel.
drawn = settings(deadline=None, max_examples=80)

V1, V2 = FEATURE_SETS["fraud_v1"], FEATURE_SETS["fraud_v2"]

# Adding a window is one line here and, in its own words, one in the oracle's table.
WITH_2H = replace(V1, activity=(*V1.activity, Defined("2h", 2 * HOUR, MINUTE)))
TWO_HOURS = {"2h": OracleWindow(2 * HOUR, MINUTE)}
WITH_LATER = replace(V1, outcome=(*V1.outcome, Defined("14d", 14 * DAY, 3 * HOUR, delay=10 * DAY + 30 * MINUTE)))
FRAUDS_LATER = {"14d": OracleWindow(14 * DAY, 3 * HOUR, delay=10 * DAY + 30 * MINUTE)}
WITH_LARGE = replace(V2, large=((220, V2.activity[-2]), (300, V2.activity[-2]), (300, V2.activity[0])))

every_set = pytest.mark.parametrize(
    ("feature_set", "extra"),
    [(V1, None), (V2, None), (WITH_2H, TWO_HOURS), (WITH_LATER, FRAUDS_LATER), (WITH_LARGE, None)],
    ids=["fraud_v1", "fraud_v2", "a 2 h window more", "a later fraud rate more", "large amounts counted"],
)


@every_set
@drawn
@given(data=st.data())
def test_every_vector_equals_the_oracles_however_the_log_is_cut(
    feature_set: FeatureSet, extra: dict[str, OracleWindow] | None, data: st.DataObject
) -> None:
    log = data.draw(logs())
    batches = data.draw(cut(log))
    assert_same_bits(feature_set, log, by_kernel(feature_set, batches), by_oracle(feature_set, log, extra))


@every_set
@pytest.mark.parametrize("temper", TEMPERS, ids=lambda temper: temper.name)
def test_long_logs_equal_the_oracles(temper: Temper, feature_set: FeatureSet, extra: dict[str, OracleWindow] | None) -> None:
    log = long_log(temper, seed=1, transactions=400)
    assert_same_bits(feature_set, log, by_kernel(feature_set, [log]), by_oracle(feature_set, log, extra))


@drawn
@given(log=logs(), data=st.data())
def test_states_are_the_same_bytes_however_the_log_is_cut(log: Log, data: st.DataObject) -> None:
    whole, pieces = Kernel(WITH_LARGE), Kernel(WITH_LARGE)
    whole.apply(log)
    for batch in data.draw(cut(log)):
        pieces.apply(batch)
    assert whole.encoded() == pieces.encoded()


# Long ago a shop sold once; later a fraud there is told of and taken back, and the clock has moved on: the shop is forgotten then.
FORGOTTEN_BY_A_LABEL: Log = [
    Chargeback("t3", START + 37 * DAY, "user a", "shop b", START + 37 * DAY, True),
    Payment("t1", START, "user a", "shop b", 0),
    Payment("t2", START + 46 * DAY, "user a", "shop a", 0),
    Chargeback("t3", START + 37 * DAY, "user a", "shop b", START + 37 * DAY, False),
    Payment("t3", START + 37 * DAY, "user a", "shop b", 0),
]
# One so late that memory doesn't reach it uses a device, and comes back a minute later.
FORGOTTEN_DEVICE: Log = [
    Payment("t1", START + 90 * DAY, "user a", "shop a", 0),
    Payment("t2", START, "user b", "shop a", 0, "phone 1"),
    Payment("t3", START + MINUTE, "user b", "shop a", 0, "phone 1"),
]


@drawn
@example(FORGOTTEN_BY_A_LABEL)
@example(FORGOTTEN_DEVICE)
@given(log=logs())
def test_observing_tells_what_applying_would_and_changes_nothing(log: Log) -> None:
    kernel = Kernel(WITH_LARGE)
    for record in log:
        if isinstance(record, Payment):
            observed = kernel.observe([record])
            before = kernel.encoded()
            assert kernel.observe([record]).tobytes() == observed.tobytes()
            assert kernel.encoded() == before
            assert kernel.apply([record]).tobytes() == observed.tobytes()
        else:
            kernel.apply([record])


@drawn
@given(log=logs(), data=st.data())
def test_a_restored_state_is_the_same_and_goes_on_the_same(log: Log, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(log)))
    original = Kernel(WITH_LARGE)
    original.apply(log[:at])
    restored = original.restored()
    assert restored.encoded() == original.encoded()
    assert restored.apply(log[at:]).tobytes() == original.apply(log[at:]).tobytes()
    assert restored.encoded() == original.encoded()


@pytest.mark.parametrize("temper", TEMPERS, ids=lambda temper: temper.name)
def test_long_logs_go_on_the_same_from_a_restored_state(temper: Temper) -> None:
    log = long_log(temper, seed=2, transactions=2_000)
    original = Kernel(WITH_LARGE)
    for begin in range(0, len(log), 307):
        restored = original.restored()
        assert restored.apply(log[begin : begin + 307]).tobytes() == original.apply(log[begin : begin + 307]).tobytes()
        assert restored.encoded() == original.encoded()


@drawn
@given(payments=payment_lists(), data=st.data())
def test_a_state_forgets_the_order_in_which_it_learned(payments: list[Payment], data: st.DataObject) -> None:
    # Only "the last amount" asks for the order, and only among the newest of equal time: make these alike. Devices ask for it always.
    newest = max(payment.event_time for payment in payments)
    alike = [replace(payment, device_id=None, amount=7 if payment.event_time == newest else payment.amount) for payment in payments]
    labels: Log = [Chargeback.of(payment, payment.event_time, True) for payment in data.draw(st.lists(st.sampled_from(alike), max_size=5))]
    anywhere = data.draw(st.permutations([*alike, *labels]))
    assert _one_key([*alike, *labels]).encoded() == _one_key(anywhere).encoded()


@every_set
def test_the_products_oracle_takes_the_same_windows_from_the_definitions(
    feature_set: FeatureSet, extra: dict[str, OracleWindow] | None
) -> None:
    large = [(percent, window.name) for percent, window in feature_set.large]
    taken, stated = Oracle.of(feature_set), restated(feature_set.devices, extra, large)
    assert (taken.amount_windows, taken.fraud_windows) == (stated.amount_windows, stated.fraud_windows)
    assert (taken.with_devices, taken.large) == (stated.with_devices, stated.large)


def _one_key(log: Log) -> Kernel:
    kernel = Kernel(V1)
    kernel.apply([replace(record, user_id="u", merchant_id="m") for record in log])
    return kernel


@drawn
@given(log=logs())
def test_what_is_too_late_is_told(log: Log) -> None:
    kernel, oracle = Kernel(V1), restated()
    kernel.apply(log)
    for record in log:
        follow(oracle, record)
    assert kernel.too_late["user"] == sum(user.too_late for user in oracle.users.values())
    assert kernel.too_late["merchant"] == sum(merchant.too_late for merchant in oracle.merchants.values())


@drawn
@given(log=logs())
def test_what_people_look_up_is_as_of_the_last_event(log: Log) -> None:
    kernel, oracle = Kernel(V1), restated()
    kernel.apply(log)
    for record in log:
        follow(oracle, record)
    state = kernel.states["user"]
    users = sorted({payment.user_id for payment in payments_of(log)})
    slots = state.slots(users)
    nothing = np.zeros(len(slots), np.int64)
    features = state.observe(slots, state.anchors(slots), nothing, nothing)
    counts, amounts = state.totals(slots)
    names = [feature.name for feature in V1.of("user")]
    for i, user in enumerate(users):
        summary = oracle.summary(user)
        assert features[i, names.index("user_tx_count_30d")] == summary.count_30d
        mean = as_float32(summary.mean_30d)
        assert np.array_equal(features[i, names.index("user_mean_amount_30d")], np.float32(mean), equal_nan=True)
        assert (counts[i], amounts[i] / counts[i]) == (summary.count, summary.mean)
