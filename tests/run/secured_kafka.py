"""The embedded broker with three listeners more: SASL, SASL over TLS, and TLS that asks for a client's certificate."""

import datetime
import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import msgspec
from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from infra.local import kafka as broker
from infra.local import ports
from streams.config import DeploymentConfig
from streams.kafka.client import KafkaClients
from tests.run.deployment import Deployment, deployed

USER = "tidemark"
MARKER = "xyzzy-4711"
# A quote, a backslash, an "=" and a colon are where escaping fails.
PASSWORD = MARKER + '"\\=:x'
LISTENERS = ("SASL_PLAINTEXT", "SASL_SSL", "SSL")
_KEY_PASSWORD = "of the key"


@dataclass(frozen=True)
class SecuredKafka:
    """A deployment whose broker has these addresses too, by security protocol; ``folder`` has the certificates."""

    deployment: Deployment
    addresses: dict[str, str]
    folder: Path

    def security(self, protocol: str, mechanism: str = "PLAIN", password: str = PASSWORD) -> dict[str, str]:
        """What a client needs for a listener."""
        found = {"security.protocol": protocol}
        if protocol.startswith("SASL"):
            found |= {"sasl.mechanism": mechanism, "sasl.username": USER, "sasl.password": password}
        if protocol.endswith("SSL"):
            found |= {"ssl.ca.location": str(self.folder / "ca.pem")}
        if protocol == "SSL":
            found |= {"ssl.certificate.location": str(self.folder / "client.pem"), "ssl.key.location": str(self.folder / "client.key")}
            found |= {"ssl.key.password": _KEY_PASSWORD}
        return found

    def clients(self, protocol: str, mechanism: str = "PLAIN", password: str = PASSWORD) -> KafkaClients:
        """Clients of a listener."""
        return KafkaClients(self.addresses[protocol], self.security(protocol, mechanism, password))

    def config(self, protocol: str, mechanism: str = "PLAIN", password: str = PASSWORD) -> DeploymentConfig:
        """The deployment as one that knows this listener alone."""
        security = self.security(protocol, mechanism, password)
        return msgspec.structs.replace(self.deployment.config, kafka=self.addresses[protocol], kafka_security=security)

    def environment(self, protocol: str, mechanism: str = "PLAIN", password: str = PASSWORD) -> dict[str, str]:
        """The same for commands, the settings in a file that only we can read."""
        file = self.deployment.home / "kafka.security"
        file.write_text("".join(f"{name}={value}\n" for name, value in self.security(protocol, mechanism, password).items()))
        file.chmod(0o600)
        address = {"TIDEMARK_KAFKA": self.addresses[protocol], "TIDEMARK_KAFKA_SECURITY": str(file)}
        return {**self.deployment.environment, **address}


@contextmanager
def secured(home: Path) -> Iterator[SecuredKafka]:
    """The services with such a broker, whose user has the password by PLAIN and by SCRAM-SHA-512; ended after the block."""
    folder = home / "certificates"
    folder.mkdir(parents=True)
    _write_certificates(folder)
    taken: set[int] = set()
    addresses = {}
    for protocol in LISTENERS:
        port = ports.choose([], taken)
        taken.add(port)
        addresses[protocol] = f"{ports.LOOPBACK}:{port}"
    with mock.patch.object(broker, "BROKER_SETTINGS", _settings(addresses, folder)), deployed(home) as deployment:
        credential = UserScramCredentialUpsertion(USER, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096), PASSWORD.encode())
        admin = AdminClient({"bootstrap.servers": deployment.config.kafka})
        for answer in admin.alter_user_scram_credentials([credential]).values():
            answer.result(30)
        yield SecuredKafka(deployment, addresses, folder)


def _settings(addresses: dict[str, str], folder: Path) -> str:
    listeners = "".join(f",{protocol}://{address}" for protocol, address in addresses.items())
    protocols = "".join(f",{protocol}:{protocol}" for protocol in addresses)
    settings = broker.BROKER_SETTINGS
    settings = settings.replace("PLAINTEXT://{host}:{port},", f"PLAINTEXT://{{host}}:{{port}}{listeners},")
    settings = settings.replace(
        "advertised.listeners=PLAINTEXT://{host}:{port}", f"advertised.listeners=PLAINTEXT://{{host}}:{{port}}{listeners}"
    )
    settings = settings.replace("CONTROLLER:PLAINTEXT", f"CONTROLLER:PLAINTEXT{protocols}")
    # Backslashes are escaped for JAAS, and once more for a properties file.
    quoted = PASSWORD.replace("\\", "\\\\").replace('"', '\\"').replace("\\", "\\\\")
    more = ["sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512", "ssl.keystore.type=PEM", "ssl.truststore.type=PEM"]
    more += [f"ssl.keystore.location={folder / 'broker.pem'}", f"ssl.truststore.location={folder / 'ca.pem'}"]
    more += ["listener.name.ssl.ssl.client.auth=required"]
    for listener in ("sasl_plaintext", "sasl_ssl"):
        module = "org.apache.kafka.common.security"
        more.append(f'listener.name.{listener}.plain.sasl.jaas.config={module}.plain.PlainLoginModule required user_{USER}="{quoted}";')
        more.append(f"listener.name.{listener}.scram-sha-512.sasl.jaas.config={module}.scram.ScramLoginModule required;")
    return settings + "\n".join(more) + "\n"


def _write_certificates(folder: Path) -> None:
    """An authority of our own, and what it has signed for the broker and for a client."""
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = _certificate("Tidemark's tests", ca_key, "Tidemark's tests", ca_key, authority=True)
    (folder / "ca.pem").write_bytes(_pem(ca))
    for name in ("broker", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(name, key, "Tidemark's tests", ca_key, authority=False)
        if name == "broker":
            (folder / "broker.pem").write_bytes(_key(key, serialization.NoEncryption()) + _pem(certificate))
        else:
            (folder / "client.pem").write_bytes(_pem(certificate))
            (folder / "client.key").write_bytes(_key(key, serialization.BestAvailableEncryption(_KEY_PASSWORD.encode())))


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey, *, authority: bool
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    usage = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign"), False)
    usage |= {"encipher_only": False, "decipher_only": False, "digital_signature": True, "key_cert_sign": authority}
    builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
    if not authority:
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(both), critical=False)
        names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(ports.LOOPBACK))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key(key: ec.EllipticCurvePrivateKey, encryption: serialization.KeySerializationEncryption) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
