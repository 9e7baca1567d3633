"""Apache Kafka's jars, fetched once through the Ivy inside PySpark and kept in the user's cache, shared by all homes."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from infra.local import java
from infra.local.errors import ServiceError

KAFKA_VERSION = "4.2.0"
LOG4J_VERSION = "2.25.3"
# sha256 and name of every jar, as `sha256sum *.jar` prints them: what is fetched must be exactly this.
LOCK_FILE = Path(__file__).with_name("kafka-jars.sha256")

# How the lines of Ivy's output begin that tell why.
CAUSES = ("Host ", "SERVER ERROR", "module not found", "[FAILED", "Server access")
# log4j-slf4j-impl belongs to Kafka's distribution but not to its module's dependencies; without it the broker logs nothing.
IVY_MODULE = f"""<ivy-module version="2.0">
  <info organisation="tidemark" module="broker"/>
  <configurations><conf name="default"/></configurations>
  <dependencies>
    <dependency org="org.apache.kafka" name="kafka_2.13" rev="{KAFKA_VERSION}" conf="default->default"/>
    <dependency org="org.apache.logging.log4j" name="log4j-slf4j-impl" rev="{LOG4J_VERSION}" conf="default->default"/>
  </dependencies>
</ivy-module>
"""


def folder() -> Path:
    """Where the jars are kept: `tidemark/kafka-<version>` under XDG_CACHE_HOME, by default under ~/.cache."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "tidemark" / f"kafka-{KAFKA_VERSION}"


def locked() -> Mapping[str, str]:
    """Jar name → sha256 in hexadecimal."""
    return {name: digest for digest, name in (line.split() for line in LOCK_FILE.read_text().splitlines())}


def missing(jars: Path) -> list[str]:
    """The names of the jars that are not in the folder."""
    return [name for name in locked() if not (jars / name).is_file()]


def broken(jars: Path) -> list[str]:
    """The names of the jars that are not in the folder, or not what they should be. Reads them all (40 MB)."""
    return [name for name, digest in locked().items() if not (jars / name).is_file() or _sha256(jars / name) != digest]


def ensure() -> Path:
    """The folder with all jars, fetched first if need be. Safe to be called by several processes at once.

    Raises ServiceError if they cannot be had or are not the ones locked.
    """
    jars = folder()
    if not missing(jars):
        return jars
    try:
        jars.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="fetching-", dir=jars.parent) as scratch:
            fetched = _fetch(Path(scratch))
            if wrong := broken(fetched):
                raise ServiceError(
                    f"these of Kafka's jars came other than {LOCK_FILE} has them: {', '.join(wrong)}; check your Maven mirror"
                )
            _put_in_place(fetched, jars)
    except OSError as error:
        raise ServiceError(
            f"Kafka's jars cannot be kept in {jars}: {error.strerror}; free some space there or set XDG_CACHE_HOME to a writable folder"
        ) from error
    return jars


def _fetch(scratch: Path) -> Path:
    """Download into the scratch folder; returns the folder of the jars."""
    from infra.local import truststore  # its cryptography is needed for this one download only

    module = scratch / "ivy.xml"
    module.write_text(IVY_MODULE)
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
        raise ServiceError(f"Kafka's jars could not be fetched ({cause}); check the network, then run the command again")
    return jars


def _proxy_options() -> list[str]:
    """Java does not look at https_proxy, by which everything else on this machine may get out."""
    proxy = urlsplit(os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY") or "")
    return [f"-Dhttps.proxyHost={proxy.hostname}", f"-Dhttps.proxyPort={proxy.port or 3128}"] if proxy.hostname else []


def _put_in_place(fetched: Path, jars: Path) -> None:
    """One rename, so that nobody ever sees half of it; whoever comes second keeps what the first has put there."""
    if jars.exists() and missing(jars):
        shutil.rmtree(jars)
    try:
        fetched.rename(jars)
    except OSError:
        if missing(jars):
            raise


def _ivy() -> Path:
    spec = find_spec("pyspark")
    if spec is not None and spec.origin is not None:
        for jar in (Path(spec.origin).parent / "jars").glob("ivy-*.jar"):
            return jar
    raise ServiceError("PySpark, whose Ivy fetches Kafka's jars, is not installed; run `make setup`")


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
