from itertools import count

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from streams.metrics.catalogue import DECISION_BOUNDS, DECISION_SECONDS, STAGE_LAG, STAGE_RECORDS
from streams.metrics.prometheus_collectors import Families, histogram
from streams.metrics.tally import Tally

SECONDS = st.one_of(st.floats(-1, 100, allow_nan=False), st.sampled_from(DECISION_BOUNDS))


NUMBER = count()


class One:
    """A collector of one figure."""

    def __init__(self, tally: Tally, stage: str) -> None:
        self.tally, self.stage = tally, stage

    def collect(self) -> list[object]:
        return list(Families().of([(DECISION_SECONDS, (self.stage,), self.tally)]))


@given(st.lists(st.lists(SECONDS, max_size=20), max_size=5))
def test_a_tally_is_what_the_librarys_histogram_is(batches: list[list[float]]) -> None:
    ours, theirs, tally = CollectorRegistry(), CollectorRegistry(), Tally(DECISION_BOUNDS)
    # Where Feast was imported first, the library's values outlive their registry (Feast sets PROMETHEUS_MULTIPROCESS_DIR): each has a name.
    stage = f"stage {next(NUMBER)}"
    one_by_one = histogram(DECISION_SECONDS, theirs).labels(stage)
    for batch in batches:
        # Whole eighths of milliseconds add up without an error that would depend on the order.
        values = [round(value * 8_000) / 8_000 if value not in DECISION_BOUNDS else value for value in batch]
        tally.add(np.array(values, np.float64))
        for value in values:
            one_by_one.observe(value)
    ours.register(One(tally, stage))  # type: ignore[arg-type]

    def lines(registry: CollectorRegistry) -> list[str]:
        return [line for line in generate_latest(registry).decode().splitlines() if "_bucket" in line or "_count" in line]

    assert lines(ours) == lines(theirs)
    assert np.isclose(tally.sum, sum(sum(round(v * 8_000) / 8_000 if v not in DECISION_BOUNDS else v for v in b) for b in batches))


@given(st.lists(st.text(max_size=5), min_size=1, max_size=400))
def test_however_many_values_a_label_has_so_many_are_served_and_none_is_lost(values: list[str]) -> None:
    families = Families()
    for _ in range(2):
        (family,) = families.of((STAGE_RECORDS, ("ingest", value), 1) for value in values)
        assert len(family.samples) <= STAGE_RECORDS.most_series
        assert sum(sample.value for sample in family.samples) == len(values)
        assert len({tuple(sample.labels.items()) for sample in family.samples}) == len(family.samples)


def test_of_too_many_partitions_the_lag_is_still_whole() -> None:
    (family,) = Families().of((STAGE_LAG, ("ingest", str(number)), 2) for number in range(1_000))
    assert len(family.samples) == STAGE_LAG.labels[1].most + 1
    assert sum(sample.value for sample in family.samples) == 2_000
