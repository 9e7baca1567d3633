"""Writes a ready Feast repository: its settings, its views' file, and the registry with everything applied."""

import hashlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import yaml

from features.definitions import FEATURE_SETS
from features.errors import UserError
from features.feast_import import import_feast
from features.offline.spark_session import LOCAL_SETTINGS
from features.offline.storage import Storage
from features.online.views import PROJECT

SETTINGS_FILE = "feature_store.yaml"
# The same views and stores, but what is asked of the past is answered by Spark.
SPARK_SETTINGS = "feature_store.spark.yaml"
# For an environment with Feast and without Tidemark: online values only.
ONLINE_SETTINGS = "feature_store.online.yaml"
REGISTRY = "registry.db"
_VIEWS = "views.py"
_STAMP = "written.json"

# How long a process may go on with views that were replaced meanwhile.
_REGISTRY_TTL_S = 60


def write(repo_path: Path, redis_url: str, offline: Storage | None = None, class_path: str = "") -> None:
    """Makes ``repo_path`` a Feast repository on the Redis at ``redis_url``; does nothing if it is that already.

    ``offline`` is where the offline store's tables lie, ``offline`` beside the repository if it isn't given; ``class_path`` names the
    jars that Spark needs for S3. Redis needn't run, nor need there be any table. Each file is replaced whole, so that processes which read
    the repository meanwhile see the old or the new. Raises UserError if the address is none that Feast can use.
    """
    store = offline or Storage.of(repo_path.parent / "offline")
    settings = _settings(redis_url, {"type": "features.offline.feast_offline.ParquetOfflineStore", "url": store.url})
    by_spark = _settings(redis_url, spark_store(store, class_path))
    online_only = _settings(redis_url, {"type": "file"})
    views = files("features.feast_repo").joinpath(_VIEWS).read_text()
    stamp = json.dumps({"feast": version("feast"), "content": _digest(settings, by_spark, views)}, indent=1) + "\n"
    if _is_written(repo_path, stamp):
        return
    repo_path.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=".making-", dir=repo_path.parent))
    try:
        for name, text in ((SETTINGS_FILE, settings), (SPARK_SETTINGS, by_spark), (ONLINE_SETTINGS, online_only)):
            (making / name).write_text(text)
            # It may hold a password.
            (making / name).chmod(0o600)
        (making / _VIEWS).write_text(views)
        (making / _STAMP).write_text(stamp)
        _apply(making)
        # The stamp comes last: until it is there, the next call starts over.
        for name in (REGISTRY, _VIEWS, SPARK_SETTINGS, ONLINE_SETTINGS, SETTINGS_FILE, _STAMP):
            os.replace(making / name, repo_path / name)
    finally:
        shutil.rmtree(making)


def spark_store(store: Storage, class_path: str = "", memory: str = "4g") -> dict[str, Any]:
    """The ``offline_store`` by Spark on all cores of this machine; ``memory`` is the heap of its JVM."""
    return {
        "type": "features.offline.feast_spark.SparkParquetOfflineStore",
        "url": store.url,
        "spark_conf": {
            "spark.master": "local[*]",
            "spark.driver.memory": memory,
            **LOCAL_SETTINGS,
            "spark.sql.execution.arrow.pyspark.enabled": "true",
            "spark.sql.adaptive.enabled": "true",
            **({"spark.driver.extraClassPath": class_path} if class_path else {}),
            **store.spark_settings(),
        },
    }


def connection_string(redis_url: str) -> str:
    """The address of a Redis as Feast's settings want it, from ``redis[s]://[user:password@]host[:port][/db]``.

    Raises UserError if the address is of another form.
    """
    url = _parsed(redis_url)
    database = url.path.strip("/")
    parameters: dict[str, str | int | bool] = {"db": int(database) if database else 0}
    if url.scheme == "rediss":
        parameters["ssl"] = True
    if url.username:
        parameters["username"] = unquote(url.username)
    if url.password:
        parameters["password"] = unquote(url.password)
    parameters |= {name: int(value) if value.isdecimal() else value for name, value in parse_qsl(url.query)}
    host = f"{url.hostname}:{url.port or 6379}"
    return ",".join([host, *(f"{name}={_quoted(value)}" for name, value in parameters.items())])


def _parsed(redis_url: str) -> SplitResult:
    fix = "give redis://host:port/db, with user:password@ before the host if it needs them"
    try:
        url = urlsplit(redis_url)
        url.port  # noqa: B018 - raises ValueError if it is none
    except ValueError as error:
        raise UserError(f"Redis address {redis_url!r} can't be read ({error}); {fix}") from error
    database = url.path.strip("/")
    if url.scheme not in ("redis", "rediss") or not url.hostname or ":" in url.hostname or (database and not database.isdecimal()):
        raise UserError(f"Redis address {redis_url!r} is not one that Feast can use; {fix}")
    return url


def _quoted(value: str | int | bool) -> str:
    """The value as JSON, which Feast reads; what its splitting or the shell-like expansion of its settings would trip over, escaped."""
    return json.dumps(value).replace(",", "\\u002c").replace("$", "\\u0024")


def _settings(redis_url: str, offline_store: Mapping[str, Any]) -> str:
    settings: str = yaml.safe_dump(
        {
            "project": PROJECT,
            "provider": "local",
            "registry": {"path": REGISTRY, "cache_ttl_seconds": _REGISTRY_TTL_S},
            "online_store": {
                "type": "redis",
                "connection_string": connection_string(redis_url),
                # Feast drops a value whose time isn't later than the one stored; ours may be of the same instant, and newer.
                "skip_dedup": True,
            },
            "offline_store": offline_store,
            "entity_key_serialization_version": 3,
        },
        sort_keys=False,
        width=1000,
    )
    return settings


def _digest(*texts: str) -> str:
    generators = [files("features.online").joinpath(name).read_text() for name in ("feast_views.py", "views.py")]
    meaning = [*texts, *generators, *(f"{name} {found.digest}" for name, found in FEATURE_SETS.items())]
    return hashlib.sha256("\0".join(meaning).encode()).hexdigest()


def _is_written(repo_path: Path, stamp: str) -> bool:
    try:
        return (repo_path / _STAMP).read_text() == stamp and (repo_path / REGISTRY).exists() and (repo_path / SETTINGS_FILE).exists()
    except FileNotFoundError:
        return False


def _apply(repo_path: Path) -> None:
    # Feast takes a second to import, which a second call shall not pay.
    import_feast()
    from feast import FeatureStore

    from features.online.feast_views import objects

    with warnings.catch_warnings():
        # "On demand feature view is an experimental feature": stable, and slow only offline, where we don't use it.
        warnings.filterwarnings("ignore", message="On demand feature view", category=RuntimeWarning)
        FeatureStore(repo_path=str(repo_path)).apply([*objects()])
