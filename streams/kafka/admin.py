"""Creates the topics that are missing, has the broker stamp those that it should, and knows how many partitions they have."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._metadata import ClusterMetadata
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from features.errors import START_OVER, UnavailableError, UserError
from streams.kafka.client import KafkaClients, KafkaError, KafkaException
from streams.kafka.out_of_range import PATIENCE_S
from streams.messages.topics import DEFAULT_PARTITIONS, TOPICS, Topic, TopicState

_TIMEOUT_S = 15
_LOOK_S = 1.0
# What the broker refused is raised; librdkafka would write each attempt to stderr besides.
_silent = logging.getLogger("streams.kafka.admin.silent")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


def create_missing(kafka: KafkaClients, partitions: int = DEFAULT_PARTITIONS) -> None:
    """Creates every topic of ``topics.TOPICS`` that the broker lacks; existing ones are left as they are but for what they ``require``.

    Raises UserError if the broker can't be reached or refuses.
    """
    admin, found = connect(kafka)
    present = found.topics
    try:
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
        _have_required(admin, [topic.name for topic in TOPICS if topic.name in present])
    except KafkaException as error:
        raise UserError(
            f"Kafka at {kafka.servers} did not create the topics ({error.args[0].str()}); check that it runs and allows it"
        ) from error


@dataclass(frozen=True)
class ClusterState:
    """How many brokers there are, and each topic of ``topics.TOPICS`` that exists."""

    brokers: int
    topics: Mapping[str, TopicState]


def cluster_state(kafka: KafkaClients) -> ClusterState:
    """Asks for it. Raises UserError if the broker can't be reached."""
    admin, found = connect(kafka)
    present = {topic.name: found.topics[topic.name] for topic in TOPICS if topic.name in found.topics}
    described = _settings(admin, present)
    return ClusterState(
        len(found.brokers),
        {
            name: TopicState(len(topic.partitions), min(len(part.replicas) for part in topic.partitions.values()), described[name])
            for name, topic in present.items()
        },
    )


def _settings(admin: AdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """The configuration of each topic, {} where one may not look: records that the broker doesn't stamp are refused, with what to set.
    Raises KafkaException."""
    asked = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    found: dict[str, dict[str, str]] = {}
    for resource, described in admin.describe_configs(asked, request_timeout=_TIMEOUT_S).items() if asked else ():
        try:
            found[resource.name] = {name: entry.value for name, entry in described.result().items()}
        except KafkaException as error:
            if error.args[0].code() not in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED):
                raise
            found[resource.name] = {}
    return found


def _have_required(admin: AdminClient, names: Iterable[str]) -> None:
    """Sets what these topics can't do without, where it is otherwise: who stamps their records, and whether old ones go by age or by key.
    Raises KafkaException."""
    required = {topic.name: topic.required() for topic in TOPICS}
    changes = [
        ConfigResource(
            ResourceType.TOPIC,
            name,
            incremental_configs=[ConfigEntry(*entry, incremental_operation=AlterConfigOpType.SET) for entry in required[name].items()],
        )
        for name, settings in _settings(admin, names).items()
        if settings and any(settings.get(key) != value for key, value in required[name].items())
    ]
    for changed in admin.incremental_alter_configs(changes, request_timeout=_TIMEOUT_S).values() if changes else ():
        changed.result()


def partition_count(kafka: KafkaClients, topic: str) -> int:
    """How many partitions the topic has. Raises UserError if it is missing or the broker can't be reached."""
    found = partition_counts(kafka).get(topic)
    if found is None:
        raise UserError(f"topic {topic} is missing on {kafka.servers}; create it with tidemark up")
    return found


def require_topics(kafka: KafkaClients, topics: Sequence[Topic]) -> None:
    """Raises UserError if one of the topics is missing, or has other partitions than the topic whose states it holds."""
    deadline = time.monotonic() + PATIENCE_S
    while (wrong := _wrong(kafka, topics, partition_counts(kafka))) is not None:
        if time.monotonic() > deadline:
            raise UserError(wrong)
        time.sleep(_LOOK_S)


def _wrong(kafka: KafkaClients, topics: Sequence[Topic], counts: Mapping[str, int]) -> str | None:
    if missing := [topic.name for topic in topics if topic.name not in counts]:
        return f"topic {' and '.join(missing)} is missing on {kafka.servers}; create it with `tidemark up`"
    for topic in topics:
        if topic.beside is not None and counts[topic.name] != counts[topic.beside]:
            return (
                f"{topic.beside} has {counts[topic.beside]} partitions, but {topic.name} {counts[topic.name]}: partitions were added, "
                f"so that keys have moved between them and what is known of each lies elsewhere; {START_OVER}"
            )
    return None


def partition_counts(kafka: KafkaClients) -> dict[str, int]:
    """How many partitions each topic has. Raises UserError if the broker can't be reached."""
    return {name: len(topic.partitions) for name, topic in connect(kafka)[1].topics.items()}


def connect(kafka: KafkaClients, timeout: float = _TIMEOUT_S) -> tuple[AdminClient, ClusterMetadata]:
    """A client that has reached the cluster, and all its topics: one that is asked for by name might be created by that.

    Raises UnavailableError if no broker answers within ``timeout`` s, and UserError at once if one refuses the credentials or the
    certificate.
    """
    refused: list[KafkaError] = []
    admin = kafka.admin({"error_cb": refused.append}, _silent)
    deadline = time.monotonic() + timeout
    while True:
        left = max(deadline - time.monotonic(), 0.0)
        try:
            # librdkafka would try again with the same password until the time is up.
            return admin, admin.list_topics(timeout=min(left, _LOOK_S) if kafka.security else left)
        except KafkaException as error:
            admin.poll(0)
            for reason in refused:
                if reason.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL):
                    raise UserError(_refusal(kafka, reason)) from error
            if time.monotonic() >= deadline:
                raise UnavailableError(_silence(kafka, error.args[0])) from error


_CORRECT = "correct {} in the file that TIDEMARK_KAFKA_SECURITY names"


def _refusal(kafka: KafkaClients, reason: KafkaError) -> str:
    if reason.code() == KafkaError._SSL:
        what, remedy = "and this client can't agree on TLS", _CORRECT.format("the ssl properties")
    else:
        what, remedy = "refused the user or its password", _CORRECT.format("sasl.username and sasl.password")
    return f"Kafka at {kafka.servers} {what} ({reason.str()}); {remedy}"


def _silence(kafka: KafkaClients, error: KafkaError) -> str:
    remedy = f"start it, or {_CORRECT.format('security.protocol')}" if kafka.security else "start it with tidemark up"
    return f"Kafka at {kafka.servers} can't be reached ({error.str()}); {remedy}"


def _unless_exists(created: object) -> None:
    try:
        created.result()  # type: ignore[attr-defined]
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
