"""What a cluster would take, from measured work a transaction."""

import pytest

from tests.benchmarks.figures import cost_model


def layout(tx_per_s: float, ours: float, cpu: dict[str, float]) -> dict[str, object]:
    run = {"tx_per_s": tx_per_s, "cpu_us_per_tx": cpu, "log_bytes_per_tx": {"transactions": 100.0, "decisions": 50.0}}
    return {"tx_per_s": tx_per_s, "our_cpu_us_per_tx": ours, "runs": [run]}


SCALING = {
    "layouts": {
        "1 workers, 1 partitions": layout(40_000.0, 10.0, {"ingest": 4.0, "score": 6.0, "kafka": 2.0}),
        "2 workers, 4 partitions": layout(90_000.0, 12.0, {"ingest": 2.0, "ingest 2": 3.0, "score": 7.0, "kafka": 3.0}),
    }
}


def test_cores_are_work_times_rate_and_brokers_do_it_once_a_replica() -> None:
    found = cost_model.cluster(SCALING, "2 workers, 4 partitions", 1_000_000)
    assert found.cores == {"ingest": 5.0, "score": 7.0, "kafka": 9.0}
    assert found.written_bytes_per_s == 450e6


def test_there_are_partitions_enough_for_the_rate_of_one() -> None:
    assert cost_model.cluster(SCALING, "1 workers, 1 partitions", 1_000_000).partitions == 25
    assert cost_model.cluster(SCALING, "2 workers, 4 partitions", 1_000_001).partitions == 26


def test_growth_is_against_the_first_layout() -> None:
    assert cost_model.growth(SCALING) == {"1 workers, 1 partitions": 1.0, "2 workers, 4 partitions": pytest.approx(1.2)}


def test_a_layout_that_was_not_measured_is_refused() -> None:
    with pytest.raises(KeyError):
        cost_model.cluster(SCALING, "8 workers, 8 partitions", 1_000)
