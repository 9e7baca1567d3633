"""Who holds a partition's last stable offset back: its producers with an open transaction, as the broker knows them.

No Python client offers Kafka's DescribeProducers and ListTransactions, so this speaks them, on a plain connection.
"""

import socket
import struct
from typing import NamedTuple

_DESCRIBE_PRODUCERS, _LIST_TRANSACTIONS, _VERSION = 61, 66, 0

Broker = tuple[str, int]
"""Host and port."""


class OpenTransaction(NamedTuple):
    """A transaction that was begun on the partition and neither committed nor aborted."""

    producer_id: int
    start_offset: int


def open_transactions(leader: Broker, topic: str, partition: int, timeout: float = 5.0) -> list[OpenTransaction]:
    """The open transactions of a partition, as its leader reports them. Raises OSError if it can't be asked, or refuses."""
    body = b"\x02" + _string(topic) + b"\x02" + struct.pack(">i", partition) + b"\0\0"
    answer = _ask(leader, _DESCRIBE_PRODUCERS, body, timeout)
    answer.take(">i")
    found = []
    for _ in range(answer.varint() - 1):
        answer.string()
        for _ in range(answer.varint() - 1):
            _, error = answer.take(">ih")
            said = answer.string()
            if error:
                raise OSError(f"the broker refused to describe the producers of {topic}[{partition}]: error {error} {said}")
            for _ in range(answer.varint() - 1):
                producer_id, _, _, _, _, start = answer.take(">qiiqiq")
                answer.varint()
                if start >= 0:
                    found.append(OpenTransaction(producer_id, start))
            answer.varint()
        answer.varint()
    return found


def transactional_ids(broker: Broker, timeout: float = 5.0) -> dict[int, str]:
    """The transactional.id of each producer whose transactions this broker coordinates, by producer id. Raises OSError if it can't be
    asked, or refuses."""
    answer = _ask(broker, _LIST_TRANSACTIONS, b"\x01\x01\0", timeout)
    _, error = answer.take(">ih")
    if error:
        raise OSError(f"the broker refused to list its transactions: error {error}")
    for _ in range(answer.varint() - 1):
        answer.string()
    found = {}
    for _ in range(answer.varint() - 1):
        name = answer.string()
        (producer_id,) = answer.take(">q")
        answer.string()
        answer.varint()
        found[producer_id] = name
    return found


def _ask(broker: Broker, api: int, body: bytes, timeout: float) -> "_Answer":
    """What the broker answers, behind the header."""
    request = struct.pack(">hhih", api, _VERSION, 1, -1) + b"\0" + body
    with socket.create_connection(broker, timeout) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        answer = _Answer(_read(connection, struct.unpack(">i", _read(connection, 4))[0]))
    answer.take(">i")
    answer.varint()
    return answer


class _Answer:
    def __init__(self, raw: bytes) -> None:
        self._raw, self._at = raw, 0

    def take(self, shape: str) -> tuple[int, ...]:
        values = struct.unpack_from(shape, self._raw, self._at)
        self._at += struct.calcsize(shape)
        return values

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._raw[self._at]
            self._at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def string(self) -> str:
        length = self.varint() - 1
        begin, self._at = self._at, self._at + max(0, length)
        return self._raw[begin : self._at].decode()


def _string(text: str) -> bytes:
    encoded = text.encode()
    return _varint(len(encoded) + 1) + encoded


def _varint(value: int) -> bytes:
    out = b""
    while value >= 128:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def _read(connection: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        more = connection.recv(size - len(got))
        if not more:
            raise OSError("the broker closed the connection")
        got += more
    return got
