"""A version of the registry as one string of bytes, which serves where the registry can't be reached."""

import hashlib
from collections.abc import Mapping

import msgspec

# The first bytes, so that another layout is known from a damaged one.
_LAYOUT = b"tidemark model copy 1\n"
_DIGEST_BYTES = hashlib.sha256().digest_size
_STATED = ("model_digest", "policy_digest", "features_digest")


class ModelCopy(msgspec.Struct, frozen=True):
    """A version's name and number, the digests that its tags state, and its files by name."""

    name: str
    version: str
    digests: dict[str, str]
    files: dict[str, bytes]


def digests_of(tags: Mapping[str, str]) -> dict[str, str]:
    """The digests among a version's tags."""
    return {name: tags[name] for name in _STATED if name in tags}


def to_bytes(copy: ModelCopy) -> bytes:
    """The copy with a digest of all of it, number and name included."""
    content = msgspec.msgpack.encode(copy)
    return _LAYOUT + hashlib.sha256(content).digest() + content


def from_bytes(data: bytes) -> ModelCopy:
    """The copy. Raises ValueError if a bit of it is another than it was, or it was written by another version of Tidemark."""
    if not data.startswith(_LAYOUT):
        raise ValueError("it begins otherwise than a copy of this version of Tidemark")
    digest, content = data[len(_LAYOUT) :][:_DIGEST_BYTES], data[len(_LAYOUT) + _DIGEST_BYTES :]
    if hashlib.sha256(content).digest() != digest:
        raise ValueError("its digest isn't that of its content")
    return msgspec.msgpack.decode(content, type=ModelCopy)
