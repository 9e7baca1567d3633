"""Whether a broker answers, asked without a client. A real broker, and one behind TLS or SASL: test_services, test_security_on_a_broker."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from infra.local import kafka, kafka_probe
from infra.local.kafka_probe import Cluster


def string(text: str | None) -> bytes:
    return struct.pack(">h", -1) if text is None else struct.pack(">h", len(text)) + text.encode()


def metadata(*brokers: str, cluster: str | None) -> bytes:
    """What a broker answers: correlation, throttle time, brokers, the cluster's id, and more that nobody reads."""
    each = b"".join(struct.pack(">i", 1) + string(host) + struct.pack(">i", 9092) + string(None) for host in brokers)
    return struct.pack(">iii", 1, 0, len(brokers)) + each + string(cluster) + b"\0" * 8


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """Somebody who takes one request, says this and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4_096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join(5)


def framed(answer: bytes) -> bytes:
    return struct.pack(">i", len(answer)) + answer


def test_a_broker_names_its_cluster() -> None:
    with answering(framed(metadata("a", "b.example", cluster="id-1"))) as address:
        assert kafka_probe.ask(f"127.0.0.1:1,{address}", 5.0) == Cluster(2, "id-1")


@pytest.mark.parametrize(("cluster", "answers"), [(None, True), ("id-1", True), ("another", False)])
def test_a_broker_of_another_cluster_is_not_ours(cluster: str | None, answers: bool) -> None:
    with answering(framed(metadata("a", cluster="id-1"))) as address:
        assert kafka.answers(address, 5.0, cluster) is answers


def test_a_broker_that_knows_no_broker_yet_does_not_answer() -> None:
    with answering(framed(metadata(cluster="id-1"))) as address:
        assert not kafka.answers(address, 5.0)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n", framed(b"\0" * 8), framed(metadata("a", cluster="x")[:20])])
def test_whoever_speaks_otherwise_is_no_broker(answer: bytes) -> None:
    with answering(answer) as address:
        assert kafka_probe.ask(address, 1.0) is None


@pytest.mark.parametrize("servers", ["127.0.0.1:1", "nonsense", "127.0.0.1:port", ""])
def test_nobody_there_is_no_broker(servers: str) -> None:
    assert kafka_probe.ask(servers, 1.0) is None
