"""Removes from Kafka all that is a deployment's: its topics and the groups of its stages."""

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future

from features.errors import UserError
from streams.kafka.admin import connect
from streams.kafka.client import KafkaClients, KafkaError, KafkaException
from streams.messages.topics import TOPICS

_TIMEOUT_S = 30.0


def present(topics: Iterable[str]) -> list[str]:
    """Those of the cluster's topics that are ours."""
    there = set(topics)
    return [topic.name for topic in TOPICS if topic.name in there]


def remove(kafka: KafkaClients, groups: Sequence[str]) -> None:
    """Removes them, and the stages' ``groups``; when it returns topics of these names can be created.

    Raises UserError if Kafka doesn't allow or finish it; whoever calls has seen that no group has members.
    """
    admin, cluster = connect(kafka)
    names = present(cluster.topics)
    try:
        for removed in admin.delete_topics(names, operation_timeout=_TIMEOUT_S).values() if names else ():
            removed.result()
        for gone in admin.delete_consumer_groups(list(groups), request_timeout=_TIMEOUT_S).values():
            _unless_unknown(gone)
        deadline = time.monotonic() + _TIMEOUT_S
        while left := present(admin.list_topics(timeout=_TIMEOUT_S).topics):
            if time.monotonic() > deadline:
                raise UserError(
                    f"Kafka at {kafka.servers} still has {', '.join(left)}, which it has agreed to remove; stop producers that create "
                    "them again, see its log, then run this again"
                )
            time.sleep(0.2)
    except KafkaException as error:
        raise UserError(
            f"Kafka at {kafka.servers} did not remove the topics ({error.args[0].str()}); allow it, then run this again"
        ) from error


def _unless_unknown(gone: "Future[object]") -> None:
    try:
        gone.result()
    except KafkaException as error:
        if error.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
            raise
