"""Where the offline store lies: a folder, or an S3 prefix, as Arrow, Delta and Spark each want it written.

S3 is configured as everywhere else: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, and AWS_ENDPOINT_URL for a
server other than Amazon's.
"""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow.fs as pa_fs

from features.errors import UserError

_REGION = "us-east-1"


@dataclass(frozen=True)
class Storage:
    """A place for files: ``url`` is an absolute path or ``s3://bucket/prefix``, without a slash at its end."""

    url: str

    @classmethod
    def of(cls, place: str | Path) -> "Storage":
        """The storage at a folder or an s3:// URL. Raises UserError for any other URL."""
        text = str(place)
        scheme, separator, rest = text.partition("://")
        if not separator:
            return cls(str(Path(text).resolve()))
        bucket = rest.partition("/")[0]
        if scheme != "s3" or not bucket:
            raise UserError(f"the offline store can't lie at {text!r}; name a folder, or a prefix such as s3://bucket/tidemark")
        return cls(text.rstrip("/"))

    @property
    def is_remote(self) -> bool:
        """Whether it is S3."""
        return self.url.startswith("s3://")

    def at(self, *names: str) -> "Storage":
        """What lies below under these names."""
        return Storage("/".join([self.url, *names]))

    def arrow(self) -> tuple[pa_fs.FileSystem, str]:
        """Arrow's file system, and this place's path in it."""
        if not self.is_remote:
            return pa_fs.LocalFileSystem(), self.url
        endpoint = urlsplit(os.environ.get("AWS_ENDPOINT_URL", ""))
        elsewhere = {"endpoint_override": endpoint.netloc, "scheme": endpoint.scheme} if endpoint.netloc else {}
        return pa_fs.S3FileSystem(region=_region(), **elsewhere), self.url.removeprefix("s3://")

    def require_writable(self) -> None:
        """Raises UserError if no file can be put here; before long work that would end with that. A folder is not made yet."""
        try:
            if self.is_remote:
                filesystem, path = self.arrow()
                probe = f"{path}/.tidemark-{os.getpid()}"
                with filesystem.open_output_stream(probe):
                    pass
                filesystem.delete_file(probe)
            else:
                folder = Path(self.url)
                with tempfile.TemporaryFile(dir=next(each for each in (folder, *folder.parents) if each.exists())):
                    pass
        except OSError as error:
            reason = error.strerror or str(error).splitlines()[0].rstrip(".")
            raise UserError(
                f"the offline store at {self.url} can't be written ({reason}); make it yours to write, or name another"
            ) from None

    def delta_options(self) -> Mapping[str, str]:
        """Delta's storage options; credentials it finds in the environment by itself."""
        if not self.is_remote:
            return {}
        endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
        elsewhere = {"AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": str(endpoint.startswith("http://")).lower()} if endpoint else {}
        return {"AWS_REGION": _region(), **elsewhere}

    @property
    def spark_url(self) -> str:
        """The address that Spark reads and writes."""
        return self.url.replace("s3://", "s3a://", 1)

    def spark_settings(self) -> Mapping[str, str]:
        """The settings with which Spark's session reaches it; credentials come from the environment, by hadoop-aws's default chain."""
        if not self.is_remote:
            return {}
        settings = {"spark.hadoop.fs.s3a.endpoint.region": _region()}
        endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
        if endpoint:
            settings |= {
                "spark.hadoop.fs.s3a.endpoint": endpoint,
                "spark.hadoop.fs.s3a.path.style.access": "true",
                "spark.hadoop.fs.s3a.connection.ssl.enabled": str(endpoint.startswith("https://")).lower(),
            }
        return settings


def _region() -> str:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or _REGION
