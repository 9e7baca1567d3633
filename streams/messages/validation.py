"""What makes a record of ``transactions`` or ``users`` valid, and the dead letter of one that isn't."""

import base64
import hashlib

from streams.messages import diagnosis
from streams.messages.events import DeadLetter, Label, Transaction, User, encode
from streams.messages.headers import Envelope, opened
from streams.messages.partitioner import partition_of
from streams.messages.readers import label_reader, transaction_reader, user_reader
from streams.messages.record import Record, SourcePosition
from streams.messages.refusals import RefusedError, check_label, check_transaction, check_user, readable
from streams.messages.seal import Seal
from streams.messages.topics import LABELS, STAMPING
from streams.messages.wire import MAX_ID_CHARACTERS

# A key is an id, of at most 256 characters.
_KEPT_KEY_BYTES, _KEPT_BYTES, _SHOWN_BYTES = 1_024, 256_000, 100


class Validator:
    """Reads records of one partition of ``transactions`` or ``users``. Pure but for a memory of keys already found to belong here.

    Headers of ours count by ``seal``; None: by none.
    """

    def __init__(self, topic: str, partition: int, partitions: int, currency: str, seal: Seal | None = None) -> None:
        self.topic = topic
        self.partition = partition
        self.partitions = partitions
        self.currency = currency
        self._seal = seal or Seal()
        self._read_transaction, self._read_label, self._read_user = transaction_reader(), label_reader(), user_reader()
        self._users: dict[bytes | None, str] = {}

    def opened(self, record: Record) -> Envelope:
        """What the record's headers say of it."""
        return opened(record, self.partition, self._seal)

    def transaction(self, record: Record) -> Transaction:
        """The transaction. Raises RefusedError."""
        require_stamp(record, self.topic)
        transaction = readable(record.value, self._read_transaction)
        check_transaction(transaction, record.timestamp, self.currency)
        if self._users.get(record.key) != transaction.user_id:
            self._check_key(record.key, transaction.user_id)
        return transaction

    def label(self, record: Record) -> Label:
        """The label. Raises RefusedError."""
        require_stamp(record, self.topic)
        label = readable(record.value, self._read_label)
        check_label(label, record.timestamp)
        if self._users.get(record.key) != label.user_id:
            self._check_key(record.key, label.user_id)
        return label

    def user(self, record: Record) -> User:
        """The user. Raises RefusedError."""
        require_stamp(record, self.topic)
        user = readable(record.value, self._read_user)
        check_user(user, record.timestamp)
        if self._users.get(record.key) != user.user_id:
            self._check_key(record.key, user.user_id)
        return user

    def removed(self, record: Record) -> str:
        """The user_id of whom a record without value removes. Raises RefusedError."""
        require_stamp(record, self.topic)
        try:
            user_id = (record.key or b"").decode()
        except UnicodeDecodeError:
            user_id = ""
        if not 1 <= len(user_id) <= MAX_ID_CHARACTERS:
            raise RefusedError(
                "wrong_key",
                f"the record's key must be a user_id of 1 to {MAX_ID_CHARACTERS} characters in UTF-8, it is {shown(record.key)}",
            )
        if self._users.get(record.key) != user_id:
            self._check_key(record.key, user_id)
        return user_id

    def dead_letter(self, record: Record, refused: RefusedError, origin: SourcePosition | None = None) -> bytes:
        """The dead letter of a refused record, as JSON; of a label, whose ``origin`` is its place on ``labels``, it names that."""
        topic, partition, offset = (self.topic, self.partition, record.offset) if origin is None else (LABELS.name, *origin)
        value = record.value
        return encode(
            DeadLetter(
                topic=topic,
                partition=partition,
                offset=offset,
                reason=refused.reason,
                sentence=refused.sentence,
                key_base64=None if record.key is None else base64.b64encode(record.key[:_KEPT_KEY_BYTES]).decode(),
                value_base64=None if value is None else base64.b64encode(value[:_KEPT_BYTES]).decode(),
                value_bytes=len(value or b""),
                value_digest=None if value is None else hashlib.sha256(value).hexdigest(),
            )
        )

    def _check_key(self, key: bytes | None, user_id: str) -> None:
        require_key(key, user_id)
        belongs = partition_of(user_id.encode(), self.partitions)
        if belongs != self.partition:
            sentence = diagnosis.wrong_partition(user_id, self.partition, belongs, self.partitions)
            raise RefusedError("wrong_partition", sentence)
        self._users[key] = user_id


def require_stamp(record: Record, topic: str) -> None:
    """Raises RefusedError unless the broker has stamped the record: unstamped. Its time bounds all others and what is remembered; one
    of a sender's choice would make anything early or forgotten."""
    if record.timestamp < 0:
        raise RefusedError(
            "unstamped",
            f"the record has its sender's timestamp, not the broker's; set {'='.join(STAMPING)} on topic {topic}, as `tidemark up` does, "
            "and send it again",
        )


def require_key(key: bytes | None, user_id: str) -> None:
    """Raises RefusedError unless the key is the user's: wrong_key."""
    if key != user_id.encode():
        raise RefusedError("wrong_key", diagnosis.wrong_key(key, user_id))


def shown(key: bytes | None) -> str:
    """A key as sentences show it, a long one by its beginning."""
    return repr(key) if key is None or len(key) <= _SHOWN_BYTES else f"{key[:_SHOWN_BYTES]!r}… of {len(key)} bytes"
