"""Feast's online store in Redis: the states of keys written out, and read back."""

import json
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, cast

import redis
import yaml
from redis.backoff import NoBackoff
from redis.retry import Retry

from features.definitions import Entity
from features.errors import UserError
from features.feast_import import import_feast
from features.online.feast_format import hset_commands, is_ours, key_pattern, profile_commands
from features.online.snapshot import Profiles, Snapshot
from features.online.views import JOIN_KEYS, state_view

_CLEARED_AT_ONCE = 1_000
SETTINGS_FILE = "feature_store.yaml"

# A random name that is lost with the data, so that a wiped Redis is known from a slow one.
_SENTINEL = "tidemark:sentinel"


# Whose a partition is, looked up in Redis itself: a WATCH would take two more round trips, and an answer to read for each command.
_AS_OWNER = """
local owner = redis.call('GET', KEYS[1])
if not owner then return 0 end
if owner ~= ARGV[1] then return 1 end
local at = 2
while at <= #ARGV do
  local last = at + tonumber(ARGV[at])
  redis.call(unpack(ARGV, at + 1, last))
  at = last + 1
end
return 2
"""
_NOBODY_S, _ANOTHER_S = 0, 1


class OnlineStoreError(Exception):
    """Redis did not answer, or not in time, or refused; what was asked of it may or may not have been done."""


class ClaimLostError(Exception):
    """Another writer has claimed the partition since; nothing was written."""


def forget(repo_path: Path, timeout: float = 2.0) -> None:
    """Makes every writer treat the online store as lost, so that all keys are written again; what it holds stays readable meanwhile.

    Raises OnlineStoreError if Redis fails, UserError if there is no repository at ``repo_path``.
    """
    address = _connection_string(repo_path)
    with _redis_errors(address.partition(",")[0]), _client(address, timeout) as client:
        client.delete(_SENTINEL)


def clear(repo_path: Path, timeout: float = 5.0) -> None:
    """Removes whatever is known of any key of ours, and what writers have noted. Raises as ``forget``."""
    address = _connection_string(repo_path)
    with _redis_errors(address.partition(",")[0]), _client(address, timeout) as client:
        known = (
            key
            for join_key in JOIN_KEYS.values()
            for key in client.scan_iter(key_pattern(join_key), count=_CLEARED_AT_ONCE)
            if is_ours(key, join_key)
        )
        keys = chain(known, client.scan_iter("tidemark:*"))
        while batch := list(islice(keys, _CLEARED_AT_ONCE)):
            client.unlink(*batch)


def clock(repo_path: Path, timeout: float = 2.0) -> float:
    """What time it is by Redis, s since 1970 UTC. Raises as ``forget``."""
    address = _connection_string(repo_path)
    with _redis_errors(address.partition(",")[0]), _client(address, timeout) as client:
        seconds, microseconds = cast(tuple[int, int], client.time())
    return seconds + microseconds / 1e6


class OnlineWriter:
    """Writes one stage's states to the online store, and notes up to where each partition is written. For one thread at a time.

    A partition belongs to the writer that claimed it last: what a former owner writes that was stalled and woke up is refused. Every method
    blocks for at most ``timeout`` seconds a round trip and raises OnlineStoreError if Redis fails. ``digest`` is that of the feature set
    whose states are written: what was written for another doesn't count. Raises UserError if there is no repository at ``repo_path``.
    """

    def __init__(self, repo_path: Path, app_id: str, stage: str, digest: str = "", timeout: float = 2.0) -> None:
        address = _connection_string(repo_path)
        self._address = address.partition(",")[0]
        self._client = _client(address, timeout)
        self._positions = f"tidemark:projected:{app_id}:{stage}"
        self._owner = f"tidemark:owner:{app_id}:{stage}"
        self._claims: dict[int, bytes] = {}
        self._digest = digest
        self._incarnation = ""
        self._as_owner = self._client.register_script(_AS_OWNER)

    def check(self) -> bool:
        """Whether Redis still holds all that was written since the last check; False if it was restarted or wiped, and at first."""
        before, self._incarnation = self._incarnation, self._find_incarnation()
        return before == self._incarnation

    def projected(self) -> dict[int, int]:
        """The position up to which each partition is written, for this feature set and since Redis was last restarted or wiped."""
        incarnation = self._find_incarnation()
        with _redis_errors(self._address):
            noted = cast(dict[bytes, bytes], self._client.hgetall(self._positions))
        values = {int(partition): value.decode().split(" ", 1) for partition, value in noted.items()}
        return {partition: int(position) for partition, (position, what) in values.items() if what == f"{incarnation} {self._digest}"}

    def claim(self, partition: int) -> None:
        """Makes the partition this writer's."""
        token = uuid.uuid4().bytes
        with _redis_errors(self._address):
            self._client.set(f"{self._owner}:{partition}", token)
        self._claims[partition] = token

    def write(self, part: Snapshot | Profiles) -> None:
        """Sets these keys' views, of states or of profiles, at once; some hundred keys are a good measure.

        Claims a partition that it never claimed. Raises ClaimLostError if that is another's now.
        """
        self._execute(part.partition, profile_commands(part) if isinstance(part, Profiles) else hset_commands(part))

    def set_projected(self, partition: int, position: int) -> None:
        """Notes that everything before ``position`` is written, in the Redis that the last ``check`` saw. Raises as ``write``."""
        self._execute(partition, [("HSET", self._positions, str(partition), f"{position} {self._incarnation} {self._digest}")])

    def _execute(self, partition: int, commands: Sequence[Sequence[Any]]) -> None:
        """Executes commands as one, and only as the partition's owner."""
        if partition not in self._claims:
            self.claim(partition)
        key = f"{self._owner}:{partition}"
        with _redis_errors(self._address):
            found = self._as_owner([key], [self._claims[partition], *_flat(commands)])
        if found == _NOBODY_S:
            # Redis has lost its data, and with them the claim.
            self.claim(partition)
            self._execute(partition, commands)
        elif found == _ANOTHER_S:
            raise ClaimLostError(f"partition {partition} of {self._owner} was claimed by another writer")

    def close(self) -> None:
        """Ends the connections."""
        self._client.close()

    def _find_incarnation(self) -> str:
        """Names this run of Redis and this life of its data."""
        with _redis_errors(self._address):
            pipe: Any = self._client.pipeline(transaction=False)
            pipe.set(_SENTINEL, uuid.uuid4().hex, nx=True).get(_SENTINEL).info("server")
            _, sentinel, server = pipe.execute()
        return f"{server['run_id']}/{sentinel.decode()}"


