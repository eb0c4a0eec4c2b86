"""Lists the objects that the manifests of a model refer to, and that must exist in the cluster.

Plain data, read from rendered manifests, so that patches and `objects` count as well. Pods are
found in every kind that has a Pod template, such as a Job or a JobSet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from framework.core.changes import Severity
from framework.core.field_paths import FieldPath, ItemKey, name_items
from framework.kube.objects import MADE_BY_KUBERNETES
from framework.plan import Manifest
from framework.plan.rendered import find_pods, mapping_in, mappings_in

_CORE, _STORAGE = "v1", "storage.k8s.io/v1"
# What the server itself creates in each Namespace and cluster.
_BUILT_IN = MADE_BY_KUBERNETES | {
    ("PriorityClass", "system-cluster-critical"),
    ("PriorityClass", "system-node-critical"),
}
_CONTAINERS = ("initContainers", "containers")


@dataclass(frozen=True)
class Reference:
    """A field of a manifest that names another object.

    `namespace` is "" for a kind in no Namespace. `key` is a key that the object must have, "" for
    none. `effect` is what happens without the object, `severity` how bad that is.
    """

    api_version: str
    kind: str
    namespace: str
    name: str
    field: str
    effect: str
    key: str = ""
    severity: Severity = Severity.ERROR


def list_references(manifest: Manifest) -> list[Reference]:
    """Lists the required objects of a manifest, each once for every field that names it.

    References that are `optional: true` are left out, and so is what the server itself creates.
    """
    namespace = str(manifest.object["metadata"].get("namespace") or "")
    found = [*_list_of_ingress(manifest.object, namespace)]
    for spec, field in _list_claims(manifest.object):
        # "" requests a volume without a class; without the field, it is the default class.
        name, effect = str(spec.get("storageClassName") or ""), "the claim stays pending"
        found.append(Reference(_STORAGE, "StorageClass", "", name, field, effect))
    for path, pod in find_pods(manifest.object, ()):
        found += _list_of_pod(pod, FieldPath(path), namespace)
    return [
        reference
        for reference in dict.fromkeys(found)
        if reference.name and not _is_built_in(reference)
    ]


def list_default_classes(manifest: Manifest) -> list[str]:
    """Lists the fields in which claims leave the choice of a StorageClass to the cluster.

    A claim that names its volume needs no class.
    """
    return [
        field
        for spec, field in _list_claims(manifest.object)
        if spec.get("storageClassName") is None and not spec.get("volumeName")
    ]


def _is_built_in(reference: Reference) -> bool:
    # kube-root-ca.crt has one key. Another one is missing, as in any ConfigMap.
    is_known_key = reference.key in ("", "ca.crt")
    return (reference.kind, reference.name) in _BUILT_IN and is_known_key


def list_provided(manifest: Manifest) -> Iterator[tuple[str, str, str]]:
    """Yields kind, Namespace and name of each object that a manifest brings into the cluster.

    That includes the Secret that an operator creates from an ExternalSecret, a SealedSecret or a
    Certificate.
    """
    obj = manifest.object
    metadata, spec = obj["metadata"], mapping_in(obj, "spec")
    namespace = str(metadata.get("namespace") or "")
    yield manifest.kind, namespace, manifest.name
    if manifest.kind in ("Secret", "ConfigMap") or "/" not in str(obj["apiVersion"]):
        return
    # external-secrets.io names the Secret in `target`, secrets.hashicorp.com in `destination`,
    # cert-manager.io in `secretName`; bitnami.com's SealedSecret gives it its own name.
    for part in ("target", "destination"):
        yield "Secret", namespace, str(mapping_in(spec, part).get("name") or "")
    yield "Secret", namespace, str(spec.get("secretName") or "")
    if manifest.kind.endswith("Secret"):
        yield "Secret", namespace, manifest.name


def _list_claims(obj: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yields the spec of each claim that an object is or makes, and the field of its class."""
    claims = []
    if obj["kind"] == "PersistentVolumeClaim":
        claims.append((obj, FieldPath(())))
    if obj["kind"] == "StatefulSet":
        path = FieldPath(("spec", "volumeClaimTemplates"))
        templates = mappings_in(mapping_in(obj, "spec"), "volumeClaimTemplates")
        claims += [(claim, path.child(index)) for index, claim in enumerate(templates)]
    for pod_path, pod in find_pods(obj, ()):
        for volume in mappings_in(pod, "volumes"):
            below = FieldPath(pod_path).child("volumes").child(ItemKey(str(volume.get("name"))))
            template = mapping_in(mapping_in(volume, "ephemeral"), "volumeClaimTemplate")
            if template:
                claims.append((template, below.child("ephemeral").child("volumeClaimTemplate")))
    for claim, path in claims:
        yield mapping_in(claim, "spec"), str(path.child("spec").child("storageClassName"))


