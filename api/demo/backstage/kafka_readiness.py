"""Whether the workers' stages have been given their partitions."""

from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient

from streams.config import DeploymentConfig
from streams.kafka.admin import partition_count
from streams.workers.stages import STAGES

_TIMEOUT_S = 3


class StagesReadiness:
    """Asks the broker about the stages' consumer groups. Raises UserError if a topic is missing."""

    def __init__(self, config: DeploymentConfig) -> None:
        self._admin = AdminClient({"bootstrap.servers": config.kafka})
        self._partitions = {config.group(stage.name): partition_count(config.kafka, stage.topic.name) for stage in STAGES.values()}

    def ready(self) -> bool:
        """True once every partition of every stage has an owner."""
        # A broker that has just come up first loads its groups, and does not answer meanwhile.
        asked = self._admin.describe_consumer_groups(list(self._partitions), request_timeout=_TIMEOUT_S)
        try:
            groups = {name: future.result() for name, future in asked.items()}
        except KafkaException:
            return False
        return all(
            group.state == ConsumerGroupState.STABLE
            and sum(len(member.assignment.topic_partitions) for member in group.members) == self._partitions[name]
            for name, group in groups.items()
        )
