"""Whether a Kafka broker answers, asked in Kafka's own protocol on a plain connection.

Clients are built in ``streams/kafka`` alone, which infra can't import; and a service that comes up is asked twenty times a second, for
which a client with threads and retries of its own would be much.
"""

import socket
import struct
from typing import NamedTuple

_METADATA, _VERSION = 3, 4
_MOST_BYTES = 16 << 20


class Cluster(NamedTuple):
    """What a broker says of its cluster."""

    brokers: int
    id: str | None


def ask(servers: str, timeout: float) -> Cluster | None:
    """What the first of the servers (host:port[,host:port…]) that answers says; None if none does within ``timeout`` seconds each."""
    for server in servers.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout) as connection:
                connection.settimeout(timeout)
                connection.sendall(_request())
                (size,) = struct.unpack(">i", _read(connection, 4))
                if not 0 < size <= _MOST_BYTES:
                    continue
                return _cluster(_read(connection, size))
        except (OSError, ValueError, struct.error):
            continue
    return None


def _request() -> bytes:
    """Metadata of no topic: the header (key, version, correlation, client id), no topics, and none to be created."""
    client = b"tidemark"
    body = struct.pack(f">hhih{len(client)}si?", _METADATA, _VERSION, 1, len(client), client, 0, False)
    return struct.pack(">i", len(body)) + body


def _cluster(answer: bytes) -> Cluster:
    """Correlation and throttle time; the brokers, each an id, host, port and rack; the cluster's id."""
    (brokers,) = struct.unpack_from(">i", answer, 8)
    at = 12
    for _ in range(brokers):
        _, at = _string(answer, at + 4)
        _, at = _string(answer, at + 4)
    return Cluster(brokers, _string(answer, at)[0])


def _string(answer: bytes, at: int) -> tuple[str | None, int]:
    (length,) = struct.unpack_from(">h", answer, at)
    end = at + 2 + max(0, length)
    if end > len(answer):
        raise ValueError("the answer ends too early")
    return (None if length < 0 else answer[at + 2 : end].decode()), end


def _read(connection: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        more = connection.recv(size - len(got))
        if not more:
            raise OSError("the connection was closed")
        got += more
    return got
