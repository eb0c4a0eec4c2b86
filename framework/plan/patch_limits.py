"""What no patch may touch: what the framework itself computes with, and what never changes.

Kept apart from what the API would refuse, which is not ours to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from framework.plan.names import RESERVED_LABELS
from framework.plan.strategic import PatchDiagnostic, Path, Step, find_touched
from framework.settings.rules import MODEL_CONTAINER

_IDENTITY = "it tells which object this is"
_SELECTOR = "selectors and the labels they stand on never change"
_COMPUTED = "the framework computes with it; set {}"
_WRITTEN = "the cluster writes it"
_WRITTEN_METADATA = (
    "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation",
    "managedFields", "resourceVersion", "selfLink", "uid",
)  # fmt: skip
_MODEL: tuple[Step, ...] = (
    "spec", "template", "spec", "containers", ("name", MODEL_CONTAINER),
)  # fmt: skip
_EVERYWHERE: dict[tuple[Step, ...], str] = {
    ("apiVersion",): _IDENTITY,
    ("kind",): _IDENTITY,
    ("metadata", "name"): _IDENTITY,
    ("metadata", "generateName"): _IDENTITY,
    ("metadata", "namespace"): _IDENTITY,
    ("status",): _WRITTEN,
    **{("metadata", field): _WRITTEN for field in _WRITTEN_METADATA},
    **{("metadata", "labels", label): _SELECTOR for label in sorted(RESERVED_LABELS)},
}
_PROTECTED: Mapping[str, Mapping[tuple[Step, ...], str]] = {
    "Deployment": {
        ("spec", "selector"): _SELECTOR,
        **{
            ("spec", "template", "metadata", "labels", label): _SELECTOR
            for label in sorted(RESERVED_LABELS)
        },
        **{
            ("spec", "template", "metadata", field): _WRITTEN
            for field in ("name", "namespace", "generateName", *_WRITTEN_METADATA)
        },
        ("spec", "template", "spec", "ephemeralContainers"): "a Pod template cannot have them",
        ("spec", "replicas"): _COMPUTED.format("replicas"),
        ("spec", "paused"): "no update would ever end",
        ("spec", "strategy"): _COMPUTED.format("rollout.maxSurge and rollout.maxUnavailable"),
        ("spec", "minReadySeconds"): _COMPUTED.format("rollout.minReadySeconds"),
        ("spec", "progressDeadlineSeconds"): _COMPUTED.format("rollout.progressDeadlineSeconds"),
        (*_MODEL, "image"): _COMPUTED.format("image"),
        (*_MODEL, "resources"): _COMPUTED.format("resources"),
    },
    "Service": {("spec", "selector"): _SELECTOR},
    "PodDisruptionBudget": {
        ("spec", "selector"): _SELECTOR,
        ("spec", "minAvailable"): _COMPUTED.format("disruptionBudget"),
        ("spec", "maxUnavailable"): _COMPUTED.format("disruptionBudget"),
    },
    "HorizontalPodAutoscaler": {
        ("spec", "scaleTargetRef"): _SELECTOR,
        ("spec", "minReplicas"): _COMPUTED.format("autoscaling.minReplicas"),
        ("spec", "maxReplicas"): _COMPUTED.format("autoscaling.maxReplicas"),
    },
    "NetworkPolicy": {("spec", "podSelector"): _SELECTOR},
    "ConfigMap": {
        ("data",): "its name is a hash of it; set config.files",
        ("binaryData",): "its name is a hash of its data; use a ConfigMap of your own",
    },
}


def find_refused(kind: str, patch: Mapping[str, Any], *, scaled: bool) -> Iterator[PatchDiagnostic]:
    """Each place where a patch touches what it may not; `scaled` where an autoscaler sets the
    replicas."""
    told: set[Path] = set()
    for path, why in (*_EVERYWHERE.items(), *_PROTECTED.get(kind, {}).items()):
        touched = find_touched(patch, path)
        if touched is None or touched in told:
            continue
        told.add(touched)
        if scaled and path == ("spec", "replicas"):
            why = "it is the autoscaler's; set autoscaling.minReplicas"
        yield PatchDiagnostic(touched, f"cannot be patched: {why}")
