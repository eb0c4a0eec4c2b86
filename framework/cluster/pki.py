"""The keys and certificates of the local cluster: two authorities and one certificate per identity.

All of them are created together and replaced together, because components that trust different
authorities cannot talk to each other.
"""

from __future__ import annotations

import datetime
import shutil
from dataclasses import dataclass
from pathlib import Path

from framework.cluster.layout import API_SERVICE_ADDRESS, LOOPBACK

_SERVICE = "kubernetes.default.svc"
_HOSTS = ("localhost", "kubernetes", "kubernetes.default", _SERVICE, f"{_SERVICE}.cluster.local")
_VALID = datetime.timedelta(days=3650)
# Renewed this long before they expire, so that none expires while the cluster runs.
_RENEW_BEFORE = datetime.timedelta(days=30)
_AUTHORITIES = ("ca", "etcd-ca")
# Signs the tokens of ServiceAccounts; a key without a certificate.
_SERVICE_ACCOUNT = "service-account"


@dataclass(frozen=True)
class Identity:
    """The subject of one certificate.

    For the API server, `name` is the user name of a client, and `group` its Kubernetes group.
    `hosts` are the addresses of a server besides 127.0.0.1.
    """

    file: str
    name: str
    group: str = "modelcatalog"
    hosts: tuple[str, ...] = ()
    authority: str = "ca"


IDENTITIES = (
    Identity("apiserver", "kube-apiserver", hosts=(*_HOSTS, API_SERVICE_ADDRESS)),
    # etcd is the only member of its own cluster: it uses this as server, client and peer.
    Identity("etcd", "etcd", hosts=("localhost",), authority="etcd-ca"),
    Identity("apiserver-etcd", "kube-apiserver-etcd", authority="etcd-ca"),
    # For the health endpoints of the controller manager and the scheduler.
    Identity("loopback", "localhost", hosts=("localhost",)),
    Identity("admin", "local-admin", group="system:masters"),
    Identity("kube-controller-manager", "system:kube-controller-manager"),
    Identity("kube-scheduler", "system:kube-scheduler"),
    # kwok acts as every kubelet. An RBAC role of its own would have to exist before the first
    # node, and would protect nothing: the administrator's key lies in the same folder.
    Identity("kwok", "modelcatalog:kwok", group="system:masters"),
)


def ensure_pki(directory: Path, now: datetime.datetime | None = None) -> bool:
    """Creates the keys and certificates; returns False if all exist and are valid long enough."""
    now = now or datetime.datetime.now(datetime.UTC)
    if _is_current(directory, now):
        return False
    # Created beside the final place and moved, so that an interrupted run leaves nothing that
    # looks complete.
    partial = directory.with_name(f".{directory.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True, mode=0o700)
    _create(partial, now + _VALID)
    shutil.rmtree(directory, ignore_errors=True)
    partial.replace(directory)
    return True


def _is_current(directory: Path, now: datetime.datetime) -> bool:
    from cryptography import x509

    files = [identity.file for identity in IDENTITIES]
    if not all((directory / f"{file}.key").is_file() for file in (*files, _SERVICE_ACCOUNT)):
        return False
    try:
        certificates = [
            x509.load_pem_x509_certificate((directory / f"{file}.crt").read_bytes())
            for file in (*_AUTHORITIES, *files)
        ]
    except (OSError, ValueError):
        return False
    return all(now < found.not_valid_after_utc - _RENEW_BEFORE for found in certificates)


def _create(directory: Path, expires: datetime.datetime) -> None:
    from trustme import CA

    # Two authorities, so that no client certificate of the API server is accepted by etcd, where
    # it could read and write everything. The names must differ, or chains are mixed up. The keys
    # of the authorities are not kept: later certificates come with new authorities.
    authorities = {
        file: CA(organization_name="modelcatalog", organization_unit_name=file, path_length=0)
        for file in _AUTHORITIES
    }
    for file, authority in authorities.items():
        authority.cert_pem.write_to_path(str(directory / f"{file}.crt"))
    for identity in IDENTITIES:
        issued = authorities[identity.authority].issue_cert(
            # Also for clients: Go rejects a certificate whose critical subjectAltName is empty.
            LOOPBACK,
            *identity.hosts,
            common_name=identity.name,
            organization_name=identity.group,
            organization_unit_name="local cluster",
            not_after=expires,
        )
        issued.cert_chain_pems[0].write_to_path(str(directory / f"{identity.file}.crt"))
        _write_key(directory / f"{identity.file}.key", issued.private_key_pem.bytes())
    signing = authorities["ca"].issue_cert(common_name=_SERVICE_ACCOUNT)
    _write_key(directory / f"{_SERVICE_ACCOUNT}.key", signing.private_key_pem.bytes())


def _write_key(path: Path, pem: bytes) -> None:
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(pem)
