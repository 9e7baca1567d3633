"""Who is in a consumer group, as its coordinator knows it."""

import time
from collections.abc import Iterable, Mapping, Sequence

from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin._group import ConsumerGroupDescription, MemberDescription

from features.errors import UserError
from streams.kafka.admin import connect
from streams.kafka.client import KafkaClients, KafkaError, KafkaException

# What a broker that has just started, or never saw the group, answers about it.
_NO_MEMBERS = {KafkaError.GROUP_ID_NOT_FOUND, KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS}
_NO_MEMBERS |= {KafkaError.COORDINATOR_NOT_AVAILABLE}


_SESSION_S = 10.0


class Groups:
    """Asks about groups. Raises UserError if no broker answers at first, KafkaException if one doesn't within ``timeout`` s later on."""

    def __init__(self, kafka: KafkaClients, timeout: float = 10.0) -> None:
        # Its answers come only as long as it lives.
        self._admin, _ = connect(kafka, timeout)
        self._timeout = timeout

    def members(self, group: str) -> int:
        """How many members a group has; 0 if nobody ever joined it."""
        return len(self._members(group))

    def strangers(self, group: str, client_id: str) -> list[str]:
        """The members of a group that go by another client id, for people; empty if nobody is in it."""
        return [f"{member.client_id!r} at {member.host.lstrip('/')}" for member in self._members(group) if member.client_id != client_id]

    def busy(self, groups: Iterable[str]) -> list[str]:
        """Those of the groups that have members, or are about to."""
        idle = (ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD)
        return [group for group, found in self._described(groups).items() if found.state not in idle]

    def require_nobody(self, groups: Sequence[str]) -> None:
        """Raises UserError if any of the groups still has members after some seconds: a killed worker is one until its session is over."""
        deadline = time.monotonic() + _SESSION_S
        while busy := self.busy(groups):
            if time.monotonic() > deadline:
                *others, last = busy
                which = f"groups {', '.join(others)} and {last} have" if others else f"group {last} has"
                raise UserError(f"{which} members; stop all workers first")
            time.sleep(0.5)

    def own(self, partitions: Mapping[str, int]) -> bool:
        """Whether each group is settled and its members own so many partitions; False too while a broker loads its groups."""
        try:
            described = self._described(partitions)
        except KafkaException:
            return False
        return all(
            found.state == ConsumerGroupState.STABLE
            and sum(len(member.assignment.topic_partitions) for member in found.members) == partitions[group]
            for group, found in described.items()
        )

    def _members(self, group: str) -> list[MemberDescription]:
        try:
            return list(self._described([group])[group].members)
        except KafkaException as error:
            if error.args[0].code() not in _NO_MEMBERS:
                raise
            return []

    def _described(self, groups: Iterable[str]) -> dict[str, ConsumerGroupDescription]:
        asked = self._admin.describe_consumer_groups(list(groups), request_timeout=self._timeout)
        return {group: answer.result() for group, answer in asked.items()}
