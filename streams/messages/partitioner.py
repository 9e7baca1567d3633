"""Which partition a key lives on: Java's default partitioner (murmur2), which is part of the contract of every keyed topic."""

_M = 0x5BD1E995
_SEED = 0x9747B28C
_U32 = 0xFFFFFFFF

# What librdkafka calls it; its own default (consistent_random, CRC-32) would put the same user elsewhere.
PRODUCER_SETTING: dict[str, str | int] = {"partitioner": "murmur2_random"}


def murmur2(key: bytes) -> int:
    """MurmurHash2 of the key as Kafka's Java client computes it (``org.apache.kafka.common.utils.Utils.murmur2``), 32 bits unsigned."""
    length = len(key)
    h = (_SEED ^ length) & _U32
    whole = length & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(key[i : i + 4], "little") * _M & _U32
        k ^= k >> 24
        h = (h * _M & _U32) ^ (k * _M & _U32)
    if rest := key[whole:]:
        h = (h ^ int.from_bytes(rest, "little")) * _M & _U32
    h ^= h >> 13
    h = h * _M & _U32
    return h ^ (h >> 15)


def partition_of(key: bytes, partitions: int) -> int:
    """The partition, of so many, on which Kafka's default partitioner puts the key."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
