"""Which of a Kafka client's errors may pass by themselves: the broker is away, somebody else has the partitions now, a topic is made."""

from features.errors import UnavailableError
from streams.kafka.client import KafkaError, KafkaException
from streams.kafka.producer import DeliveryError

_AWAY = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._RESOLVE,
    KafkaError._TIMED_OUT,
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError._MSG_TIMED_OUT,
    KafkaError._WAIT_COORD,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.NOT_ENOUGH_REPLICAS,
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
}
_GONE = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.UNKNOWN_TOPIC_ID,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
}
_TAKEN_OVER = {
    KafkaError._FENCED,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.CONCURRENT_TRANSACTIONS,
}


def as_unavailable(error: BaseException, servers: str) -> UnavailableError | None:
    """The error as one that passes by itself; None if it doesn't."""
    if isinstance(error, DeliveryError) and isinstance(error.__cause__, KafkaException):
        error = error.__cause__
    if not isinstance(error, KafkaException) or not isinstance(error.args[0], KafkaError):
        return None
    reason = error.args[0]
    if reason.code() in _TAKEN_OVER:
        return UnavailableError(f"another member of its group has taken its partitions over meanwhile ({reason.str()})")
    if reason.code() in _GONE:
        # What starts again says which, if it still is.
        return UnavailableError(f"a topic is missing on Kafka at {servers}, or has other partitions than it had ({reason.str()})")
    if reason.code() in _AWAY or reason.retriable():
        return UnavailableError(f"Kafka at {servers} doesn't answer ({reason.str()}); see that it runs and can be reached")
    return None
