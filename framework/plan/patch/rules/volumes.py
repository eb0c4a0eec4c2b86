"""Rules of the API server for volumes and claims."""

from __future__ import annotations

import re
from collections.abc import Iterator

from framework.core.diagnostics import KeyPath, SettingDiagnostic
from framework.plan.patch.rules.base import (
    Object,
    Rule,
    Show,
    broken,
    every,
    excludes,
    items,
    mapping,
    needs,
    needs_one_of,
)
from framework.plan.patch.rules.fields import OBJECT_NAME, ONE_OF, SHORT_NAME


def _check_projected(projected: Object, show: Show) -> Iterator[SettingDiagnostic]:
    """Checks that no two files of a projected volume have the same path."""
    taken: set[str] = set()
    for index, source in enumerate(projected.get("sources") or ()):
        for kind, content in source.items():
            for path, file in _list_files(content):
                if file in taken:
                    where = ("sources", index, kind, *path)
                    yield broken(where, f"is {show(where, file)}, which another source has too")
                taken.add(file)


def _list_files(content: Object) -> Iterator[tuple[KeyPath, str]]:
    for name in ("path", "certificateChainPath", "credentialBundlePath", "keyPath"):
        if content.get(name):
            yield (name,), content[name]
    for index, item in enumerate(items(content, "items")):
        yield ("items", index, "path"), item["path"]


def _check_bundle(bundle: Object, show: Show) -> Iterator[SettingDiagnostic]:
    """Checks which certificates a projected file has: those of one bundle, or of a signer."""
    name, signer = bundle.get("name"), bundle.get("signerName")
    if (name is None) == (signer is None):
        yield broken((), "expected either name or signerName")
    elif name is not None and bundle.get("labelSelector") is not None:
        yield broken(("labelSelector",), "needs signerName")
    if name is not None and not OBJECT_NAME.accepts(name.replace(":", ".")):
        yield broken(("name",), f"is {show(('name',), name)}; expected {OBJECT_NAME.expected}")


def _check_certificate(certificate: Object, show: Show) -> Iterator[SettingDiagnostic]:
    if not [*_list_files(certificate)]:
        yield broken((), "has no path; expected credentialBundlePath, or keyPath and "
                     "certificateChainPath")  # fmt: skip


def _check_disk(disk: Object, show: Show) -> Iterator[SettingDiagnostic]:
    """Checks the partition of a disk, which the server keeps in one byte."""
    partition = disk.get("partition")
    if partition is not None and not 0 <= partition <= 255:
        yield broken(("partition",), f"is {partition}; expected a number from 0 to 255")


def _check_azure_disk(disk: Object, show: Show) -> Iterator[SettingDiagnostic]:
    start = "/subscriptions/" if disk.get("kind") == "Managed" else "https://"
    # The server's default is Shared.
    if not disk["diskURI"].startswith(start):
        message = f"is {show(('diskURI',), disk['diskURI'])}; expected one that begins with {start}"
        yield broken(("diskURI",), message)


def _check_fibre_channel(disk: Object, show: Show) -> Iterator[SettingDiagnostic]:
    if not disk.get("targetWWNs") and not disk.get("wwids"):
        yield broken((), "has neither targetWWNs nor wwids; expected one of them")
    if disk.get("targetWWNs") and disk.get("lun") is None:
        yield broken(("targetWWNs",), "needs a lun with it")


def _check_iscsi(disk: Object, show: Show) -> Iterator[SettingDiagnostic]:
    for name in ("iqn", "initiatorName"):
        value = disk.get(name)
        if value is not None and not _is_qualified(value):
            path: KeyPath = (name,)
            yield broken(path, f"is {show(path, value)}; expected a name such as iqn.2001-04.com.x")
    if (disk.get("chapAuthDiscovery") or disk.get("chapAuthSession")) and not disk.get("secretRef"):
        yield broken((), "uses CHAP and has no secretRef; expected one")


def _is_qualified(name: str) -> bool:
    return bool(
        re.fullmatch(
            r"iqn\.\d{4}-\d{2}\.([A-Za-z0-9.-]+(:[^,;*&$|\s]*)?)|eui\.[A-Fa-f0-9]{16}"
            r"|naa\.([A-Fa-f0-9]{32}|[A-Fa-f0-9]{16})",
            name,
        )
    )


def _check_quobyte(volume: Object, show: Show) -> Iterator[SettingDiagnostic]:
    registry = volume["registry"]
    if not all(re.fullmatch(r"[^:]*:[^:]*|\[[^]]*]:[^:]*", pair) for pair in registry.split(",")):
        message = f"is {show(('registry',), registry)}; expected host:port, separated by commas"
        yield broken(("registry",), message)


def _check_storage_os(volume: Object, show: Show) -> Iterator[SettingDiagnostic]:
    for name in ("volumeName", "volumeNamespace"):
        if volume.get(name) and not SHORT_NAME.accepts(volume[name]):
            path: KeyPath = (name,)
            yield broken(path, f"is {show(path, volume[name])}; expected {SHORT_NAME.expected}")


def _check_flocker(volume: Object, show: Show) -> Iterator[SettingDiagnostic]:
    if "/" in (volume.get("datasetName") or ""):
        message = f"is {show(('datasetName',), volume['datasetName'])}; expected one without '/'"
        yield broken(("datasetName",), message)


def _check_options(volume: Object, show: Show) -> Iterator[SettingDiagnostic]:
    for key in volume.get("options") or ():
        domain = "." + key.partition("/")[0].lower()
        if domain.endswith((".kubernetes.io", ".k8s.io")):
            yield broken(("options", key), "has a domain that Kubernetes reserves", at_key=True)


