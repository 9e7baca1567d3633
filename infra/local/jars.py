"""Jars of the broker and of Spark's connectors, fetched once through the Ivy inside PySpark.

They are kept in the user's cache, shared by all homes.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from infra.local import java
from infra.local.errors import ServiceError

KAFKA_VERSION = "4.2.0"
LOG4J_VERSION = "2.25.3"
SPARK_VERSION = "4.2.0"
# That of the Hadoop inside PySpark.
HADOOP_VERSION = "3.5.0"
AWS_SDK_VERSION = "2.35.4"

# How the lines of Ivy's output begin that name the reason.
CAUSES = ("Host ", "SERVER ERROR", "module not found", "[FAILED", "Server access")


@dataclass(frozen=True)
class Dependency:
    """A module of a Maven repository, with all that it needs unless ``alone``."""

    organisation: str
    name: str
    version: str
    alone: bool = False

    def to_xml(self) -> str:
        """As Ivy's module files have it."""
        transitive = ' transitive="false"' if self.alone else ""
        return f'<dependency org="{self.organisation}" name="{self.name}" rev="{self.version}" conf="default->default"{transitive}/>'


@dataclass(frozen=True)
class JarSet:
    """Jars that belong together. ``name`` is that of their folder in the cache, ``left_out`` are modules (organisation and name) that are
    there already.

    ``lock_file`` has the sha256 and name of every jar, as `sha256sum *.jar` prints them: what is fetched must be exactly this.
    """

    name: str
    title: str
    dependencies: Sequence[Dependency]
    lock_file: Path
    left_out: Sequence[tuple[str, str]] = ()

    def folder(self) -> Path:
        """Where the jars are kept: `tidemark/<name>` under XDG_CACHE_HOME, by default under ~/.cache."""
        cache = os.environ.get("XDG_CACHE_HOME")
        return (Path(cache) if cache else Path.home() / ".cache") / "tidemark" / self.name

    def locked(self) -> Mapping[str, str]:
        """Jar name → sha256 in hexadecimal."""
        return {name: digest for digest, name in (line.split() for line in self.lock_file.read_text().splitlines())}

    def missing(self, jars: Path) -> list[str]:
        """The names of the jars that are not in the folder."""
        return [name for name in self.locked() if not (jars / name).is_file()]

    def broken(self, jars: Path) -> list[str]:
        """The names of the jars that are not in the folder, or not what they should be. Reads them all (40 MB)."""
        return [name for name, digest in self.locked().items() if not (jars / name).is_file() or _sha256(jars / name) != digest]

    def ensure(self) -> Path:
        """The folder with all jars, fetched first if need be. Safe to be called by several processes at once.

        Raises ServiceError if they cannot be had or are not the ones locked.
        """
        jars = self.folder()
        if not self.missing(jars):
            return jars
        try:
            jars.parent.mkdir(parents=True, exist_ok=True)
            print(f"fetching {self.title}'s jars into {jars}, once for all deployments of this account", file=sys.stderr)
            with tempfile.TemporaryDirectory(prefix="fetching-", dir=jars.parent) as scratch:
                fetched = _fetch(self, Path(scratch))
                if wrong := self.broken(fetched):
                    raise ServiceError(
                        f"these of {self.title}'s jars came other than {self.lock_file} has them: {', '.join(wrong)}; "
                        "check your Maven mirror"
                    )
                self._put_in_place(fetched, jars)
        except OSError as error:
            raise ServiceError(
                f"{self.title}'s jars cannot be kept in {jars}: {error.strerror}; free some space there or set XDG_CACHE_HOME to a "
                "writable folder"
            ) from error
        return jars

    def paths(self) -> list[Path]:
        """All jars, fetched first if need be. Raises as ``ensure``."""
        jars = self.ensure()
        return [jars / name for name in self.locked()]

    def _put_in_place(self, fetched: Path, jars: Path) -> None:
        """One rename, so that nobody ever sees half of it; whoever comes second keeps what the first has put there."""
        if jars.exists() and self.missing(jars):
            shutil.rmtree(jars)
        try:
            fetched.rename(jars)
        except OSError:
            if self.missing(jars):
                raise


