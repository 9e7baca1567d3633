import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from streams.messages import arrivals
from streams.messages.batches import Batch, arrivals_of


@given(st.lists(st.integers(-1, 2**42), min_size=1))
def test_what_was_encoded_is_decoded(timestamps: list[int]) -> None:
    assert arrivals.decode(arrivals.encode(np.array(timestamps))).tolist() == timestamps


def test_rows_that_came_together_are_said_together() -> None:
    assert arrivals.encode(np.array([1_700_000_000_000] * 5 + [1_700_000_000_003] * 2)) == b"1700000000000:5,3:2"


def rows(places: list[tuple[int, int]]) -> pa.RecordBatch:
    source, offset = zip(*places, strict=True) if places else ((), ())
    return pa.RecordBatch.from_pydict({"source": pa.array(source, pa.int32()), "offset": pa.array(offset, pa.int64())})


def came(source: int, offset: int) -> int:
    return 1_000_000 * (source + 1) + offset


@given(st.data())
def test_of_what_was_decided_it_is_known_when_it_came_unless_its_batch_does_not_say(data: st.DataObject) -> None:
    places = data.draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 100)), unique=True))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(places)), max_size=3)))
    read, told = [], set()
    for begin, end in zip([0, *cuts], [*cuts, len(places)], strict=True):
        part = places[begin:end]
        if part and data.draw(st.booleans()):
            told.update(part)
            read.append(Batch(rows(part), {}, (0, 0), arrivals.encode(np.array([came(*place) for place in part]))))
        else:
            read.append(Batch(rows(part), {}, (0, 0)))
    if told:
        # One that is read twice is decided once.
        read.append(read[next(i for i, batch in enumerate(read) if batch.arrived)])
    kept = data.draw(st.lists(st.booleans(), min_size=len(places), max_size=len(places)))
    decided = [place for place, keep in zip(places, kept, strict=True) if keep]
    assert arrivals_of(rows(decided), read).tolist() == [came(*place) for place in decided if place in told]
