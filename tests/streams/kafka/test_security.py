"""What a file of security properties may say, and what it is called by each kind of client. Brokers: ``test_security_on_a_broker.py``."""

import logging
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from features.errors import UserError
from streams.config import DeploymentConfig
from streams.kafka import client
from streams.kafka.client import KafkaClients
from streams.kafka.security import PROPERTIES, aiokafka_options, java_options, parse_security, read_security

SASL = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "me", "sasl.password": "secret"}


def text(properties: dict[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in properties.items())


def test_properties_stand_one_a_line_with_comments_and_blanks_around() -> None:
    written = (
        "# of our cluster\n\n  security.protocol = SASL_SSL\nsasl.mechanisms=SCRAM-SHA-512\nsasl.username=me\nsasl.password= a=b#c\\d \n"
    )
    assert parse_security(written, "it") == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "me",
        "sasl.password": "a=b#c\\d",
    }


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("", r"k must name security\.protocol, one of PLAINTEXT, SSL"),
        ("security.protocol=TLS", r"k must name security\.protocol"),
        ("security.protocol=PLAINTEXT\nsecret", r'k, line 2, has no "="'),
        ("security.protocol=PLAINTEXT\nlinger.ms=5", r"line 2: linger\.ms is not a security property"),
        ("security.protocol=PLAINTEXT\nsecret of mine==", "line 2: this is not a security property"),
        ("sasl.oauthbearer.config=x", r"line 1: sasl\.oauthbearer\.config is not supported"),
        ("enable.ssl.certificate.verification=false", "is not supported"),
        ("security.protocol=SSL\nsecurity.protocol=SSL", r"line 2, gives security\.protocol a second time"),
        ("security.protocol=", r"line 1: security\.protocol has no value"),
        (text(SASL | {"security.protocol": "PLAINTEXT"}), r"sasl\.password, which count only with security\.protocol=SASL_PLAINTEXT or"),
        (text(SASL | {"ssl.ca.location": "/ca.pem"}), r"ssl\.ca\.location, which count only with"),
        ("security.protocol=SASL_SSL\nsasl.username=me", r"lacks sasl\.mechanism and sasl\.password"),
        (text(SASL | {"sasl.mechanism": "GSSAPI"}), r"sasl\.mechanism must be one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"),
        ("security.protocol=SSL\nssl.ca.location=/no/such.pem", r"ssl\.ca\.location names /no/such\.pem, which is not a file"),
        ("security.protocol=SSL\nssl.certificate.location=/c.pem", r"a client certificate needs both"),
        ("security.protocol=SSL\nssl.key.password=secret", r"ssl\.key\.password without ssl\.key\.location"),
        ("security.protocol=SSL\nssl.endpoint.identification.algorithm=no", "must be https or none"),
    ],
)
def test_what_is_wrong_is_named_and_no_value_is_shown(written: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint) as raised:
        parse_security(written, "k")
    assert "secret" not in str(raised.value)


def test_a_file_that_is_missing_or_no_text_is_named_with_the_variable(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere can't be read \(No such file.*TIDEMARK_KAFKA_SECURITY"):
        read_security(tmp_path / "nowhere")
    (tmp_path / "keystore").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="it is not UTF-8"):
        read_security(tmp_path / "keystore")


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o604, True)])
def test_a_password_that_others_can_read_is_warned_of(tmp_path: Path, mode: int, warned: bool, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "kafka.security"
    file.write_text(text(SASL))
    file.chmod(mode)
    with caplog.at_level(logging.WARNING):
        assert read_security(file) == SASL
    assert ("chmod 600" in caplog.text) == warned
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("mechanism", "module"),
    [
        ("PLAIN", "plain.PlainLoginModule"),
        ("SCRAM-SHA-256", "scram.ScramLoginModule"),
        ("SCRAM-SHA-512", "scram.ScramLoginModule"),
    ],
)
def test_java_gets_a_login_module_with_user_and_password_quoted(mechanism: str, module: str) -> None:
    assert java_options(SASL | {"sasl.mechanism": mechanism, "sasl.password": 'a"b\\c'}) == {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": mechanism,
        "sasl.jaas.config": f'org.apache.kafka.common.security.{module} required username="me" password="a\\"b\\\\c";',
    }


