"""The last step of `make setup`: what the services need besides Python's packages (Java, a Redis server, Kafka's jars)."""

import sys
from collections.abc import Callable

from infra.local import apt, jars, java, redis
from infra.local.errors import ServiceError

JAVA_PACKAGES = ("openjdk-17-jre-headless", "openjdk-21-jre-headless")  # Debian 12 has the first, newer ones the second


def main() -> None:
    """Find or install each; prints what it does. What Spark alone needs may stay missing: nothing but Spark's commands stops there."""
    try:
        _find_or_install(redis.executable, "redis-server")
        try:
            _find_or_install(java.for_spark, *JAVA_PACKAGES)
        except ServiceError as error:
            print(f"note: {error}; all that does without Spark works")
        java.for_broker()
        if jars.KAFKA.missing(jars.KAFKA.folder()):
            print("fetching Kafka's jars (41 MB, once per user)")
        jars.KAFKA.ensure()
        if jars.SPARK.missing(jars.SPARK.folder()):
            print("fetching Spark's connectors (23 MB, once per user)")
        jars.SPARK.ensure()
    except ServiceError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def _find_or_install(find: Callable[[], object], *packages: str) -> None:
    try:
        find()
    except ServiceError:
        if not apt.installable():
            raise
        print(f"installing {' or '.join(packages)} with apt-get")
        if not apt.install(*packages):
            raise
        find()


if __name__ == "__main__":
    main()
