"""An aligned replay has one order, however its records are spread over partitions, arrive, and are taken up again after a crash."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from features.definitions import HOUR
from features.errors import UserError
from features.history.log import HistoryLog, vectors
from streams.delivery.sent_replays import SentReplay, replays_among
from streams.ingest import Routed, ingest, reapply
from streams.messages.batches import Batch
from streams.messages.headers import mark_of
from streams.messages.partitioner import partition_of
from streams.messages.record import LogRecord
from streams.replay.aligned import merge as aligned
from streams.replay.aligned.merge import Merge, Turn, begin_after
from streams.score import advance
from streams.state.merchants import ScoreState
from streams.state.users import IngestState
from tests.made.records import FRAUD_V1, ingest_state, received, transaction
from tests.made.records_of_tables import as_table, history
from tests.made.seal import SEAL, last_mark, marked

NAME = "replay"
CHANCE = st.integers(0, 2**32).map(Random)
Log = dict[int, list[LogRecord]]


def spread(homes: Sequence[int], partitions: int, others: Sequence[int] = ()) -> Log:
    """Record i of a replay on partition ``homes[i]``, its end on each; ``others`` are places among all before which a stranger comes in."""
    log: Log = {number: [] for number in range(partitions)}
    for seq, home in enumerate(homes):
        for _ in range(others.count(seq)):
            put(log, home)
        put(log, home, (NAME, seq))
    for number in log:
        log[number].append(last_mark(len(log[number]), NAME, len(homes), number))
    return log


COPY = ("by", b"somebody")


def with_copies(log: Log, chance: Random) -> Log:
    """The log where somebody has sent records of it again, to their partition or another, even behind the end."""
    copied: Log = {number: [] for number in log}
    for number, records in log.items():
        for record in records:
            copied[number].append(record)
            if chance.random() < 0.3:
                copy = chance.choice(copied[chance.choice([number, *log])] or records[:1])
                copied[number].append(structs.replace(copy, headers=[*copy.headers, COPY]))
    return {number: [structs.replace(record, offset=at) for at, record in enumerate(records)] for number, records in copied.items()}


def put(log: Log, partition: int, mark: tuple[str, int] | None = None) -> None:
    record = LogRecord(len(log[partition]), 0, b"u", b"{}", [])
    log[partition].append(record if mark is None else marked(record, *mark, partition))


def begun(log: Log, positions: dict[int, int]) -> int | None:
    """As INGEST finds it in the log when it starts."""
    return begin_after([replays_among(log[number][:position], number, SEAL).get(NAME) for number, position in positions.items()])


def places(turn: Turn) -> list[int]:
    """The replay's records of a turn, in its order."""
    of_replay = [
        (place, mark_of(record, number, SEAL))
        for number, read in turn.records.items()
        for place, record in zip(turn.places[number].tolist(), read, strict=True)
        if COPY not in record.headers
    ]
    return [mark.seq for _, mark in sorted(of_replay, key=lambda pair: pair[0]) if mark is not None and not mark.is_last]


@given(st.integers(1, 4), st.integers(0, 40), CHANCE)
@settings(deadline=None)
def test_any_spread_arrival_and_crash_gives_the_one_order(partitions: int, n: int, chance: Random) -> None:
    homes = chance.choices(range(partitions), k=n)
    log = with_copies(spread(homes, partitions, others=chance.choices(range(41), k=5)), chance)
    sent: list[int] = []
    for cut in lives(log, chance, lambda turn, begin: send(turn, begin, sent)):
        assert all(cut[number] <= len(records) for number, records in log.items())
    assert sent == list(range(n))


def send(turn: Turn, begin: int, sent: list[int]) -> None:
    """Notes a turn's records; what was said before counts once."""
    here = places(turn)
    assert here == list(range(here[0], here[0] + len(here))) if here else True
    assert not here or here[0] >= begin
    sent += [seq for seq in here if seq >= len(sent)]


