"""The authorities that Java is made to trust are the system's."""

import datetime
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from infra.local import java, truststore


def authority(name: str) -> bytes:
    """A self-signed certificate as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begin = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 7, begin, begin.replace(year=2040))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_java_reads_every_authority_of_the_bundle_but_those_that_are_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    nonsense = b"-----BEGIN CERTIFICATE-----\nbm9uc2Vuc2U=\n-----END CERTIFICATE-----\n"
    bundle.write_bytes(b"# ours\n" + authority("ours") + nonsense + authority("theirs"))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    store = truststore.options(tmp_path)[0].partition("=")[2]
    keytool = java.for_broker().executable.resolve().with_name("keytool")
    listed = subprocess.run(
        [keytool, "-list", "-keystore", store, "-storepass", truststore.PASSWORD], capture_output=True, text=True, check=True
    )
    assert listed.stdout.count("trustedCertEntry") == 2


def test_without_a_bundle_java_keeps_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setattr(truststore, "SYSTEM_BUNDLES", (tmp_path / "none.pem",))
    assert truststore.options(tmp_path) == []
