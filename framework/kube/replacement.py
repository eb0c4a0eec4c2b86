"""Which changes of an object mean a new object.

Kept apart as one table, because it decides what is deleted: the rules are those of the Pulumi
kubernetes provider 4.34, so that both engines announce the same replacements. A PodDisruptionBudget
of policy/v1 is not among them: it changes in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from framework.core.changes import FieldChange
from framework.kube.object_diff import compare_objects, pruned

# (API group, kind) -> paths whose change replaces the object, deleting the old one first.
REPLACING: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("", "ConfigMap"): ("data", "binaryData"),
    ("", "Secret"): ("type", "data", "stringData"),
    ("", "Service"): ("spec.clusterIP",),
    ("", "PersistentVolumeClaim"): (
        "spec.accessModes",
        "spec.selector",
        "spec.storageClassName",
        "spec.volumeName",
    ),
    ("", "ResourceQuota"): ("spec.scopes",),
    ("apps", "Deployment"): ("spec.selector",),
    ("apps", "DaemonSet"): ("spec.selector",),
    ("apps", "StatefulSet"): (
        "spec.podManagementPolicy",
        "spec.revisionHistoryLimit",
        "spec.selector",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
    ),
    ("batch", "Job"): ("spec.completions", "spec.parallelism", "spec.selector", "spec.template"),
    ("rbac.authorization.k8s.io", "RoleBinding"): ("roleRef",),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): ("roleRef",),
    ("storage.k8s.io", "StorageClass"): ("parameters", "provisioner"),
}


def group_of(api_version: str) -> str:
    """The API group of an apiVersion: `apps` of `apps/v1`, "" of `v1`."""
    return api_version.rpartition("/")[0]


def is_other_object(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """True when the two name different objects: made first, the old one deleted later."""
    return _identity(old) != _identity(new)


def _identity(obj: Mapping[str, Any]) -> tuple[str, str, str, str]:
    metadata = obj["metadata"]
    return (
        group_of(obj["apiVersion"]),
        obj["kind"],
        metadata.get("namespace", ""),
        metadata["name"],
    )


def replaces(obj: Mapping[str, Any], fields: Iterable[FieldChange]) -> bool:
    """True when one of the changed fields cannot change in place."""
    roots = REPLACING.get((group_of(obj["apiVersion"]), obj["kind"]), ())
    return any(_is_at(field.path, root) for field in fields for root in roots)


def named_changes(
    fields: Iterable[FieldChange],
    live: Mapping[str, Any],
    before: Mapping[str, Any],
    wanted: Mapping[str, Any],
) -> tuple[FieldChange, ...]:
    """The changes of fields the inputs name, now or before: only those can ask for a replacement;
    what a person added beside them goes in place."""
    named = compare_objects(pruned(live, wanted), wanted), compare_objects(before, wanted)
    paths = [change.path for part in named for change in part]
    return tuple(
        field
        for field in fields
        if any(_is_at(field.path, path) or _is_at(path, field.path) for path in paths)
    )


def _is_at(path: str, root: str) -> bool:
    return path == root or path.startswith((f"{root}.", f"{root}["))