def lives(log: Log, chance: Random, take: Callable[[Turn, int], None]) -> Iterator[dict[int, int]]:
    """Processes one after the other, each killed after some turns, the last of which were not committed; yields where each begins."""
    committed = dict.fromkeys(log, 0)
    while (begin := begun(log, committed)) is not None:
        yield committed
        until, cuts = chance.randint(1, 12), [committed]
        for turn in life(log, committed, begin, chance):
            take(turn, begin)
            cuts.append({**cuts[-1], **{number: read[-1].offset + 1 for number, read in turn.records.items()}})
            if len(cuts) > until:
                committed = cuts[max(0, len(cuts) - 1 - chance.randint(1, 2))]
                break
        else:
            committed = cuts[-1]


def life(log: Log, positions: dict[int, int], begin: int, chance: Random) -> Iterator[Turn]:
    """The turns of one process, as records arrive in any interleaving."""
    merge, read = Merge(NAME, log, SEAL, begin), dict(positions)
    while not merge.ended:
        number = chance.choice(merge.wanted() or [0])
        until = min(read[number] + chance.randint(0, 6), len(log[number]))
        merge.feed(number, log[number][read[number] : until])
        read[number] = until
        turn = merge.take(chance.randint(1, 9))
        if turn is not None:
            yield turn


def test_a_turn_takes_what_follows_and_waits_for_what_is_missing() -> None:
    #   partition 0:  0     2  3           end
    #   partition 1:     1           4  5  end
    log = spread([0, 1, 0, 0, 1, 1], 2)
    merge = Merge(NAME, (0, 1), SEAL)
    merge.feed(0, log[0][:3])
    assert places(merge.take(10)) == [0]  # type: ignore[arg-type]
    assert merge.take(10) is None
    merge.feed(1, log[1][:2])
    assert places(merge.take(10)) == [1, 2, 3, 4]  # type: ignore[arg-type]
    merge.feed(0, log[0][3:])
    assert merge.take(10) is None
    merge.feed(1, log[1][2:])
    assert places(merge.take(1)) == [5]  # type: ignore[arg-type]
    assert not merge.ended
    turn = merge.take(1)
    assert turn is not None
    assert {number: len(read) for number, read in turn.records.items()} == {0: 1, 1: 1}
    assert merge.ended


def test_a_partition_that_has_nothing_to_say_is_not_waited_for() -> None:
    merge = Merge(NAME, (0, 1, 2), SEAL)
    merge.feed(1, spread([1] * 5, 3)[1][:5])
    assert places(merge.take(100)) == [0, 1, 2, 3, 4]  # type: ignore[arg-type]


def test_one_partition_far_ahead_is_left_alone_while_others_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aligned, "_MOST_RECORDS", 10)
    # The last record of the cold partition comes first of all.
    log = spread([1] + [0] * 100 + [1], 2)
    merge, read, most = Merge(NAME, log, SEAL), dict.fromkeys(log, 0), 0
    seen: list[int] = []
    while not merge.ended:
        for number in merge.wanted():
            if number == 1 and read[0] < 10:
                continue
            merge.feed(number, log[number][read[number] : read[number] + 4])
            read[number] = min(read[number] + 4, len(log[number]))
        most = max(most, read[0] - sum(seq in range(1, 101) for seq in seen))
        while (turn := merge.take(7)) is not None:
            seen += places(turn)
    assert seen == list(range(102))
    assert most <= 13


def test_large_records_fill_a_partition_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aligned, "_MOST_BYTES", 1_000)
    log = spread([1, 0, 0], 2)
    merge = Merge(NAME, log, SEAL)
    merge.feed(0, [structs.replace(log[0][0], value=bytes(1_000))])
    assert merge.wanted() == [1]
    merge.feed(1, log[1][:1])
    merge.take(10)
    assert merge.wanted() == [0, 1]


def test_a_record_that_is_missing_is_told_instead_of_waited_for() -> None:
    log = spread([0, 1, 0, 1], 2)
    merge = Merge(NAME, log, SEAL)
    merge.feed(0, log[0])
    merge.feed(1, log[1][1:])
    assert places(merge.take(10)) == [0]  # type: ignore[arg-type]
    with pytest.raises(UserError, match="record 1 of the aligned replay replay is missing"):
        merge.take(10)


