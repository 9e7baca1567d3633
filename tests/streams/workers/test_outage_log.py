"""What four stages' clients say of one outage is one line in ten seconds; all else passes."""

import logging
from collections.abc import Iterator

import pytest

from streams.workers.outage_log import SayOutagesOnce, Turn


@pytest.fixture
def turn(monkeypatch: pytest.MonkeyPatch) -> Iterator[Turn]:
    made = Turn()
    for name, value in made.environment().items():
        monkeypatch.setenv(name, value)
    yield made
    made.close()


def record(text: str, name: str = "aiokafka.client", level: int = logging.ERROR) -> logging.LogRecord:
    return logging.LogRecord(name, level, __file__, 1, text, (), None)


REFUSED = "Unable connect to node with id 1: [Errno 111] Connect call failed"


@pytest.mark.usefixtures("turn")
def test_the_watchdog_is_silent_of_it_too_and_of_nothing_else() -> None:
    stage = SayOutagesOnce("k:1", clock=lambda: 100.0)
    assert stage.filter(record(REFUSED))
    watchdog = "streams.kafka.watchdog"
    assert not stage.filter(record("the watchdog could not look: KafkaError{code=_TIMED_OUT, Timed out}", watchdog, logging.INFO))
    stranger = record("group g has members that are no Tidemark workers ('kafka-connect')", watchdog)
    assert stage.filter(stranger)
    assert stranger.getMessage().startswith("group g has members")


@pytest.mark.usefixtures("turn")
def test_of_all_stages_one_says_it_in_ten_seconds() -> None:
    now = 100.0
    stages = [SayOutagesOnce("k:1", clock=lambda: now) for _ in range(4)]
    said = []
    for second in range(25):
        now = 100.0 + second
        said += [
            text.getMessage()
            for stage in stages
            for text in (record(REFUSED), record("2/2 brokers are down", "streams.kafka.librdkafka"))
            if stage.filter(text)
        ]
    assert said == [f"Kafka at k:1 can't be reached now: {REFUSED}"] * 3


@pytest.mark.usefixtures("turn")
@pytest.mark.parametrize(
    "text",
    [REFUSED, "Heartbeat failed: local member_id was not recognized", "Failed fetch messages from 1: NodeNotReadyError", "x timed out"],
)
def test_what_an_outage_makes_clients_say_is_a_warning_of_it(text: str) -> None:
    said = record(text)
    assert SayOutagesOnce("k:1").filter(said)
    assert said.levelno == logging.WARNING
    assert said.getMessage().startswith("Kafka at k:1 can't be reached now: ")


@pytest.mark.usefixtures("turn")
@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Topic transactions is not authorized", "aiokafka.client"),
        ("stage score: Kafka at k:1 doesn't answer", "streams.workers.worker"),
        ("can't connect", "streams.online"),
    ],
)
def test_everything_else_passes_as_it_is(text: str, name: str) -> None:
    stage = SayOutagesOnce("k:1")
    for _ in range(3):
        said = record(text, name)
        assert stage.filter(said)
        assert (said.getMessage(), said.levelno) == (text, logging.ERROR)


def test_without_a_worker_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIDEMARK_OUTAGE_TURN", raising=False)
    assert SayOutagesOnce("k:1").filter(record(REFUSED))
    monkeypatch.setenv("TIDEMARK_OUTAGE_TURN", "9999")
    assert SayOutagesOnce("k:1").filter(record(REFUSED))
