"""What a process has to know comes by a pipe, and what it writes shows no password of an address."""

import logging
import subprocess
import sys

import pytest

from features.errors import UserError, redacted
from streams.config import DeploymentConfig
from streams.workers import handover
from streams.workers.logs import Redacting

CONFIG = DeploymentConfig(kafka="k:1", redis="redis://:word@r/0", mlflow="m", feast_repo="/f", kafka_security={"sasl.password": "word"})
PRINT = "from streams.workers.handover import receive; from streams.config import DeploymentConfig as C; c = receive(C); "


def test_a_process_gets_the_value_and_its_command_line_does_not_have_it() -> None:
    process = handover.start([sys.executable, "-c", PRINT + "print(c.redis, c.kafka_security)"], CONFIG, stdout=subprocess.PIPE)
    out, _ = process.communicate(timeout=60)
    assert out.decode().strip() == "redis://:word@r/0 {'sasl.password': 'word'}"
    assert "word" not in str(process.args)


def test_a_process_that_ends_before_it_reads_is_noticed_by_its_status() -> None:
    process = handover.start([sys.executable, "-S", "-c", "raise SystemExit(3)"], CONFIG)
    assert process.wait(60) == 3


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://user:word@host:6379/0 fails", "redis://user:***@host:6379/0 fails"),
        ("redis://:word@host", "redis://:***@host"),
        ("(https://me:w@rd@host/x)", "(https://me:***@host/x)"),
        ("postgresql+psycopg2://u:p@h/db and redis://u:p@h", "postgresql+psycopg2://u:***@h/db and redis://u:***@h"),
        ("http://host:5000/models:/tidemark@champion", "http://host:5000/models:/tidemark@champion"),
        ("models:/tidemark@champion", "models:/tidemark@champion"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis://host:6379/0?password=word&db=1", "redis://host:6379/0?password=***&db=1"),
        ("Kafka at me:word@host:9092 takes no connection", "Kafka at me:***@host:9092 takes no connection"),
        ("mail me@host: done", "mail me@host: done"),
    ],
)
def test_passwords_in_addresses_are_masked_and_nothing_else_is(text: str, shown: str) -> None:
    assert redacted(text) == shown
    assert str(UserError(text)) == shown


def test_a_log_shows_no_password_not_even_in_a_traceback() -> None:
    try:
        raise ValueError("no answer from http://me:word@host/api")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "at %s", ("redis://:word@host",), sys.exc_info())
    written = Redacting("%(message)s").format(record)
    assert ":word@" not in written
    assert "redis://:***@host" in written
    assert "http://me:***@host/api" in written
