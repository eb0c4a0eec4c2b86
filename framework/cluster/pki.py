"""The local cluster's keys and certificates: one authority, a certificate for each identity.

Kept apart so that nothing else handles a private key; `cryptography` is imported here and, for the
secrets in state, by the embedded engine alone. Everything is made at once and replaced at once: a
mix of two authorities would not start.
"""

from __future__ import annotations

import datetime
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from framework.cluster.ports import API_SERVICE_ADDRESS, LOOPBACK

_SERVICE = "kubernetes.default.svc"
_HOSTS = ("localhost", "kubernetes", "kubernetes.default", _SERVICE, f"{_SERVICE}.cluster.local")
_VALID = datetime.timedelta(days=3650)
# Renewed this long before the end, so that no cluster ends while it runs.
_RENEW_BEFORE = datetime.timedelta(days=30)
_SERVER, _CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True)
class Identity:
    """Who a certificate is for: `group` is the Kubernetes group, `hosts` make it a server's."""

    file: str
    name: str
    group: str = ""
    hosts: tuple[str, ...] = ()
    client: bool = True


IDENTITIES = (
    Identity("apiserver", "kube-apiserver", hosts=(*_HOSTS, API_SERVICE_ADDRESS), client=False),
    # One member is its own peer, so its certificate serves and asks.
    Identity("etcd", "etcd", hosts=("localhost",)),
    Identity("apiserver-etcd", "kube-apiserver-etcd"),
    # The health pages of the controller manager and the scheduler.
    Identity("loopback", "localhost", hosts=("localhost",), client=False),
    Identity("admin", "local-admin", group="system:masters"),
    Identity("kube-controller-manager", "system:kube-controller-manager"),
    Identity("kube-scheduler", "system:kube-scheduler"),
    # kwok plays every kubelet, and its key lies beside the admin's: a role of its own would keep
    # nothing from it, and would have to exist before the first node could.
    Identity("kwok", "modelcatalog:kwok", group="system:masters"),
)
AUTHORITY, ETCD_AUTHORITY = "ca", "etcd-ca"
_ETCD_FILES = frozenset({"etcd", "apiserver-etcd"})


@dataclass(frozen=True)
class _Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def ensure_pki(directory: Path, now: datetime.datetime | None = None) -> bool:
    """Make every key and certificate; False where all are there and valid for long enough."""
    now = now or datetime.datetime.now(datetime.UTC)
    if _is_current(directory, now):
        return False
    # Built beside it and moved, so that a killed run leaves no half authority that looks whole.
    partial = directory.with_name(f".{directory.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True, mode=0o700)
    _create(partial, now)
    shutil.rmtree(directory, ignore_errors=True)
    partial.replace(directory)
    return True


def certificate_path(directory: Path, file: str) -> Path:
    """The certificate of an identity or an authority."""
    return directory / f"{file}.crt"


def key_path(directory: Path, file: str) -> Path:
    """The private key of an identity, or of `service-account`."""
    return directory / f"{file}.key"


def _is_current(directory: Path, now: datetime.datetime) -> bool:
    files = [AUTHORITY, ETCD_AUTHORITY, *(identity.file for identity in IDENTITIES)]
    keys = [*(identity.file for identity in IDENTITIES), "service-account"]
    if not all(key_path(directory, file).is_file() for file in keys):
        return False
    try:
        loaded = [x509.load_pem_x509_certificate(_read(directory, file)) for file in files]
    except (OSError, ValueError):
        return False
    return all(now < found.not_valid_after_utc - _RENEW_BEFORE for found in loaded)


def _read(directory: Path, file: str) -> bytes:
    return certificate_path(directory, file).read_bytes()


def _create(directory: Path, now: datetime.datetime) -> None:
    # Two authorities: no certificate that the API server takes opens etcd's door behind it.
    cluster = _create_authority(directory, AUTHORITY, now)
    etcd = _create_authority(directory, ETCD_AUTHORITY, now)
    for identity in IDENTITIES:
        _issue(directory, etcd if identity.file in _ETCD_FILES else cluster, identity, now)
    signing = _new_key()
    _write_key(directory, "service-account", signing)
    public = signing.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (directory / "service-account.pub").write_bytes(public)


def _create_authority(directory: Path, file: str, now: datetime.datetime) -> _Authority:
    key = _new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"modelcatalog-local-{file}")])
    usage = _key_usage(signs_certificates=True)
    certificate = (
        _builder(name, name, key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_certificate(directory, file, certificate)
    # The authority's key is not kept: nothing is issued after this, only everything anew.
    return _Authority(certificate, key)


def _issue(
    directory: Path, authority: _Authority, identity: Identity, now: datetime.datetime
) -> None:
    key = _new_key()
    purposes = [_SERVER] * bool(identity.hosts) + [_CLIENT] * identity.client
    issuer = authority.key.public_key()
    builder = (
        _builder(_subject(identity), authority.certificate.subject, key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
    )
    if identity.hosts:
        names = x509.SubjectAlternativeName(_alternative_names(identity.hosts))
        builder = builder.add_extension(names, critical=False)
    _write_certificate(directory, identity.file, builder.sign(authority.key, hashes.SHA256()))
    _write_key(directory, identity.file, key)


def _subject(identity: Identity) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, identity.name)]
    if identity.group:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, identity.group))
    return x509.Name(attributes)


def _alternative_names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [x509.IPAddress(IPv4Address(LOOPBACK))]
    for host in hosts:
        is_address = host.replace(".", "").isdigit()
        names.append(x509.IPAddress(IPv4Address(host)) if is_address else x509.DNSName(host))
    return names


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # A clock set back a little must not make a fresh cluster unusable.
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + _VALID)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _write_certificate(directory: Path, file: str, certificate: x509.Certificate) -> None:
    path = certificate_path(directory, file)
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _write_key(directory: Path, file: str, key: ec.EllipticCurvePrivateKey) -> None:
    data = key.private_bytes(
        serialization.Encoding.PEM,
        # Kubernetes reads a service account's EC key in this form only.
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    descriptor = os.open(key_path(directory, file), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(data)
