"""The benchmarks as they are typed, at its quickest; and the arithmetic behind its figures."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from features.errors import UserError
from tests.benchmarks.commands import bench
from tests.benchmarks.figures import delays, freshness, rates
from tests.benchmarks.figures.hops import Times
from tests.benchmarks.figures.online_lag import behind
from tests.benchmarks.figures.rates import Contents
from tests.benchmarks.figures.sampling import Sample
from tests.benchmarks.measures import scaling, soak
from tests.benchmarks.measures.soak import growth
from tests.run.benchmark import measured


@pytest.mark.slow
def test_stream(tmp_path: Path) -> None:
    found = measured(tmp_path, "stream", "--transactions", "40000", "--quick", "--variants", "exactly_once,replayed,many_keys,garbage")
    assert found["transactions"] == 40_000
    assert found["model"] == {"trees": 200, "max_depth": 5}
    for name in ("exactly_once", "replayed", "many_keys", "garbage"):
        (run,) = found[name]["runs"]
        assert found[name]["tx_per_s"] == found[name]["spread"]["median"] == run["tx_per_s"] > 0
        assert run["decisions"] == run["distinct"] == found[name]["transactions"]
        assert run["dead_letters"] == (round((40_000 + found["labels"]) / 9) if name == "garbage" else 0)
        assert run["by_verdict"].get("review", 0) + run["by_verdict"].get("block", 0) <= 0.02 * 40_000
        assert {"ingest", "score", "kafka", "redis"} <= run["cpu_us_per_tx"].keys()
        assert run["memory_bytes"]["score"] > 50e6
        assert ("online_behind_s" in run) == (name == "replayed")
    assert "replay" in found["replayed"]["runs"][0]["cpu_us_per_tx"]
    assert found["replayed"]["runs"][0]["online_behind_s"].keys() == {"ingest", "score"}
    assert found["many_keys"]["transactions"] == 39_999
    # Without --peers, only the one that needs nothing of its own.
    (run,) = found["bare_loop"]["runs"]
    assert found["bare_loop"]["tx_per_s"] == run["tx_per_s"] > 0
    assert run["records"] == 40_000
    assert {"bare_loop", "kafka"} == run["cpu_us_per_tx"].keys()
    assert "all features" in found["bare_loop"]["leaves_out"]
    assert "peers" not in found


@pytest.mark.slow
def test_latency(tmp_path: Path) -> None:
    found = measured(tmp_path, "latency", "--rates", "200,400", "--seconds", "2", "--warm-up", "1", "--partitions", "2", "--quick")
    assert found["partitions"] == 2
    assert found["setups"]["2 partitions"]["rates"] == found["rates"]
    assert list(found["rates"]) == ["200", "400"]
    for rate, figures in found["rates"].items():
        (run,) = figures["runs"]
        assert run["transactions"] == pytest.approx(2 * int(rate), abs=1)
        assert 0 < run["p50_ms"] <= run["p90_ms"] <= run["p99_ms"] <= run["max_ms"]
        assert figures["p99_ms"] == run["p99_ms"]
        assert all(part["p50_ms"] <= run["max_ms"] for part in run["parts"].values())
        assert {"generator", "consumer", "ingest", "score", "kafka"} <= run["cores"].keys()
        assert 0 < run["online"]["user"]["p50_ms"] <= run["online"]["user"]["max_ms"] == figures["online"]["user"]["max_ms"]
        assert run["online"]["user"]["p50_ms"] < run["online"]["merchant"]["p50_ms"]


@pytest.mark.slow
def test_scaling() -> None:
    found = scaling.run(scaling.Spec(transactions=3_000, layouts=((2, 2),), hot=("merchant",), runs=1), lambda _line: None)
    (run,) = found["layouts"]["2 workers, 2 partitions"]["runs"]
    assert {"ingest", "ingest 2", "score", "score 2"} <= run["cpu_us_per_tx"].keys()
    for figures in (found["layouts"]["2 workers, 2 partitions"], found["hot_key"]["merchant"]):
        assert figures["tx_per_s"] > 0 < figures["our_cpu_us_per_tx"]
        assert figures["runs"][0]["distinct"] == 3_000
        assert {"transactions", "transactions.by-merchant", "decisions", "scoring-log"} <= figures["runs"][0]["log_bytes_per_tx"].keys()
    assert list(found["windows"]) == ["1", "2", "3", "4", "5", "6", "9"]


@pytest.mark.slow
def test_soak() -> None:
    found = soak.run(soak.Spec(rate=500, minutes=0.2, warm_up=0.1, lead_s=4), lambda _line: None)
    assert found["transactions"] == 6_000
    assert {"ingest", "score", "kafka", "redis"} <= found["memory_bytes"].keys() & found["cores"].keys()
    assert all(memory["most"] >= memory["last"] > 1e6 for memory in found["memory_bytes"].values())


def test_keys(tmp_path: Path) -> None:
    found = measured(tmp_path, "keys", "--numbers", "20000")
    for figures in (found["keys"]["20000"], found["typical"]):
        assert figures["us_per_update"] > 0
        # A row and some tiles, and no copy of either.
        assert 200 < figures["bytes_per_key"] < 8_000
        assert 20 < figures["encoded_bytes"] < 1_000


def test_kernel(tmp_path: Path) -> None:
    found = measured(tmp_path, "kernel", "--transactions", "5000", "--runs", "1")
    assert (found["transactions"], found["features"]) == (5_000, "fraud_v1")
    names = (
        "user_updates_per_s",
        "merchant_updates_per_s",
        "scored_rows_per_s",
        "ingest_us_per_tx",
        "advance_us_per_tx",
        "decide_us_per_tx",
    )
    for name in (*names, "backtest_s"):
        assert found[name]["median"] > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("stream", "--data", "x.csv"), "--columns"),
        (("stream", "--variants", "online"), "--variants online"),
        (("stream", "--peers", "faust,storm"), "--peers faust,storm"),
        (("latency", "--rates", "fast"), "--rates fast"),
        (("latency", "--rates", "1000,1000"), "--rates"),
        (("latency", "--rates", "0"), "--rates"),
        (("latency", "--partitions", "4,4"), "--partitions 4,4 must be different whole numbers"),
        (("soak", "--minutes", "5", "--warm-up", "5"), "--warm-up"),
    ],
)
def test_what_can_not_be_measured_is_said(arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(UserError, match=said):
        CliRunner().invoke(bench.program(), [*arguments], catch_exceptions=False)


def sample(at: float, position: int, cpu: float = 0.0) -> Sample:
    return Sample(at, {"score": (position,)}, {"score": cpu, "kafka": cpu / 2}, {"score": int(1e6 * at)}, 2 * cpu)


def test_a_record_is_readable_once_its_partition_is_written_past_it() -> None:
    at, positions = np.array([10.0, 20, 30]), np.array([[0, 0], [2, 0], [2, 5]])
    when = freshness.first_after(at, positions, np.array([0, 0, 1, 1]), np.array([0, 1, 0, 4]))
    assert when.tolist() == [20, 20, 30, 30]
    with pytest.raises(ValueError, match="partition 0"):
        freshness.first_after(at, positions, np.array([0]), np.array([2]))


def test_the_online_store_is_behind_by_the_age_of_the_oldest_record_it_lacks() -> None:
    # Two partitions; the second is never behind. Looked at every second.
    at = np.arange(6.0)
    committed = np.array([[0, 5], [10, 5], [20, 5], [20, 5], [30, 5], [30, 5]])
    written = np.array([[0, 5], [0, 5], [0, 5], [10, 5], [20, 5], [30, 5]])
    # At 1 s, the first ten were committed in the second before; at 3 s the second ten for two; at 4 s the third for one.
    assert np.array_equal(behind(at, committed, written), [0, 1, 2, 2, 1, 0])


def test_the_sustained_rate_leaves_out_how_it_begins_and_ends() -> None:
    # Records of ten transactions each: 100 s idle, then one record a second, and idle again.
    log = Contents(np.arange(100), 10 * np.arange(1, 101))
    samples = [sample(float(at), min(100, max(0, at - 100)), cpu=at / 10) for at in range(250)]
    done = rates.done(samples, "score", [log])
    at = np.array([sample.at for sample in samples])
    window = rates.sustained(at, done)
    assert (window.begin, window.end) == (110, 190)
    assert window.rate == pytest.approx(10)
    assert rates.whole(at, done) == pytest.approx(10)
    costs = rates.costs(samples, window, ["score"])
    assert costs["cpu_us_per_tx"] == {"score": 10_000, "kafka": 5_000}
    assert costs["our_cpu_us_per_tx"] == 10_000
    assert (costs["cores_busy"], costs["cores_busy_by_others"]) == (0.2, 0.05)


def test_one_step_is_taken_as_even() -> None:
    window = rates.sustained(np.array([0.0, 5.0, 6.0, 9.0]), np.array([0, 0, 100, 100]))
    assert (window.begin, window.end) == (pytest.approx(5.1), pytest.approx(5.9))


def test_what_was_done_before_anybody_looked_has_no_rate() -> None:
    with pytest.raises(UserError, match="all 100 transactions were done before the first look at them; say more --transactions"):
        rates.sustained(np.array([0.0, 1.0]), np.array([100, 100]))


def test_gaps_in_offsets_hold_nothing() -> None:
    log = Contents(np.array([3, 4, 9]), np.array([5, 6, 10]))
    assert [log.before(position) for position in (0, 3, 4, 5, 9, 10)] == [0, 0, 5, 6, 6, 10]


def arrivals(**columns: list[Any]) -> pa.Table:
    return pa.table({name: pa.array(values) for name, values in columns.items()})


def test_arrivals_meet_what_was_sent() -> None:
    due = np.array([0.0, 1.0, 2.0])
    arrived = arrivals(transaction_id=["c", "a", "b"])
    assert delays.due_of(arrived, ["a", "b", "c"], due).tolist() == [2.0, 0.0, 1.0]
    for wrong in (["a", "b"], ["a", "b", "b"], ["a", "b", "c", "c"], ["a", "b", "x"]):
        with pytest.raises(UserError, match="3 transactions sent"):
            delays.due_of(arrivals(transaction_id=wrong), ["a", "b", "c"], due)


def test_the_parts_add_up() -> None:
    arrived = arrivals(partition=[1, 0], offset=[7, 5], decided_at=[130, 140], arrived_at=[150.5, 160.5])
    nowhere = np.zeros(2, np.int64)
    times = [
        Times(5, np.array([110]), np.array([120]), nowhere[:1], nowhere[:1]),
        Times(6, np.array([0, 105]), np.array([0, 115]), nowhere, nowhere),
    ]
    due = np.array([100.0, 101.0])
    parts = delays.parts(arrived, due, times)
    assert parts["produce"].tolist() == [5, 9]
    assert parts["ingest"].tolist() == [10, 10]
    assert parts["score_takes_up"].tolist() == [15, 20]
    assert sum(parts.values()).tolist() == [50.5, 59.5]


def test_growth_is_told_from_a_level_with_noise() -> None:
    rng = np.random.default_rng(0)
    level = [Sample(float(at), {}, {}, {"grows": int(1e8 + 1e4 * at), "stays": int(1e8 + rng.normal(0, 1e5))}, 0.0) for at in range(1_000)]
    found = growth(level, 200, 900)
    assert found["grows"]["per_hour"] == pytest.approx(3.6e7, rel=0.01)
    assert found["grows"]["first"] == pytest.approx(1e8 + 1e4 * 212, rel=1e-6)
    assert abs(found["stays"]["per_hour"]) < 2e6
