"""What the producer of a record that is refused probably did, in the words of the refusal. Asked only once a record is refused."""

import base64
import binascii
import re
import unicodedata
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from features.times import EARLIEST_MS, LATEST_MS, in_another_unit

# What is larger is not taken apart again.
_MOST_BYTES = 64 << 10
_MOST_SHOWN = 64
_MOST_AMOUNT = 10**12
_REGISTRY = "starts with a schema registry's prefix"
_BOM = b"\xef\xbb\xbf"
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"\xff\x06\x00\x00sNaPpY": "snappy",
    b"\x82SNAPPY\x00": "snappy",
    **dict.fromkeys((b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"), "zlib"),
}
_TIMES = ("event_time", "label_time", "created_at", "updated_at")
_MURMUR2 = (
    "partition by murmur2 of the key, as Java's default does: partitioner=murmur2_random in librdkafka (confluent-kafka, kcat), "
    "NewMurmur2Partitioner in Sarama, Murmur2Balancer in segmentio/kafka-go, Partitioners.JavaCompatiblePartitioner in KafkaJS"
)


def not_json(value: bytes, error: Exception) -> str:
    """The sentence about a value that is no JSON."""
    cause = _encoding(value)
    return f"the value is no JSON: {error}" if cause is None else f"the value {cause}"


def unfit(value: bytes, error: Exception) -> str:
    """The sentence about JSON that is no such message, which ``error`` (msgspec's) says more exactly."""
    return f"{error}; {_shape(value, str(error)) or 'see the schema in docs/schemas'}"


def wrong_key(key: bytes | None, user_id: str) -> str:
    """The sentence about a record whose key isn't its user's id in UTF-8."""
    must_be = f"the record's key must be user_id {user_id!r} in UTF-8"
    if key is None:
        return f"{must_be}, it has none; give the producer the user_id as key"
    cause = _key(key, user_id)
    return f"{must_be}, it is {_shown(key)}" + (f", which {cause}" if cause else "")


def wrong_partition(user_id: str, partition: int, belongs: int, partitions: int) -> str:
    """The sentence about a record that isn't on its key's partition of so many."""
    key = user_id.encode()
    likely = [name for name, placed in _PARTITIONERS.items() if placed(key, partitions) == partition]
    where = f" (where {likely[0]} would put it)" if len(likely) == 1 else ""
    return f"user {user_id!r} belongs on partition {belongs}, not {partition}{where}; {_MURMUR2}"


def foreign_currency(sent: str, currency: str) -> str:
    """The sentence about a transaction that isn't in the deployment's currency."""
    if sent.upper() == currency:
        return f"currency {sent} is not {currency}; write it in capitals"
    if sent.isdecimal():
        return f"currency {sent} is a number; send its three letters, such as {currency}"
    return f"currency {sent} is not this deployment's {currency}; convert before sending"


def _encoding(value: bytes) -> str | None:
    if not value:
        return "is empty; send a JSON object"
    if (
        value.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff", b"\0\0\0{", b"\0\0\0["))
        or (value[:1] in b"{[" and value[1:2] == b"\0")
        or value[:2] in (b"\0{", b"\0[")
    ):
        return "is UTF-16 or UTF-32; send UTF-8"
    if value.startswith(_BOM):
        return "starts with a byte order mark; send UTF-8 without one"
    # Ids are given out one by one, so that larger numbers are something else.
    if value[:2] == b"\0\0" and len(value) > 5:
        return f"{_REGISTRY} (schema {int.from_bytes(value[1:5], 'big')}); send plain JSON, without a schema registry's serializer"
    if value[:2] in (b"\x03\x00", b"\x03\x05") and len(value) > 18:
        return "starts with the prefix of AWS Glue's schema registry; send plain JSON, without its serializer"
    for magic, name in _COMPRESSED.items():
        if value.startswith(magic):
            return f"is compressed with {name}; send plain JSON and set compression.type on the producer, which readers undo"
    if value.startswith(b"Obj\x01"):
        return "is an Avro file; send plain JSON"
    if value.startswith(b"\xac\xed\x00\x05"):
        return "is a serialized Java object; send plain JSON"
    if _is_xml(value):
        return "looks like XML; send a JSON object"
    if value.lstrip().startswith((b"{'", b"{u'")):
        return "looks like a Python dict as text; send it through json.dumps"
    return _text(value) if len(value) <= _MOST_BYTES else None


def _is_xml(value: bytes) -> bool:
    text = value.strip()
    return re.match(rb"<[A-Za-z?!]", text) is not None and text.endswith(b">")


def _text(value: bytes) -> str | None:
    try:
        value.decode()
    except UnicodeDecodeError as error:
        text = value.decode("latin-1")
        if isinstance(_loose(text.encode()), dict):
            return f"is not UTF-8 (byte {error.start}), it looks like Latin-1; send UTF-8"
        return None
    if value.endswith(b"\0") and isinstance(_loose(value.rstrip(b"\0")), dict):
        return "ends in NUL bytes, as strings in C do; send the text alone"
    if isinstance(_loose(_unpacked(value)), dict):
        return "is JSON in base64; send the JSON itself"
    if isinstance(_loose(re.sub(rb"(?<=[:\[,\s])-?(?:NaN|Infinity)(?=\s*[,}\]])", b"null", value)), dict):
        return "has NaN or Infinity, which is no JSON; send a number"
    lines = [line for line in value.splitlines() if line.strip()]
    if len(lines) > 1 and all(isinstance(_loose(line), dict) for line in lines):
        return f"holds {len(lines)} JSON objects; send each as a record of its own"
    return None


def _unpacked(value: bytes) -> bytes:
    """What it holds in base64; nothing if it is no such text."""
    try:
        return base64.b64decode(value.strip(b'" \r\n'), validate=True)
    except binascii.Error:
        return b""


def _shape(value: bytes, error: str) -> str | None:
    found = _loose(value) if len(value) <= _MOST_BYTES else None
    if isinstance(found, list):
        return f"it is a list of {len(found)}; send each of them as a record of its own"
    if isinstance(found, str):
        if isinstance(_loose(found.encode()), dict):
            return "it is JSON within a JSON string; encode it once"
        return "it is JSON in base64 within a JSON string; send the JSON itself" if isinstance(_loose(_unpacked(value)), dict) else None
    if not isinstance(found, dict):
        return None
    return _envelope(found) or _missing(found, error) or _field(found, error)


def _envelope(found: Mapping[str, Any]) -> str | None:
    payload = found.get("payload")
    if isinstance(payload, dict) and isinstance(payload.get("after"), dict):
        return "it is a Debezium envelope: send its payload.after, for example by the transformation ExtractNewRecordState"
    if found.get("op") == "d" and isinstance(found.get("before"), dict) and found.get("after") is None:
        return "it is a Debezium envelope of a delete; leave deletes out, for example by the transformation ExtractNewRecordState"
    if isinstance(found.get("after"), dict) and ("op" in found or "source" in found):
        return "it is a Debezium envelope: send its after, for example by the transformation ExtractNewRecordState"
    if isinstance(payload, dict) and "schema" in found:
        return "it is Kafka Connect's schema and payload: send its payload, by value.converter.schemas.enable=false"
    if "specversion" in found and ("data" in found or "data_base64" in found):
        return "it is a structured CloudEvent: send its data alone (binary mode, which has the attributes as headers)"
    return None


def _missing(found: Mapping[str, Any], error: str) -> str | None:
    if (named := re.search(r"missing required field `(\w+)`", error)) is None:
        return None
    field = named[1]
    like = [name for name in found if _plain(name) == _plain(field)]
    if like:
        return f"it has {like[0][:_MOST_SHOWN]!r}; call it {field!r}"
    within = [name for name, part in found.items() if isinstance(part, dict) and field in part]
    return f"it has one within {within[0][:_MOST_SHOWN]!r}; send what is there alone" if within else None


def _field(found: Mapping[str, Any], error: str) -> str | None:
    if (named := re.search(r"`\$\.(\w+)`", error)) is None or named[1] not in found:
        return None
    field, value = named[1], found[named[1]]
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,20}(\.\d{1,20})?", value):
        value = float(value) if "." in value else int(value)
        quotes = "it is text; send a number, without quotes"
    else:
        quotes = None
    if field in _TIMES and isinstance(value, int | float) and (meant := in_another_unit(value)) is not None:
        return meant
    if field in _TIMES and isinstance(value, float) and value.is_integer() and EARLIEST_MS <= value <= LATEST_MS:
        return f"send a whole number of milliseconds, without a point: {int(value)}"
    if isinstance(value, int | float) and not isinstance(value, bool) and "Expected `str" in error and field not in _TIMES:
        return f'send text, in quotes: "{value}"'
    if field == "amount" and isinstance(value, float) and abs(value) < _MOST_AMOUNT:
        minor = round(value * 100)
        if value.is_integer():
            either = f"{int(value)} if it is in minor units, {minor} if in major ones with two decimals"
            return f"send a whole number of minor units, without a point: {either}"
        return f"send minor units, a whole number: {value} in a currency with two decimals is {minor}"
    if field == "is_fraud" and value in (0, 1, "0", "1", "true", "false", "True", "False"):
        return "send true or false, without quotes"
    return quotes


def _key(key: bytes, user_id: str) -> str | None:
    expected = user_id.encode()
    if key[:1] == b"\0" and len(key) > 5 and key[5:].endswith(expected):
        return f"{_REGISTRY}; use a string serializer for keys"
    if key == _BOM + expected:
        return "starts with a byte order mark; leave that out"
    if key in (user_id.encode("utf-16"), user_id.encode("utf-16-le"), user_id.encode("utf-16-be")):
        return "is UTF-16; send UTF-8"
    if len(key) in (4, 8) and user_id.isdecimal() and int(user_id) in (int.from_bytes(key, "big"), int.from_bytes(key, "little")):
        return "is a binary number; use a string serializer for keys"
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return "is Latin-1; send UTF-8" if key.decode("latin-1") == user_id else "is not UTF-8"
    if key.rstrip(b"\0") == expected:
        return "ends in NUL bytes, as strings in C do; send the text alone"
    found = _loose(key) if len(key) <= _MOST_BYTES else None
    if found == user_id:
        return "is JSON, with quotes; use a string serializer for keys"
    if isinstance(found, dict):
        return "is a JSON object; send the text of its user_id alone (in Kafka Connect by ExtractField$Key and a StringConverter)"
    if unicodedata.normalize("NFC", text) == unicodedata.normalize("NFC", user_id):
        return (
            f"looks the same but is other bytes, {_hex(key)} where user_id has {_hex(expected)}; bring both into one Unicode normal form "
            "(NFC)"
        )
    if text.strip() == user_id.strip():
        return "differs in white space at its ends"
    return "differs in capitals" if text.lower() == user_id.lower() else None


def _loose(value: bytes) -> Any:
    """Any JSON; None for what is none, or too deep."""
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").casefold()


def _shown(key: bytes) -> str:
    return repr(key) if len(key) <= _MOST_SHOWN else f"{key[:_MOST_SHOWN]!r}… ({len(key):,} bytes)"


def _hex(text: bytes) -> str:
    return text[:_MOST_SHOWN].hex(" ") + ("…" if len(text) > _MOST_SHOWN else "")


def _crc32(key: bytes, partitions: int) -> int:
    return zlib.crc32(key) % partitions


def _fnv1a(key: bytes, partitions: int) -> int:
    """FNV-1a, 32 bits, taken as a signed number, as Sarama does (http://www.isthe.com/chongo/tech/comp/fnv)."""
    h = 0x811C9DC5
    for byte in key:
        h = (h ^ byte) * 0x01000193 & 0xFFFFFFFF
    return (h if h < 1 << 31 else (1 << 32) - h) % partitions


_PARTITIONERS: Mapping[str, Callable[[bytes, int], int]] = {
    "librdkafka's default (consistent_random)": _crc32,
    "FNV-1a, Sarama's default and the Hash of segmentio/kafka-go,": _fnv1a,
}
