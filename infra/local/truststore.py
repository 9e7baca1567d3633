"""Lets Java trust the authorities that this machine trusts: the wheel's own list holds only the public ones."""

import os
import re
import warnings
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12Certificate, serialize_java_truststore
from cryptography.utils import CryptographyDeprecationWarning

SYSTEM_BUNDLES = (Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pki/tls/certs/ca-bundle.crt"), Path("/etc/ssl/cert.pem"))
PASSWORD = "changeit"  # Java's customary one; the file holds nothing secret


def options(scratch: Path) -> list[str]:
    """Java's options to trust the system's certificate authorities, as a store written into `scratch`; none if the system has no list."""
    bundle = _bundle()
    if bundle is None:
        return []
    entries = [PKCS12Certificate(certificate, f"authority-{number}".encode()) for number, certificate in enumerate(_certificates(bundle))]
    store = scratch / "authorities.p12"
    store.write_bytes(serialize_java_truststore(entries, BestAvailableEncryption(PASSWORD.encode())))
    return [
        f"-Djavax.net.ssl.trustStore={store}",
        f"-Djavax.net.ssl.trustStorePassword={PASSWORD}",
        "-Djavax.net.ssl.trustStoreType=PKCS12",
    ]


def _certificates(bundle: Path) -> list[x509.Certificate]:
    readable = []
    for block in re.findall(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", bundle.read_bytes(), re.DOTALL):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)  # old authorities with a serial number of 0
            try:
                readable.append(x509.load_pem_x509_certificate(block))
            except ValueError:
                continue  # one that this library refuses: what it vouches for is then not trusted
    return readable


def _bundle() -> Path | None:
    named = os.environ.get("SSL_CERT_FILE")
    candidates = (Path(named), *SYSTEM_BUNDLES) if named else SYSTEM_BUNDLES
    return next((bundle for bundle in candidates if bundle.is_file()), None)
