"""TLS and SASL: one file of librdkafka's properties, and what they are called by Kafka's other clients.

The file has a ``name=value`` a line; blank lines and those that begin with ``#`` say nothing. Blanks around names and values are left out,
nothing else is: a backslash or a quote is part of a password. No error shows a value.
"""

import logging
import re
import ssl
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from features.errors import UserError

logger = logging.getLogger(__name__)

PROTOCOL, MECHANISM, USERNAME, PASSWORD = "security.protocol", "sasl.mechanism", "sasl.username", "sasl.password"
CA, CERTIFICATE, KEY, KEY_PASSWORD = "ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.key.password"
HOST_CHECK = "ssl.endpoint.identification.algorithm"
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_JAVA_LOGIN_MODULES = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}
MECHANISMS = tuple(_JAVA_LOGIN_MODULES)
_SASL = (MECHANISM, USERNAME, PASSWORD)
_SSL_FILES = (CA, CERTIFICATE, KEY)
_SSL = (*_SSL_FILES, KEY_PASSWORD, HOST_CHECK)
PROPERTIES = (PROTOCOL, *_SASL, *_SSL)
# librdkafka knows the one property by two names.
_SYNONYMS = {"sasl.mechanisms": MECHANISM}


def read_security(file: Path) -> dict[str, str]:
    """The properties of the file, checked. Warns if others than its owner may read it.

    Raises UserError if it can't be read, or says something that Tidemark's clients can't do all alike.
    """
    try:
        text, mode = file.read_text(encoding="utf-8-sig"), file.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UserError(f"the Kafka security file {file} can't be read ({reason}); correct TIDEMARK_KAFKA_SECURITY or unset it") from error
    security = parse_security(text, str(file))
    if mode & (stat.S_IRGRP | stat.S_IROTH) and not {PASSWORD, KEY_PASSWORD}.isdisjoint(security):
        logger.warning("%s holds a password and can be read by other users of this machine; chmod 600 it", file)
    return security


