"""What the API answered a caller, as it travels with the transaction, so that the stream repeats exactly that."""

import msgspec

from streams.messages.events import Decision


class StatePosition(msgspec.Struct, frozen=True):
    """Up to which record a state had been brought: partition and offset of its stage's source topic, −1 for a key never seen."""

    partition: int
    offset: int


class Answer(msgspec.Struct, frozen=True):
    """The decision that was given, the vector (float32 bytes) it rested on, the positions of the two states that were read, and the digest
    of the code that finished them ("" from before that was noted)."""

    decision: Decision
    vector: bytes
    user_state: StatePosition
    merchant_state: StatePosition
    code_digest: str = ""


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Answer).decode
