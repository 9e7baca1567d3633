"""Records that no client library would make, as bytes on the wire."""

import asyncio
from collections.abc import Sequence

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

_TIMEOUT_MS = 10_000


class _RawName(str):
    """A header's name that isn't the UTF-8 of any text."""

    def encode(self, *_: object) -> bytes:
        """The bytes that each character stands for."""
        return super().encode("latin-1")


def send(servers: str, topic: str, partition: int, records: Sequence[tuple[bytes, bytes, Sequence[tuple[bytes, bytes]]]]) -> int:
    """Sends records (key, value, headers, whose names are bytes) in one batch; returns the first one's offset."""
    builder = _DefaultRecordBatchBuilderPy(2, 0, 0, -1, -1, -1, 1 << 20)
    for offset, (key, value, headers) in enumerate(records):
        builder.append(offset, None, key, value, [(_RawName(name.decode("latin-1")), content) for name, content in headers])
    request = ProduceRequest(None, -1, _TIMEOUT_MS, [(topic, [(partition, bytes(builder.build()))])])
    return asyncio.run(_produce(servers, request))


async def _produce(servers: str, request: ProduceRequest) -> int:
    client = AIOKafkaClient(bootstrap_servers=servers)
    await client.bootstrap()
    try:
        (node,) = (broker.nodeId for broker in client.cluster.brokers())
        answer = await client.send(node, request)
    finally:
        await client.close()
    ((_, ((_, error, offset, *_),)),) = answer.topics
    assert error == 0, error
    return int(offset)
