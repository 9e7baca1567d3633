"""Kafka's own console consumer, in Java: it shares no line with us, so what it counts is what is there."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local import jars, java, truststore

# It belongs to Kafka's distribution but not to what the broker needs, so it is fetched beside the broker's jars.
_JAR = f"kafka-tools-{jars.KAFKA_VERSION}.jar"
_SHA256 = "6b88f3f0799c585b5121d9f710e448cd365d4cfd55ff3ab5d2d81f52ae59030d"
_CLASS = "org.apache.kafka.tools.consumer.ConsoleConsumer"


def tools_jar() -> Path:
    """The jar, fetched through Ivy like the broker's if it isn't there yet."""
    jar = jars.KAFKA.folder().with_name(f"kafka-tools-{jars.KAFKA_VERSION}") / _JAR
    if jar.is_file():
        return jar
    jar.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=jar.parent) as folder:
        scratch = Path(folder)
        trust = (*truststore.options(scratch), *jars._proxy_options(), f"-Duser.home={scratch}")
        dependency = ("-dependency", "org.apache.kafka", "kafka-tools", jars.KAFKA_VERSION, "-confs", "master")
        target = ("-retrieve", f"{scratch}/[artifact]-[revision].[ext]", "-warn")
        command: list[str | Path] = [
            java.for_broker().executable,
            *trust,
            "-jar",
            jars._ivy(),
            "-cache",
            scratch / "cache",
            *dependency,
            *target,
        ]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        fetched = scratch / _JAR
        digest = hashlib.sha256(fetched.read_bytes()).hexdigest()
        assert digest == _SHA256, f"{_JAR} came with the digest {digest}, not {_SHA256}"
        os.replace(shutil.copy(fetched, jar.with_suffix(".new")), jar)
    return jar


@contextmanager
def committed_values(bootstrap_servers: str, topic: str, patience_ms: int = 20_000) -> Iterator[Iterator[bytes]]:
    """The values (JSON objects, one a line) of all committed records of a topic, from its beginning until none came for ``patience_ms``."""
    options = ("--bootstrap-server", bootstrap_servers, "--topic", topic, "--from-beginning", "--isolation-level", "read_committed")
    classpath = f"{jars.KAFKA.ensure()}/*{os.pathsep}{tools_jar()}"
    # Its log would go to the standard output, among the values.
    quiet = "-Dorg.apache.logging.log4j.level=OFF"
    command: list[str | Path] = [
        java.for_broker().executable,
        "-Xmx512m",
        quiet,
        "-cp",
        classpath,
        _CLASS,
        *options,
        "--timeout-ms",
        str(patience_ms),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, bufsize=1 << 20) as process:
        assert process.stdout is not None
        try:
            yield (line for line in process.stdout if line.startswith(b"{"))
        finally:
            process.kill()