def _flat(commands: Iterable[Sequence[Any]]) -> Iterator[Any]:
    """Each command after the number of its words."""
    for command in commands:
        yield len(command)
        yield from command


@dataclass(frozen=True, slots=True)
class KeyState:
    """A key's encoded state, the source partition and offset of the last record in it, and the digest of the feature set it is kept for."""

    state: bytes
    partition: int
    offset: int
    digest: str


class OnlineReader:
    """Reads states through Feast's online store. Threads may share one.

    Opening takes seconds, for Feast is imported. Raises UserError if there is no repository at ``repo_path``.
    """

    def __init__(self, repo_path: Path, timeout: float = 0.25) -> None:
        address = _connection_string(repo_path)
        self._address = address.partition(",")[0]

        import_feast()
        from feast import FeatureStore
        from feast.infra.online_stores.redis import RedisOnlineStore
        from feast.repo_config import load_repo_config

        self._config = load_repo_config(repo_path, repo_path / SETTINGS_FILE)
        self._config.online_config["connection_string"] = f"{address},socket_timeout={timeout},socket_connect_timeout={timeout}"
        store = FeatureStore(repo_path=str(repo_path), config=self._config)
        self._provider = store.provider
        self._views = {entity: store.get_feature_view(state_view(entity).name) for entity in JOIN_KEYS}
        self._names = {entity: [feature.name for feature in state_view(entity).features] for entity in JOIN_KEYS}
        # Feast leaves redis-py's own retries on, with seconds of waiting between them.
        online_store = cast(RedisOnlineStore, self._provider.online_store)
        self._redis: redis.Redis = online_store._get_client(self._config.online_store)
        self._redis.set_retry(_retry())

    def states(self, user_id: str, merchant_id: str) -> tuple[KeyState | None, KeyState | None]:
        """The states of the user and of the merchant; None for one that was never seen.

        Takes at most two ``timeout`` a key. Raises OnlineStoreError if Redis does not answer in that time.
        """
        with _redis_errors(self._address):
            return self._state("user", user_id), self._state("merchant", merchant_id)

    def sentinel(self) -> str:
        """What names this life of Redis' data, "" where they are lost or nobody has written any. Raises as ``states``."""
        with _redis_errors(self._address):
            found = self._redis.get(_SENTINEL)
        return found.decode() if isinstance(found, bytes) else ""

    def state(self, entity: Entity, key: str) -> KeyState | None:
        """The state of one key, as ``states``."""
        with _redis_errors(self._address):
            return self._state(entity, key)

    def _state(self, entity: Entity, key: str) -> KeyState | None:
        from feast.protos.feast.types.EntityKey_pb2 import EntityKey
        from feast.protos.feast.types.Value_pb2 import Value

        names = self._names[entity]
        entity_key = EntityKey(join_keys=[JOIN_KEYS[entity]], entity_values=[Value(string_val=key)])
        # A fresh list each time, for Feast appends to it.
        ((_, values),) = self._provider.online_read(self._config, self._views[entity], [entity_key], list(names))
        if values is None or not values[names[0]].HasField("bytes_val"):
            return None
        state, partition, offset, digest = (values[name] for name in names)
        return KeyState(state.bytes_val, partition.int64_val, offset.int64_val, digest.string_val)


def _connection_string(repo_path: Path) -> str:
    """The address of Redis in the repository's settings, read as Feast reads them."""
    try:
        settings = yaml.safe_load(os.path.expandvars((repo_path / SETTINGS_FILE).read_text()))
    except FileNotFoundError as error:
        raise UserError(f"there is no Feast repository at {repo_path}; run `tidemark up` to write it") from error
    address: str = settings["online_store"]["connection_string"]
    return address


def _client(address: str, timeout: float) -> redis.Redis:
    """A client for a Feast connection string: ``host:port,name=value,…`` with the values in JSON or plain."""
    server, *parameters = address.split(",")
    host, _, port = server.partition(":")
    arguments: dict[str, Any] = {}
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        try:
            arguments[name] = json.loads(value)
        except json.JSONDecodeError:
            arguments[name] = value
    arguments |= {"socket_timeout": timeout, "socket_connect_timeout": timeout, "retry": _retry()}
    return redis.Redis(host=host, port=int(port), **arguments)


def _retry() -> Retry:
    """Once more, at once, if the connection was lost, as it is when Redis was restarted; never after a timeout."""
    return Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))


@contextmanager
def _redis_errors(address: str) -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        raise OnlineStoreError(f"the online store on Redis at {address} failed ({error}); see `tidemark doctor`") from error