def _check_file_of_pod(file: Object, show: Show) -> Iterator[SettingDiagnostic]:
    """Checks a file with a field of the Pod, which may be fewer fields than a variable has."""
    path = mapping(file, "fieldRef").get("fieldPath", "metadata.name")
    if not path.startswith("metadata."):
        here: KeyPath = ("fieldRef", "fieldPath")
        yield broken(here, f"is {show(here, path)}; expected a field of metadata in a file")
    if file.get("resourceFieldRef") and not file["resourceFieldRef"].get("containerName"):
        yield broken(("resourceFieldRef",), "has no containerName; expected one")


def _check_claim(spec: Object, show: Show) -> Iterator[SettingDiagnostic]:
    modes = items(spec, "accessModes")
    if not modes:
        yield broken((), "has no accessModes; expected one or more")
    if "ReadWriteOncePod" in modes and len({*modes}) > 1:
        yield broken(("accessModes",), "has ReadWriteOncePod beside another mode")
    size = mapping(spec, "resources", "requests").get("storage")
    if size is None:
        yield broken((), "has no resources.requests.storage; expected a size such as 10Gi")
    yield from _check_source(spec, show)


def _check_source(spec: Object, show: Show) -> Iterator[SettingDiagnostic]:
    """Checks the object that a claim is filled from."""
    for name in ("dataSource", "dataSourceRef"):
        source = spec.get(name)
        if not source:
            continue
        group = source.get("apiGroup") or ""
        if not group and source["kind"] != "PersistentVolumeClaim":
            yield broken((name,), "has no apiGroup; expected one, or kind: PersistentVolumeClaim")
        if group and not OBJECT_NAME.accepts(group):
            path: KeyPath = (name, "apiGroup")
            yield broken(path, f"is {show(path, group)}; expected a group such as x.example.com")
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source and reference:
        if reference.get("namespace"):
            yield broken(("dataSource",), "cannot be set beside dataSourceRef with a namespace")
        elif any((source.get(k) or "") != (reference.get(k) or "") for k in _SOURCE_FIELDS):
            yield broken(("dataSource",), "differs from dataSourceRef; remove one of them")


_SOURCE_FIELDS = ("apiGroup", "kind", "name")
# The fields that a volume of each kind needs; for the server, "" is not a value.
_NEEDED = {
    "AWSElasticBlockStoreVolumeSource": ("volumeID",),
    "AzureDiskVolumeSource": ("diskName", "diskURI"),
    "AzureFileVolumeSource": ("secretName", "shareName"),
    "CephFSVolumeSource": ("monitors",),
    "CinderVolumeSource": ("volumeID",),
    "ConfigMapProjection": ("name",),
    "ConfigMapVolumeSource": ("name",),
    "EphemeralVolumeSource": ("volumeClaimTemplate",),
    "FlexVolumeSource": ("driver",),
    "GCEPersistentDiskVolumeSource": ("pdName",),
    "GitRepoVolumeSource": ("repository",),
    "GlusterfsVolumeSource": ("endpoints", "path"),
    "HostPathVolumeSource": ("path",),
    "ISCSIVolumeSource": ("targetPortal", "iqn"),
    "ImageVolumeSource": ("reference",),
    "NFSVolumeSource": ("server", "path"),
    "PersistentVolumeClaimVolumeSource": ("claimName",),
    "PhotonPersistentDiskVolumeSource": ("pdID",),
    "PortworxVolumeSource": ("volumeID",),
    "QuobyteVolumeSource": ("registry", "volume"),
    "RBDVolumeSource": ("monitors", "image"),
    "ScaleIOVolumeSource": ("gateway", "system", "volumeName"),
    "SecretProjection": ("name",),
    "SecretVolumeSource": ("secretName",),
    "StorageOSVolumeSource": ("volumeName",),
    "TypedLocalObjectReference": ("kind", "name"),
    "TypedObjectReference": ("kind", "name"),
    "VsphereVirtualDiskVolumeSource": ("volumePath",),
}
_FURTHER_RULES: dict[str, Rule] = {
    "AWSElasticBlockStoreVolumeSource": _check_disk,
    "AzureDiskVolumeSource": _check_azure_disk,
    "FlexVolumeSource": _check_options,
    "GCEPersistentDiskVolumeSource": _check_disk,
    "ISCSIVolumeSource": _check_iscsi,
    "QuobyteVolumeSource": _check_quobyte,
    "StorageOSVolumeSource": _check_storage_os,
}
RULES: dict[str, Rule] = {
    **{
        name: every(needs(*fields), _FURTHER_RULES[name])
        if name in _FURTHER_RULES
        else needs(*fields)
        for name, fields in _NEEDED.items()
    },
    "DownwardAPIVolumeFile": every(
        needs_one_of(*ONE_OF["DownwardAPIVolumeFile"]), _check_file_of_pod
    ),
    "FCVolumeSource": every(_check_fibre_channel, excludes("targetWWNs", "wwids")),
    "FlockerVolumeSource": every(
        needs_one_of("dataset", ("datasetName", "datasetUUID")),
        excludes("datasetName", "datasetUUID"),
        _check_flocker,
    ),
    "ClusterTrustBundleProjection": _check_bundle,
    "PersistentVolumeClaim": needs("spec"),
    "PersistentVolumeClaimSpec": _check_claim,
    "PodCertificateProjection": _check_certificate,
    "ProjectedVolumeSource": _check_projected,
    "VolumeProjection": needs_one_of(*ONE_OF["VolumeProjection"]),
}
