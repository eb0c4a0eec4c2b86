"""Keys and certificates: their subjects, lifetimes and file modes."""

from __future__ import annotations

import datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from framework.cluster.pki import ensure_pki


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("cluster") / "pki"
    assert ensure_pki(directory)
    return directory


def load(directory: Path, file: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((directory / f"{file}.crt").read_bytes())


def names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def test_keys_are_readable_by_the_user_only(directory: Path) -> None:
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {key.stat().st_mode & 0o777 for key in directory.glob("*.key")} == {0o600}


def test_keys_of_the_authorities_are_not_stored(directory: Path) -> None:
    assert not (directory / "ca.key").exists()
    assert not (directory / "etcd-ca.key").exists()


def test_api_server_certificate_has_its_addresses(directory: Path) -> None:
    found = names(load(directory, "apiserver"))
    addresses = found.get_values_for_type(x509.IPAddress)
    assert addresses == [IPv4Address("127.0.0.1"), IPv4Address("10.96.0.1")]
    assert {"localhost", "kubernetes.default.svc"} <= set(found.get_values_for_type(x509.DNSName))


@pytest.mark.parametrize("file", ["admin", "kwok"])
def test_administrators_are_in_the_masters_group(directory: Path, file: str) -> None:
    (group,) = load(directory, file).subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    assert group.value == "system:masters"


@pytest.mark.parametrize("file", ["kube-controller-manager", "kube-scheduler"])
def test_component_has_the_name_of_its_built_in_role(directory: Path, file: str) -> None:
    (name,) = load(directory, file).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == f"system:{file}"


def test_etcd_does_not_trust_clients_of_the_api_server(directory: Path) -> None:
    etcd = load(directory, "etcd-ca")
    load(directory, "apiserver-etcd").verify_directly_issued_by(etcd)
    with pytest.raises(ValueError, match="does not match certificate issuer"):
        load(directory, "admin").verify_directly_issued_by(etcd)


def test_valid_certificates_are_kept(directory: Path) -> None:
    before = (directory / "ca.crt").read_bytes()
    assert not ensure_pki(directory)
    assert (directory / "ca.crt").read_bytes() == before


@pytest.mark.parametrize("lost", ["admin.key", "apiserver.crt", "service-account.key"])
def test_missing_file_recreates_everything(tmp_path: Path, lost: str) -> None:
    ensure_pki(tmp_path / "pki")
    before = (tmp_path / "pki" / "ca.crt").read_bytes()
    (tmp_path / "pki" / lost).unlink()
    assert ensure_pki(tmp_path / "pki")
    assert (tmp_path / "pki" / "ca.crt").read_bytes() != before


@pytest.mark.parametrize(
    ("years", "renewed"), [(9, False), (10, True)], ids=["well before", "near the end"]
)
def test_certificates_are_renewed_before_they_expire(
    tmp_path: Path, years: int, renewed: bool
) -> None:
    ensure_pki(tmp_path / "pki")
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=365 * years - 1)
    assert ensure_pki(tmp_path / "pki", later) is renewed


def test_every_certificate_is_valid_for_tls_clients_and_servers(directory: Path) -> None:
    # Go rejects a certificate whose critical subjectAltName is empty, also that of a client.
    for path in directory.glob("*.crt"):
        if path.stem not in ("ca", "etcd-ca"):
            assert list(names(load(directory, path.stem)))