def test_java_gets_what_pem_files_hold_and_the_key_as_it_reads_keys(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    encrypted = serialization.BestAvailableEncryption(b"word")
    (tmp_path / "key").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, encrypted))
    for name in ("ca", "certificate"):
        (tmp_path / name).write_text(f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n")
    security = {
        "security.protocol": "SSL",
        "ssl.ca.location": str(tmp_path / "ca"),
        "ssl.certificate.location": str(tmp_path / "certificate"),
        "ssl.key.location": str(tmp_path / "key"),
        "ssl.key.password": "word",
        "ssl.endpoint.identification.algorithm": "none",
    }
    options = java_options(security)
    assert options.pop("ssl.keystore.key").startswith("-----BEGIN PRIVATE KEY-----\n")
    assert options == {
        "security.protocol": "SSL",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.certificates": (tmp_path / "ca").read_text(),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.certificate.chain": (tmp_path / "certificate").read_text(),
        "ssl.endpoint.identification.algorithm": "",
    }
    with pytest.raises(UserError, match=r"ssl\.key\.location .*key can't be opened"):
        java_options(security | {"ssl.key.password": "another"})
    (tmp_path / "ca").write_text("no certificate")
    with pytest.raises(UserError, match=r"ssl\.ca\.location .*ca is not a PEM file"):
        java_options(security)


def test_aiokafka_gets_keywords_and_a_context() -> None:
    assert aiokafka_options({}) == {}
    assert aiokafka_options(SASL) == {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "me",
        "sasl_plain_password": "secret",
    }
    context = aiokafka_options({"security.protocol": "SSL"})["ssl_context"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    lax = aiokafka_options({"security.protocol": "SSL", "ssl.endpoint.identification.algorithm": "none"})["ssl_context"]
    assert (lax.verify_mode, lax.check_hostname) == (ssl.CERT_REQUIRED, False)


def test_certificates_that_aiokafka_cannot_use_are_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(UserError, match=r"the certificates for Kafka can't be used .*ca\.pem"):
        aiokafka_options({"security.protocol": "SSL", "ssl.ca.location": str(tmp_path / "ca.pem")})


def test_without_security_clients_get_servers_and_a_name_only() -> None:
    clients = KafkaClients("a:1,b:2", client_id="mine")
    assert clients.aiokafka_options() == {"bootstrap_servers": "a:1,b:2", "client_id": "mine"}
    assert clients.spark_options() == {"kafka.bootstrap.servers": "a:1,b:2", "kafka.client.id": "mine"}


def test_librdkafka_gets_the_properties_as_they_are_whatever_else_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "Producer", dict)
    monkeypatch.setattr(client, "Consumer", dict)
    monkeypatch.setattr(client, "AdminClient", dict)
    clients = KafkaClients("a:1", SASL, "mine")
    ours = {"reconnect.backoff.max.ms": 1_000, "logger": logging.getLogger("streams.kafka.librdkafka")}
    expected = {"bootstrap.servers": "a:1", "client.id": "mine", **SASL, **ours}
    assert clients.producer({"linger.ms": 2}) == {"linger.ms": 2, **expected}
    assert clients.consumer({"group.id": "g"}) == {"group.id": "g", **expected}
    assert clients.admin() == expected
    assert clients.producer({"reconnect.backoff.max.ms": 5})["reconnect.backoff.max.ms"] == 5


def test_every_property_is_one_that_librdkafka_knows(tmp_path: Path) -> None:
    """A producer connects to nobody until it has to; an unknown property it refuses at once."""
    key = ec.generate_private_key(ec.SECP256R1())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "key").write_bytes(key.private_bytes(*form))
    values = SASL | {"ssl.endpoint.identification.algorithm": "https", "ssl.key.location": str(tmp_path / "key"), "ssl.key.password": "x"}
    known = {name: values[name] for name in PROPERTIES if name in values}
    KafkaClients("127.0.0.1:1", known).producer({"log_level": 0})


def test_nothing_that_is_printed_shows_a_secret() -> None:
    config = DeploymentConfig(kafka="a:1", redis="redis://:secret@h", mlflow="http://u:secret@h", feast_repo="/f", kafka_security=SASL)
    assert "secret" not in f"{config!r} {config} {KafkaClients.of(config)!r}"
