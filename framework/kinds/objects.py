"""Builds the further objects of a model, which the setting `objects` has in the form of Kubernetes.

The other modules of this package build one kind each, from settings. Here the author writes the
whole object, so no kind needs a module of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from framework.kinds.kind import NOT_AWAITED, Manifest, TrackInput
from framework.kinds.naming import build_labels
from framework.kube.objects import group_of

# Kinds of Kubernetes that are in no Namespace, by API group. For custom resources, the environment
# lists such kinds in `policy.clusterScopedKinds`.
CLUSTER_SCOPED: Mapping[str, frozenset[str]] = {
    "": frozenset({"ComponentStatus", "Namespace", "Node", "PersistentVolume"}),
    "admissionregistration.k8s.io": frozenset(
        {
            "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding",
            "MutatingWebhookConfiguration", "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration",
        }
    ),
    "apiextensions.k8s.io": frozenset({"CustomResourceDefinition"}),
    "apiregistration.k8s.io": frozenset({"APIService"}),
    "certificates.k8s.io": frozenset({"CertificateSigningRequest", "ClusterTrustBundle"}),
    "flowcontrol.apiserver.k8s.io": frozenset({"FlowSchema", "PriorityLevelConfiguration"}),
    "networking.k8s.io": frozenset({"IPAddress", "IngressClass", "ServiceCIDR"}),
    "node.k8s.io": frozenset({"RuntimeClass"}),
    "rbac.authorization.k8s.io": frozenset({"ClusterRole", "ClusterRoleBinding"}),
    "resource.k8s.io": frozenset({"DeviceClass", "DeviceTaintRule", "ResourceSlice"}),
    "scheduling.k8s.io": frozenset({"PriorityClass"}),
    "storagemigration.k8s.io": frozenset({"StorageVersionMigration"}),
    "storage.k8s.io": frozenset(
        {"CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"}
    ),
}  # fmt: skip
# A Pod that refers to one of these does not start before it exists, or starts without permissions.
_USED_BY_PODS = frozenset(
    {
        "ConfigMap", "PersistentVolumeClaim", "PriorityClass", "ResourceClaim",
        "ResourceClaimTemplate", "Role", "RoleBinding", "RuntimeClass", "ServiceAccount",
    }
)  # fmt: skip
# The Pulumi provider waits for these. The wait for the Deployment is enough: a claim may need its
# first Pod, an Ingress its controller, and a CronJob has no end.
_AWAITED = frozenset(
    {
        "CronJob", "DaemonSet", "Ingress", "Job", "PersistentVolume", "PersistentVolumeClaim",
        "ReplicationController", "Service", "StatefulSet",
    }
)  # fmt: skip

_HEAD = ("apiVersion", "kind", "metadata")


def is_cluster_scoped(content: Mapping[str, Any], named: tuple[str, ...] = ()) -> bool:
    """Returns True for an object in no Namespace; `named` are the kinds that the policy names."""
    kind = content["kind"]
    return kind in named or kind in CLUSTER_SCOPED.get(group_of(content["apiVersion"]), ())


def build_objects(track: TrackInput) -> Iterator[Manifest]:
    """Builds the objects of `objects`, sorted by key. Both tracks share them."""
    for key, content in sorted(track.settings.objects.items()):
        kind = content["kind"]
        yield Manifest(
            # A name that no other object has: a claim of volumes.data is called <model>-data.
            f"{track.model}/{key}",
            {
                "apiVersion": content["apiVersion"],
                "kind": kind,
                "metadata": _build_metadata(track, key, content),
                **{name: value for name, value in content.items() if name not in _HEAD},
            },
            used_by_pods=kind in _USED_BY_PODS,
            # As for the claims of volumes: what is stored outlives a mistake in a file.
            retain=kind == "PersistentVolumeClaim",
            object_key=key,
        )


def _build_metadata(track: TrackInput, key: str, content: Mapping[str, Any]) -> dict[str, Any]:
    written = content.get("metadata", {})
    metadata: dict[str, Any] = {"name": f"{track.model}-{key}", "namespace": track.namespace}
    if is_cluster_scoped(content, track.cluster_scoped_kinds):
        # Every environment of a cluster needs another name.
        metadata = {"name": f"{track.namespace}-{track.model}-{key}"}
    # The object's own labels are about it alone. Those of the framework are in no object's.
    labels = {**build_labels(track.model, track.settings), **written.get("labels", {})}
    metadata |= {**written, "labels": labels}
    if content["kind"] in _AWAITED:
        metadata["annotations"] = {**written.get("annotations", {}), **NOT_AWAITED}
    return metadata
