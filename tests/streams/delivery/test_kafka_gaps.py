"""A gap ends SCORE once it is certain that nobody fills it, and not before."""

import logging
from typing import Any, cast

import pytest

from features.errors import UserError
from streams.delivery.kafka_gaps import PATIENCE_S, GapWatch
from streams.kafka.log import KafkaLog
from streams.state.merchants import Gap

GAP = Gap(applied=40, first=43, last=43)


class Logs:
    """Both groups' logs: INGEST's position on transactions[1], and how far transactions.by-merchant[2] goes."""

    def __init__(self) -> None:
        self.ingested, self.end = 43, 100
        self.asked = 0

    def committed(self, topic: str, partition: int) -> int:
        assert (topic, partition) == ("transactions", 1)
        self.asked += 1
        return self.ingested

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        assert (topic, partition) == ("transactions.by-merchant", 2)
        return 0, self.end

    def has_records(self, topic: str, partition: int, begin: int) -> bool:
        return begin < self.end


class World:
    """A watch that is looked at each second."""

    def __init__(self) -> None:
        self.logs, self.now = Logs(), 1_000.0
        log = cast(KafkaLog, self.logs)
        self._watch = GapWatch(log, log, clock=lambda: self.now)

    def look(self, seconds: int, gap: Gap | None, position: int) -> None:
        for _ in range(seconds):
            self.now += 1.0
            self._watch.look({2: {} if gap is None else {1: gap}}, {2: position})


@pytest.fixture
def world() -> World:
    return World()


PATIENCE = round(PATIENCE_S)


def test_what_ingest_has_passed_and_nobody_sent_is_lost(world: World) -> None:
    world.logs.ingested = 44
    world.look(PATIENCE, GAP, 100)
    with pytest.raises(
        UserError, match=r"transactions\.by-merchant\[2\] lacks rows of transactions\[1\] between offsets 40 and 43.*restore`"
    ):
        world.look(3, GAP, 100)


def test_a_gap_that_is_filled_in_time_is_nothing(world: World) -> None:
    world.logs.ingested = 44
    for _ in range(5):
        world.look(PATIENCE - 1, GAP, 100)
        world.look(1, None, 100)
    assert world.logs.asked == 0


def test_as_long_as_ingest_has_not_passed_it_the_gap_may_be_filled(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        world.look(600, GAP, 100)
    assert "lacks rows of transactions[1] behind offset 40, which INGEST has yet to send" in caplog.text
    assert len(caplog.records) < 12
    world.logs.ingested = 44
    with pytest.raises(UserError):
        world.look(3, GAP, 100)


def test_what_is_not_read_yet_may_fill_the_gap(world: World) -> None:
    world.logs.ingested, world.logs.end = 44, 5_000
    world.look(600, GAP, 1_000)
    # The log grows on; what counts is what lay there when INGEST had passed the gap.
    world.logs.end = 9_000
    world.look(60, GAP, 4_999)
    with pytest.raises(UserError):
        world.look(2, GAP, 5_000)


def test_what_is_left_out_meanwhile_does_not_put_the_end_off(world: World) -> None:
    world.logs.ingested = 44

    def goes_on() -> None:
        for last in range(43, 43 + 2 * PATIENCE):
            world.look(1, GAP._replace(last=last), 100)

    with pytest.raises(UserError):
        goes_on()


def test_another_gap_has_a_patience_of_its_own(world: World) -> None:
    world.logs.ingested = 1_000
    world.look(PATIENCE - 1, GAP, 100)
    world.look(PATIENCE - 1, Gap(applied=43, first=60, last=60), 100)
    with pytest.raises(UserError, match="between offsets 43 and 60"):
        world.look(5, Gap(applied=43, first=60, last=60), 100)


def test_without_gaps_nobody_is_asked(world: World) -> None:
    cast(Any, world.logs).committed = None
    world.look(100, None, 100)
