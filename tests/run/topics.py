"""What operators and other tools do to topics and groups, behind Tidemark's back."""

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from streams.config import DeploymentConfig
from streams.kafka.admin import create_missing
from streams.kafka.client import KafkaClients
from streams.kafka.log import KafkaLog
from streams.workers.stages import STAGES
from tests.run.deployment import eventually


def delete(config: DeploymentConfig, *topics: str) -> None:
    """Deletes topics, and returns once they are gone."""
    admin = AdminClient({"bootstrap.servers": config.kafka})
    for done in admin.delete_topics(list(topics)).values():
        done.result(10)
    eventually(lambda: not set(topics) & set(admin.list_topics(timeout=10).topics), 30, f"the end of {', '.join(topics)}")


def create_again(config: DeploymentConfig, *topics: str) -> None:
    """Deletes topics and makes new ones of their names."""
    delete(config, *topics)
    create_missing(KafkaClients.of(config))


def open_transaction(servers: str, name: str, topic: str, partition: int) -> Producer:
    """A producer of this transactional.id that has begun a transaction with a record on the partition, and goes no further."""
    producer = Producer({"bootstrap.servers": servers, "transactional.id": name, "transaction.timeout.ms": 60_000})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"{}", b"u1", partition=partition)
    assert producer.flush(10) == 0
    return producer


def move_offset(config: DeploymentConfig, stage: str, partition: int, by: int) -> None:
    """Moves a stage's position as kafka-consumer-groups.sh does it, which signs nothing."""
    topic, group = STAGES[stage].topic.name, config.group(stage)
    log = KafkaLog(KafkaClients.of(config), group)
    offset = log.committed(topic, partition) or 0
    log.close()
    consumer = Consumer({"bootstrap.servers": config.kafka, "group.id": group})

    def moved() -> bool:
        # A worker that has just ended may be a member for a moment.
        try:
            consumer.commit(offsets=[TopicPartition(topic, partition, max(0, offset + by))], asynchronous=False)
        except KafkaException:
            return False
        return True

    eventually(moved, 30, "the end of the group's members")
    consumer.close()
