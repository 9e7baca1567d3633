"""What a partition of ``transactions`` says of the aligned replays that were sent to it."""

from itertools import chain

from streams.delivery.sent_replays import SentReplay, replays_among
from streams.kafka.log import KafkaLog
from streams.messages.seal import Seal
from streams.messages.topics import TRANSACTIONS


def sent_replays(log: KafkaLog, partition: int, seal: Seal, end: int | None = None) -> dict[str, SentReplay]:
    """Each aligned replay of which a partition has records before ``end`` (all if None), by name. It reads all of them."""
    return replays_among(chain.from_iterable(log.whole(TRANSACTIONS.name, partition, end)), partition, seal)