def parse_security(text: str, where: str) -> dict[str, str]:
    """The properties by their names; ``where`` is what errors call the text. Raises UserError as ``read_security``."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals:
            raise UserError(f'{where}, line {number}, has no "="; write a property a line, as {PROTOCOL}=SASL_SSL')
        name = _SYNONYMS.get(name, name)
        if name not in PROPERTIES:
            raise UserError(f"{where}, line {number}: {_unknown(name)}; the properties are {', '.join(PROPERTIES)}")
        if name in found:
            raise UserError(f"{where}, line {number}, gives {name} a second time; leave one of the two")
        if not value:
            raise UserError(f"{where}, line {number}: {name} has no value; give it one or remove the line")
        found[name] = value
    _check(found, where)
    return found


def _unknown(name: str) -> str:
    # Names are of these letters; whatever else stands before "=" may be part of a secret.
    if re.fullmatch("[a-z.]+", name) and name.startswith(("ssl.", "sasl.", "security.", "enable.ssl.", "enable.sasl.", "https.")):
        return f"{name} is not supported, because librdkafka, Kafka's Java client and aiokafka don't all have it"
    # Whatever stands before "=" in a line that isn't a property may be part of a secret.
    return f"{name} is not a security property" if name.replace(".", "").isalpha() and "." in name else "this is not a security property"


def _check(found: Mapping[str, str], where: str) -> None:
    protocol = found.get(PROTOCOL)
    if protocol not in PROTOCOLS:
        raise UserError(f"{where} must name {PROTOCOL}, one of {', '.join(PROTOCOLS)}")
    _only_with(found, where, _SASL, protocol.startswith("SASL_"), "SASL_PLAINTEXT or SASL_SSL")
    _only_with(found, where, _SSL, protocol.endswith("SSL"), "SSL or SASL_SSL")
    if protocol.startswith("SASL_"):
        if missing := [name for name in _SASL if name not in found]:
            raise UserError(f"{where} asks for {protocol} but lacks {' and '.join(missing)}; add what is missing")
        if found[MECHANISM] not in MECHANISMS:
            raise UserError(f"{where}: {MECHANISM} must be one of {', '.join(MECHANISMS)}")
    if (CERTIFICATE in found) != (KEY in found):
        raise UserError(f"{where} has one of {CERTIFICATE} and {KEY}; a client certificate needs both")
    if KEY_PASSWORD in found and KEY not in found:
        raise UserError(f"{where} has {KEY_PASSWORD} without {KEY}; add the key or remove its password")
    if found.get(HOST_CHECK, "https") not in ("https", "none"):
        raise UserError(f"{where}: {HOST_CHECK} must be https or none")
    for name in _SSL_FILES:
        if name in found and not Path(found[name]).is_file():
            raise UserError(f"{where}: {name} names {found[name]}, which is not a file; give the path of a PEM file")


def _only_with(found: Mapping[str, str], where: str, names: tuple[str, ...], fits: bool, protocols: str) -> None:
    if not fits and (unused := [name for name in names if name in found]):
        raise UserError(f"{where} has {' and '.join(unused)}, which count only with {PROTOCOL}={protocols}; change that or remove them")


def java_options(security: Mapping[str, str]) -> dict[str, str]:
    """The same in the words of Kafka's Java client. What PEM files hold is given, not where they lie: executors needn't have them.

    Raises UserError if a file isn't PEM, or a key can't be opened.
    """
    options = {name: security[name] for name in (PROTOCOL, MECHANISM) if name in security}
    if MECHANISM in security:
        module, user, password = _JAVA_LOGIN_MODULES[security[MECHANISM]], security[USERNAME], security[PASSWORD]
        options["sasl.jaas.config"] = f"{module} required username={_jaas(user)} password={_jaas(password)};"
    if CA in security:
        options |= {"ssl.truststore.type": "PEM", "ssl.truststore.certificates": _pem(security, CA)}
    if CERTIFICATE in security:
        options |= {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.certificate.chain": _pem(security, CERTIFICATE),
            "ssl.keystore.key": _pkcs8(security),
        }
    if HOST_CHECK in security:
        options[HOST_CHECK] = "" if security[HOST_CHECK] == "none" else security[HOST_CHECK]
    return options


def aiokafka_options(security: Mapping[str, str]) -> dict[str, Any]:
    """The same as keywords of aiokafka's clients. Raises UserError if a certificate or key can't be used."""
    if not security:
        return {}
    options: dict[str, Any] = {"security_protocol": security[PROTOCOL]}
    if MECHANISM in security:
        options |= {
            "sasl_mechanism": security[MECHANISM],
            "sasl_plain_username": security[USERNAME],
            "sasl_plain_password": security[PASSWORD],
        }
    if security[PROTOCOL].endswith("SSL"):
        options["ssl_context"] = _ssl_context(security)
    return options


def _ssl_context(security: Mapping[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=security.get(CA))
        if CERTIFICATE in security:
            # Without a password OpenSSL would ask for one at the terminal.
            context.load_cert_chain(security[CERTIFICATE], security[KEY], lambda: security.get(KEY_PASSWORD, ""))
    except (OSError, ValueError) as error:
        files = ", ".join(security[name] for name in _SSL_FILES if name in security)
        raise UserError(f"the certificates for Kafka can't be used ({error}); check {files}") from error
    context.check_hostname = security.get(HOST_CHECK, "https") == "https"
    return context


def _jaas(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _pem(security: Mapping[str, str], name: str) -> str:
    try:
        text = Path(security[name]).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{name} {security[name]} can't be read as PEM ({error}); give the path of a PEM file") from error
    if "-----BEGIN " not in text:
        raise UserError(f"{name} {security[name]} is not a PEM file; convert it, for example with openssl")
    return text


def _pkcs8(security: Mapping[str, str]) -> str:
    """Java reads no other form of a key."""
    from cryptography.hazmat.primitives import serialization  # what has no key needn't wait for it

    password = security[KEY_PASSWORD].encode() if KEY_PASSWORD in security else None
    try:
        key = serialization.load_pem_private_key(_pem(security, KEY).encode(), password)
    except (TypeError, ValueError) as error:
        raise UserError(f"{KEY} {security[KEY]} can't be opened ({error}); check the file and {KEY_PASSWORD}") from error
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(*form).decode()
