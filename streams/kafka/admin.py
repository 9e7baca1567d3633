"""Creates the topics that are missing, and knows how many partitions they have."""

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from features.errors import UserError
from streams.messages.topics import DEFAULT_PARTITIONS, TOPICS

_TIMEOUT_S = 15


def create_missing(bootstrap_servers: str, partitions: int = DEFAULT_PARTITIONS) -> None:
    """Creates every topic of ``topics.TOPICS`` that the broker lacks; existing ones are left as they are.

    Raises UserError if the broker can't be reached or refuses.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    try:
        present = admin.list_topics(timeout=_TIMEOUT_S).topics
        missing = [
            NewTopic(
                topic.name,
                num_partitions=len(present[topic.beside].partitions) if topic.beside in present else topic.partitions or partitions,
                replication_factor=-1,
                config=topic.settings(),
            )
            for topic in TOPICS
            if topic.name not in present
        ]
        for created in admin.create_topics(missing, operation_timeout=_TIMEOUT_S).values() if missing else ():
            _unless_exists(created)
    except KafkaException as error:
        raise UserError(
            f"Kafka at {bootstrap_servers} did not create the topics ({error.args[0].str()}); check that it runs and allows it"
        ) from error


def partition_count(bootstrap_servers: str, topic: str) -> int:
    """How many partitions the topic has. Raises UserError if it is missing or the broker can't be reached."""
    found = partition_counts(bootstrap_servers).get(topic)
    if found is None:
        raise UserError(f"topic {topic} is missing on {bootstrap_servers}; create it with tidemark up")
    return found


def partition_counts(bootstrap_servers: str) -> dict[str, int]:
    """How many partitions each topic has. Raises UserError if the broker can't be reached."""
    try:
        # All topics: one that is asked for by name might be created by that.
        found = AdminClient({"bootstrap.servers": bootstrap_servers}).list_topics(timeout=_TIMEOUT_S).topics
    except KafkaException as error:
        raise UserError(f"Kafka at {bootstrap_servers} can't be reached ({error.args[0].str()}); start it with tidemark up") from error
    return {name: len(topic.partitions) for name, topic in found.items()}


def _unless_exists(created: object) -> None:
    try:
        created.result()  # type: ignore[attr-defined]
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
