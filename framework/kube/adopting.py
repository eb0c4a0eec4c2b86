"""Taking over an object that others created: which tools manage it, and why it may be refused.

Pure functions. The adoption itself is an update (`KubernetesProvider.adopt`): our field manager
becomes the owner of what the earlier writers own, which changes no field, and then applies the
manifest. So equal Pods continue to run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from framework.core.changes import FieldChange
from framework.core.errors import ClusterError
from framework.kube.managed_fields import is_controller, writers
from framework.kube.objects import Object, list_owners, object_name
from framework.kube.ownership import OWN_PREFIX

_MANAGED_BY = "app.kubernetes.io/managed-by"


class CannotAdoptError(ClusterError):
    """The object differs in a field that cannot change in place."""

    def __init__(self, live: Mapping[str, Any], differences: str) -> None:
        self.kind, self.name = live["kind"], object_name(live["metadata"])
        self.differences = differences
        lost = "it would have to be deleted and created again, and nothing would serve meanwhile"
        advice = "deploy the model under another name beside it, then delete this one"
        if self.kind == "PersistentVolumeClaim":
            lost = "it would have to be deleted, and the data in it with it"
            advice = (
                "give the volume's `claim` the same values, such as `claim.storageClass`, or mount "
                f"it as it is, with `claim: {live['metadata']['name']}`"
            )
        super().__init__(
            f"{self.kind} {self.name}: cannot be taken over, because this cannot change in place: "
            f"{differences}; {lost}; {advice}"
        )


class ManagedByToolError(ClusterError):
    """Another tool manages the object, and would change it back."""

    def __init__(self, live: Mapping[str, Any], tools: tuple[Tool, ...]) -> None:
        self.kind, self.name, self.tools = live["kind"], object_name(live["metadata"]), tools
        reasons = ", and ".join(f"{tool.name} manages it: {tool.effect}" for tool in tools)
        super().__init__(
            f"{self.kind} {self.name}: {reasons}; let that tool give it up first, or take it over "
            "anyway with FORCE=1"
        )


@dataclass(frozen=True)
class Tool:
    """A tool that manages an object, and what it does to an object that others change."""

    name: str
    effect: str


def find_tools(live: Mapping[str, Any], manager: str) -> tuple[Tool, ...]:
    """Returns the tools that manage an object, without ours, whose field manager is `manager`.

    They are found by owner references, labels, annotations and field managers.
    """
    return tuple(dict.fromkeys(_find_tools(live, manager)))


def _find_tools(live: Mapping[str, Any], manager: str) -> Iterator[Tool]:
    metadata = live["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    managers = [name for name in writers(live) if name != manager]
    for owner in list_owners(live):
        effect = "its controller changes it back, and deletes it with its owner"
        yield Tool(f"{owner.get('kind')} {owner.get('name')}", effect)
    managed_by = str(labels.get(_MANAGED_BY) or "")
    release = annotations.get("meta.helm.sh/release-name")
    if release or managed_by == "Helm" or "helm" in managers:
        effect = "its next upgrade changes it back, and `helm uninstall` deletes it"
        yield Tool(f"Helm release {release}" if release else "Helm", effect)
    instance = annotations.get("argocd.argoproj.io/tracking-id", "").partition(":")[0]
    instance = instance or labels.get("argocd.argoproj.io/instance")
    if instance or any(name.startswith("argocd") for name in managers):
        effect = "its next sync changes it back, or deletes it"
        yield Tool(f"Argo CD application {instance}" if instance else "Argo CD", effect)
    flux = [key for key in labels if key.endswith(".toolkit.fluxcd.io/name")]
    if flux or {"kustomize-controller", "helm-controller"} & {*managers}:
        name = f"Flux {labels[flux[0]]}" if flux else "Flux"
        yield Tool(name, "its next reconciliation changes it back")
    # Not by the label `managed-by: pulumi`, which the output of `render` has as well.
    if any(name.startswith(OWN_PREFIX) for name in managers):
        effect = "its next `pulumi up` changes it back, and its destroy deletes it"
        yield Tool("another Pulumi stack", effect)
    if {"Terraform", "HashiCorp"} & {*managers}:
        yield Tool("Terraform", "its next apply changes it back")
    if "kapp.k14s.io/app" in labels:
        yield Tool("kapp", "its next deploy changes it back")


def describe_fields(fields: Sequence[FieldChange], paths: Sequence[str]) -> str:
    """Describes fields that cannot change: `spec.selector.matchLabels.app: churn -> none`.

    `paths` are named if no field is known.
    """
    shown = [f"{field.path}: {_show(field.old)} -> {_show(field.new)}" for field in fields]
    return ", ".join(shown or paths)


def _show(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value)


def describe_writers(live: Object) -> str:
    """Returns the names of those who wrote an object, without Kubernetes' own controllers."""
    others = [name for name in writers(live) if not is_controller(name)]
    return ", ".join(others) or "an unknown manager"