def _list_of_ingress(obj: Mapping[str, Any], namespace: str) -> Iterator[Reference]:
    spec = mapping_in(obj, "spec")
    if obj["kind"] != "Ingress":
        return
    warning = Severity.WARNING
    yield Reference(
        "networking.k8s.io/v1", "IngressClass", "", str(spec.get("ingressClassName") or ""),
        "spec.ingressClassName", "no controller serves the Ingress", severity=warning,
    )  # fmt: skip
    annotations = mapping_in(mapping_in(obj, "metadata"), "annotations")
    if any(str(name).startswith("cert-manager.io/") for name in annotations):
        # cert-manager creates the Secret once the Ingress exists.
        return
    for index, tls in enumerate(mappings_in(spec, "tls")):
        yield Reference(
            _CORE, "Secret", namespace, str(tls.get("secretName") or ""),
            f"spec.tls[{index}].secretName", "clients get another certificate", severity=warning,
        )  # fmt: skip


def _list_of_pod(pod: Mapping[str, Any], path: FieldPath, namespace: str) -> Iterator[Reference]:
    for kind in _CONTAINERS:
        containers = mappings_in(pod, kind)
        names = name_items(path.child(kind), containers)
        for name, container in zip(names, containers, strict=True):
            yield from _list_of_container(container, path.child(kind).child(name), namespace)
    for volume in mappings_in(pod, "volumes"):
        below = path.child("volumes").child(ItemKey(str(volume.get("name"))))
        yield from _list_of_volume(volume, below, namespace)
    for secret in mappings_in(pod, "imagePullSecrets"):
        name = str(secret.get("name") or "")
        yield Reference(
            _CORE, "Secret", namespace, name, f"{path}.imagePullSecrets[{name}].name",
            "images are pulled without it", severity=Severity.WARNING,
        )  # fmt: skip
    for field, api_version, kind, effect in (
        ("serviceAccountName", _CORE, "ServiceAccount", "no Pod can be created"),
        ("priorityClassName", "scheduling.k8s.io/v1", "PriorityClass", "no Pod can be created"),
        ("runtimeClassName", "node.k8s.io/v1", "RuntimeClass", "no Pod can be created"),
    ):
        scope = namespace if kind == "ServiceAccount" else ""
        name = str(pod.get(field) or "")
        yield Reference(api_version, kind, scope, name, str(path.child(field)), effect)


def _list_of_container(
    container: Mapping[str, Any], path: FieldPath, namespace: str
) -> Iterator[Reference]:
    variables = mappings_in(container, "env")
    names = name_items(path.child("env"), variables)
    for name, variable in zip(names, variables, strict=True):
        for source, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
            named = mapping_in(mapping_in(variable, "valueFrom"), source)
            field = path.child("env").child(name).child("valueFrom").child(source)
            yield from _list_of_source(named, kind, namespace, field)
    for index, variable in enumerate(mappings_in(container, "envFrom")):
        for source, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
            named, field = mapping_in(variable, source), path.child("envFrom").child(index)
            yield from _list_of_source(named, kind, namespace, field.child(source))


def _list_of_volume(
    volume: Mapping[str, Any], path: FieldPath, namespace: str
) -> Iterator[Reference]:
    for source, kind in (("secret", "Secret"), ("configMap", "ConfigMap")):
        field = path.child(source)
        yield from _list_of_source(mapping_in(volume, source), kind, namespace, field)
    projected = path.child("projected").child("sources")
    for index, item in enumerate(mappings_in(mapping_in(volume, "projected"), "sources")):
        for source, kind in (("secret", "Secret"), ("configMap", "ConfigMap")):
            field = projected.child(index).child(source)
            yield from _list_of_source(mapping_in(item, source), kind, namespace, field)
    claim = str(mapping_in(volume, "persistentVolumeClaim").get("claimName") or "")
    field = path.child("persistentVolumeClaim").child("claimName")
    unplaced = "its Pods are not scheduled"
    yield Reference(_CORE, "PersistentVolumeClaim", namespace, claim, str(field), unplaced)
    secret = mapping_in(mapping_in(volume, "csi"), "nodePublishSecretRef")
    field = path.child("csi").child("nodePublishSecretRef")
    yield from _list_of_source(secret, "Secret", namespace, field)


def _list_of_source(
    source: Mapping[str, Any], kind: str, namespace: str, path: FieldPath
) -> Iterator[Reference]:
    """Yields a reference for a Secret or a ConfigMap, and one for each of its keys."""
    if not source or source.get("optional") is True:
        return
    name_field = "secretName" if "secretName" in source else "name"
    keys = {path.child(name_field): ""}
    if source.get("key"):
        keys[path.child("key")] = str(source["key"])
    for index, item in enumerate(mappings_in(source, "items")):
        keys[path.child("items").child(index).child("key")] = str(item.get("key") or "")
    for field, key in keys.items():
        name, effect = str(source.get(name_field) or ""), "its Pods do not start"
        yield Reference(_CORE, kind, namespace, name, str(field), effect, key=key)
