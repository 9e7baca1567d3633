"""What came out: a run's decisions and dead letters, counted by a consumer that has nothing to do with the stages."""

from collections import Counter
from dataclasses import dataclass

import msgspec

from features.errors import UserError
from streams.config import DeploymentConfig
from streams.kafka.admin import partition_count
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.messages.topics import DEAD_LETTERS, DECISIONS

_GROUP = "tidemark-bench"


class _Decided(msgspec.Struct):
    transaction_id: str
    decision: str


@dataclass(frozen=True)
class Counted:
    """All committed decisions, how many distinct transactions they are of, how many there are by verdict; and the dead letters."""

    decisions: int
    distinct: int
    by_verdict: dict[str, int]
    dead_letters: int

    def require(self, transactions: int, refused: int = 0) -> None:
        """Raises UserError unless each transaction has its one decision, and each of so many records that must be refused its dead letter:
        the rate of a stream that loses or repeats is none."""
        if not self.decisions == self.distinct == transactions or self.dead_letters != refused:
            raise UserError(
                f"{transactions:,} transactions gave {self.decisions:,} decisions on {self.distinct:,} of them and {self.dead_letters:,} "
                f"dead letters where {refused:,} are due; fix that before you measure"
            )


def count(config: DeploymentConfig) -> Counted:
    """Reads both topics from their beginning to their end."""
    decode = msgspec.json.Decoder(_Decided).decode
    verdicts: Counter[str] = Counter()
    ids: set[str] = set()
    dead_letters = 0
    log = KafkaLog(KafkaClients.of(config), _GROUP)
    try:
        for topic in (DECISIONS.name, DEAD_LETTERS.name):
            for partition in range(partition_count(KafkaClients.of(config), topic)):
                for records in log.read(topic, partition, *log.bounds(topic, partition)):
                    if topic == DEAD_LETTERS.name:
                        dead_letters += len(records)
                        continue
                    decided = [decode(record.value or b"") for record in records]
                    verdicts.update(decision.decision for decision in decided)
                    ids.update(decision.transaction_id for decision in decided)
    finally:
        log.close()
    return Counted(verdicts.total(), len(ids), dict(verdicts), dead_letters)
