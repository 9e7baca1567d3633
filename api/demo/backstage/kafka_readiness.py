"""Whether the workers' stages have been given their partitions."""

from streams.config import DECIDING, DeploymentConfig
from streams.kafka.admin import partition_count
from streams.kafka.client import KafkaClients
from streams.kafka.groups import Groups
from streams.workers.stages import STAGES

_TIMEOUT_S = 3


class StagesReadiness:
    """Asks the broker about the stages' consumer groups. Raises UserError if a topic is missing."""

    def __init__(self, config: DeploymentConfig) -> None:
        kafka = KafkaClients.of(config)
        self._groups = Groups(kafka, _TIMEOUT_S)
        self._partitions = {config.group(stage): partition_count(kafka, STAGES[stage].topic.name) for stage in DECIDING}

    def ready(self) -> bool:
        """True once every partition of every stage has an owner."""
        return self._groups.own(self._partitions)