KAFKA = JarSet(
    f"kafka-{KAFKA_VERSION}",
    "Kafka",
    (
        Dependency("org.apache.kafka", "kafka_2.13", KAFKA_VERSION),
        # It belongs to Kafka's distribution but not to its module's dependencies; without it the broker logs nothing.
        Dependency("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J_VERSION),
    ),
    Path(__file__).with_name("kafka-jars.sha256"),
)
# Spark's connector to Kafka, and hadoop-aws for S3 with those parts of Amazon's SDK that it uses; the bundle it asks for has 600 MB.
SPARK = JarSet(
    f"spark-{SPARK_VERSION}",
    "Spark",
    (
        Dependency("org.apache.spark", "spark-sql-kafka-0-10_2.13", SPARK_VERSION),
        Dependency("org.apache.hadoop", "hadoop-aws", HADOOP_VERSION, alone=True),
        Dependency("software.amazon.awssdk", "s3", AWS_SDK_VERSION),
        Dependency("software.amazon.awssdk", "s3-transfer-manager", AWS_SDK_VERSION),
        Dependency("software.amazon.awssdk", "sts", AWS_SDK_VERSION),
        Dependency("software.amazon.s3.analyticsaccelerator", "analyticsaccelerator-s3", "1.3.1", alone=True),
    ),
    Path(__file__).with_name("spark-jars.sha256"),
    # PySpark brings these, in versions of its own.
    left_out=(
        ("org.apache.hadoop", "hadoop-client-api"),
        ("org.apache.hadoop", "hadoop-client-runtime"),
        ("org.scala-lang", "*"),
        ("org.scala-lang.modules", "*"),
        ("org.apache.spark", "spark-tags_2.13"),
        ("io.netty", "*"),
        ("org.slf4j", "*"),
        ("org.apache.httpcomponents", "*"),
        ("commons-codec", "*"),
        ("com.google.code.findbugs", "*"),
        ("org.xerial.snappy", "*"),
        ("at.yawk.lz4", "*"),
        ("org.lz4", "*"),
    ),
)


def _fetch(wanted: JarSet, scratch: Path) -> Path:
    """Download into the scratch folder; returns the folder of the jars."""
    from infra.local import truststore  # its cryptography is needed for this one download only

    module = scratch / "ivy.xml"
    module.write_text(_ivy_module(wanted))
    jars = scratch / "jars"
    command = [
        *(str(java.for_broker().executable), *truststore.options(scratch), *_proxy_options(), f"-Duser.home={scratch}"),
        *("-jar", str(_ivy()), "-novalidate", "-ivy", str(module), "-cache", str(scratch / "cache"), "-confs", "default"),
        *("-retrieve", f"{jars}/[artifact]-[revision].[ext]", "-warn"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0 or not jars.is_dir():
        lines = [line.strip().partition(" url=")[0] for line in (done.stdout + done.stderr).splitlines()]
        cause = next((line for line in lines if line.startswith(CAUSES)), "no reason given")
        raise ServiceError(f"{wanted.title}'s jars could not be fetched ({cause}); check the network, then run the command again")
    return jars


def _ivy_module(wanted: JarSet) -> str:
    lines = [dependency.to_xml() for dependency in wanted.dependencies]
    lines += [f'<exclude org="{organisation}" module="{name}"/>' for organisation, name in wanted.left_out]
    return (
        '<ivy-module version="2.0"><info organisation="tidemark" module="jars"/>'
        f'<configurations><conf name="default"/></configurations><dependencies>{"".join(lines)}</dependencies></ivy-module>'
    )


def _proxy_options() -> list[str]:
    """Java does not look at https_proxy, by which everything else on this machine may get out."""
    proxy = urlsplit(os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY") or "")
    return [f"-Dhttps.proxyHost={proxy.hostname}", f"-Dhttps.proxyPort={proxy.port or 3128}"] if proxy.hostname else []


def _ivy() -> Path:
    spec = find_spec("pyspark")
    if spec is not None and spec.origin is not None:
        for jar in (Path(spec.origin).parent / "jars").glob("ivy-*.jar"):
            return jar
    raise ServiceError("PySpark, whose Ivy fetches jars, is not installed; run `make setup`")


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
