"""Where SCORE was, by what it has sent: nothing that it sent is sent again, and nothing is passed over."""

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from features.arrays import RecordKind
from streams.delivery.restored_positions import gaps_in, scored_up_to
from streams.messages.batches import Batch
from streams.messages.record import LogRecord
from streams.score import admit
from streams.state.merchants import Gap, ScoreState
from tests.made.records import FRAUD_V1, ingest_state, label, received, routed, transaction

KINDS = st.lists(st.sampled_from(["transaction", "label", "refused"]), min_size=1, max_size=12)


def log(kinds: list[str]) -> list[LogRecord]:
    made: list[LogRecord] = []
    for offset, kind in enumerate(kinds):
        one = transaction(offset)
        made.append({"transaction": one, "label": label(offset, one, 1_700_900_000_000), "refused": structs.replace(one, value=b"{")}[kind])
    return made


def batches_of(records: list[LogRecord], stretches: list[tuple[int, int]]) -> list[Batch]:
    """One batch a record, then some stretches of them once more, as after a restart of INGEST."""
    once = received(routed(ingest_state(), records, range(len(records))))
    order = [*once, *(batch for begin, length in stretches for batch in once[begin : begin + length])]
    return [replace(batch, position=(0, number)) for number, batch in enumerate(order)]


def new_state() -> ScoreState:
    return ScoreState(FRAUD_V1, partitions=1, sources=1, currency="EUR")


@settings(deadline=None)  # the first call compiles the kernel
@given(KINDS, st.lists(st.tuples(st.integers(0, 11), st.integers(1, 4)), max_size=3), st.data())
def test_score_goes_on_behind_all_that_it_has_sent(kinds: list[str], again: list[tuple[int, int]], data: st.DataObject) -> None:
    read = batches_of(log(kinds), again)
    done = data.draw(st.integers(0, len(read)))
    # It decides what it admits, and refuses what INGEST has refused.
    state, logged, refused, sends = new_state(), 0, set(), []
    for batch in read:
        rows = admit(state, batch, Counter()).rows
        kind, offsets = rows["kind"].to_pylist(), rows["offset"].to_pylist()
        sends.append(any(of_row != RecordKind.LABEL for of_row in kind))
        if batch.position[1] < done:
            logged = batch.position[1] + 1 if RecordKind.TRANSACTION in kind else logged
            refused |= {(0, offset) for of_row, offset in zip(kind, offsets, strict=True) if of_row == RecordKind.REFUSED}
    position = scored_up_to(read, new_state(), logged, refused)
    assert position <= done, "nothing is passed over"
    assert not any(sends[position:done]), "nothing is sent again"


def test_rows_that_never_came_are_an_open_gap() -> None:
    read = batches_of(log(["transaction"] * 6), [])
    assert gaps_in(read, new_state()) == {}
    assert gaps_in(read[:2] + read[3:], new_state()) == {0: Gap(1, 3, 5)}
    assert gaps_in(read[:2] + read[3:] + read[2:], new_state()) == {}
