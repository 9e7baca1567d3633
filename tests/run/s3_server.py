"""A real S3 server for tests: S3Proxy on a folder, in a process of its own, reached as everything else is, by AWS_* variables."""

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow.fs as pa_fs

from infra.local import java, ports
from infra.local.jars import Dependency, JarSet

S3PROXY_VERSION = "4.1.0"
_SDK = "software.amazon.awssdk"
_SDK_VERSION = "2.54.2"
_JACKSON_VERSION = "3.2.2"

# Of the 150 jars that its module asks for, those that it loads when it serves a folder.
S3PROXY = JarSet(
    f"s3proxy-{S3PROXY_VERSION}",
    "S3Proxy",
    tuple(
        Dependency(organisation, name, version, alone=True)
        for organisation, name, version in (
            ("org.gaul", "s3proxy", S3PROXY_VERSION),
            ("args4j", "args4j", "2.37"),
            ("com.fasterxml.jackson.core", "jackson-annotations", "2.22"),
            ("com.fasterxml.woodstox", "woodstox-core", "7.2.1"),
            ("com.google.guava", "guava", "33.7.1-jre"),
            ("com.google.guava", "failureaccess", "1.0.3"),
            ("jakarta.servlet", "jakarta.servlet-api", "6.0.0"),
            ("org.codehaus.woodstox", "stax2-api", "4.3.0"),
            ("org.slf4j", "slf4j-api", "2.0.18"),
            ("org.slf4j", "slf4j-nop", "2.0.18"),
            ("tools.jackson.core", "jackson-core", _JACKSON_VERSION),
            ("tools.jackson.core", "jackson-databind", _JACKSON_VERSION),
            ("tools.jackson.dataformat", "jackson-dataformat-xml", _JACKSON_VERSION),
            (_SDK, "aws-core", _SDK_VERSION),
            (_SDK, "checksums", _SDK_VERSION),
            (_SDK, "checksums-spi", _SDK_VERSION),
            (_SDK, "http-client-spi", _SDK_VERSION),
            (_SDK, "s3", _SDK_VERSION),
            (_SDK, "sdk-core", _SDK_VERSION),
            (_SDK, "utils", _SDK_VERSION),
        )
    ),
    Path(__file__).with_name("s3proxy-jars.sha256"),
)
BUCKET = "tidemark"
_IDENTITY, _CREDENTIAL, _REGION = "local", "secret", "us-east-1"


@contextmanager
def s3_server(folder: Path) -> Iterator[Mapping[str, str]]:
    """Serves the bucket ``BUCKET``, kept in the folder; yields the environment variables by which clients find it."""
    port = ports.choose([], set())
    address = f"127.0.0.1:{port}"
    data = folder / "buckets"
    data.mkdir(parents=True)
    settings = folder / "s3proxy.properties"
    settings.write_text(
        f"s3proxy.authorization=aws-v2-or-v4\ns3proxy.endpoint=http://{address}\n"
        f"s3proxy.identity={_IDENTITY}\ns3proxy.credential={_CREDENTIAL}\n"
        f"jclouds.provider=filesystem-nio2\njclouds.filesystem.basedir={data}\n"
    )
    classes = ":".join(map(str, S3PROXY.paths()))
    command = [str(java.for_broker().executable), "-Xmx256m", "-cp", classes, "org.gaul.s3proxy.Main", "--properties", str(settings)]
    with (folder / "s3proxy.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            _make_bucket(process, port, address, folder / "s3proxy.log")
            yield {
                "AWS_ACCESS_KEY_ID": _IDENTITY,
                "AWS_SECRET_ACCESS_KEY": _CREDENTIAL,
                "AWS_REGION": _REGION,
                "AWS_ENDPOINT_URL": f"http://{address}",
            }
        finally:
            process.kill()
            process.wait()


def _make_bucket(process: subprocess.Popen[bytes], port: int, address: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while not ports.accepts("127.0.0.1", port):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, f"S3Proxy did not come up: {log.read_text()}"
        time.sleep(0.1)
    pa_fs.S3FileSystem(
        access_key=_IDENTITY,
        secret_key=_CREDENTIAL,
        region=_REGION,
        endpoint_override=address,
        scheme="http",
        allow_bucket_creation=True,
    ).create_dir(BUCKET)