def test_positions_that_are_no_cut_are_said_again_first() -> None:
    log = spread([0, 1, 0, 1, 0], 2)
    # What came before 4 was all said, but partition 0 is read again from the beginning.
    merge = Merge(NAME, log, SEAL, begin=4)
    merge.feed(0, log[0])
    assert places(merge.take(10)) == [0, 2, 4]  # type: ignore[arg-type]


def test_strangers_stay_where_they_stand_and_are_counted() -> None:
    log = spread([0, 1, 0], 2, others=[0, 2, 2])
    put(log, 0)
    put(log, 1, ("another", 7))
    log[1].insert(0, log[1].pop())
    merge = Merge(NAME, log, SEAL)
    for number in log:
        merge.feed(number, log[number])
    turn = merge.take(10)
    assert turn is not None
    assert turn.records == log
    assert turn.places[0].tolist() == [-1, 0, 0, 0, 2, 3, 3]
    # What comes behind the end is live traffic.
    assert merge.others == 4


def test_a_replay_is_taken_up_where_it_was_left() -> None:
    assert begin_after([None, None]) == 0
    assert begin_after([SentReplay(7), None]) == 8
    assert begin_after([SentReplay(9, ended_at=20), SentReplay(8)]) == 10
    assert begin_after([SentReplay(9, ended_at=20), SentReplay(9, ended_at=0)]) is None


def test_the_end_of_a_replay_leaves_no_row_and_no_gap() -> None:
    records = [transaction(0), last_mark(1, NAME, 1), transaction(2)]
    state, counts = ingest_state(), Counter[str]()
    sent = ingest([(state, records[:2])], counts) + ingest([(state, records[2:])], counts)
    (first, second) = received(sent)
    assert [*first.rows["offset"].to_pylist(), *second.rows["offset"].to_pylist()] == [0, 2]
    assert second.previous == {0: 0}
    assert counts.total() == 0


SOURCES, TARGETS = 3, 2


def replayed(records: Sequence[LogRecord]) -> Log:
    """A history as its aligned replay lies on the partitions."""
    log: Log = {number: [] for number in range(SOURCES)}
    for seq, record in enumerate(records):
        number = partition_of(record.key or b"", SOURCES)
        home = log[number]
        home.append(marked(structs.replace(record, offset=len(home)), NAME, seq, number))
    for number in log:
        log[number].append(last_mark(len(log[number]), NAME, len(records), number))
    assert all(len(home) > 5 for home in log.values())
    return log


# Many share their moment, transactions with transactions and with labels.
HISTORY = history(80, users=9, tick=8 * HOUR)
LOG, TABLE = replayed(HISTORY), as_table(HISTORY)


@given(CHANCE)
@settings(max_examples=40, deadline=None)
def test_vectors_are_the_historys_over_several_partitions_and_crashes(chance: Random) -> None:
    bus: list[Routed] = []
    sent: list[Routed] = []
    states: dict[int, IngestState] = {}

    def take(turn: Turn, _begin: int) -> None:
        sent[:] = ingest([(states[number], read) for number, read in turn.records.items()], Counter(), list(turn.places.values()))
        bus.extend(sent)

    for committed in lives(LOG, chance, take):
        # Killed while it sent: what came last is lost.
        del bus[len(bus) - chance.randint(0, len(sent)) :]
        for number, position in committed.items():
            states[number] = ingest_state(TARGETS, number, SOURCES)
            if position:
                reapply(states[number], LOG[number][:position])
    seen: dict[str, bytes] = {}
    for target in range(TARGETS):
        state, counts = ScoreState(FRAUD_V1, TARGETS, SOURCES, "EUR"), Counter[str]()
        for read in in_pieces(received(bus, target), chance):
            observed = advance([(state, read)], counts)
            seen |= dict(zip(observed.rows["transaction_id"].to_pylist(), map(np.ndarray.tobytes, observed.vectors), strict=True))
        assert counts["gaps"] == counts["late"] == 0
    expected = vectors(HistoryLog.from_table(TABLE), FRAUD_V1)
    assert seen == dict(zip(TABLE["transaction_id"].to_pylist(), map(np.ndarray.tobytes, expected), strict=True))


def in_pieces(read: list[Batch], chance: Random) -> Iterator[list[Batch]]:
    while read:
        n = chance.randint(1, 4)
        yield read[:n]
        read = read[n:]
