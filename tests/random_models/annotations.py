"""Annotations that the API server reads, with values that it accepts or refuses."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from tests.random_models.objects import OBJECTS

Json = dict[str, Any]
CLASS = "kubernetes.io/ingress.class"
RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
MODE = "service.kubernetes.io/topology-mode"
HINTS = "service.kubernetes.io/topology-aware-hints"
COST = "controller.kubernetes.io/pod-deletion-cost"
SECCOMP = "seccomp.security.alpha.kubernetes.io/pod"
ARMOR = "container.apparmor.security.beta.kubernetes.io/"
# A kind, its annotations, other fields of its spec, and words of the error; "" where it is valid.
ANNOTATED: list[tuple[str, Json, Json, str]] = [
    ("Ingress", {CLASS: "a"}, {"ingressClassName": "b"}, "another class than"),
    ("Ingress", {CLASS: "a"}, {"ingressClassName": "a"}, ""),
    ("Ingress", {CLASS: "a"}, {}, ""),
    ("Service", {RANGES: "10.0.0.0/8"}, {}, "LoadBalancer only, not ClusterIP"),
    ("Service", {RANGES: "10.0.0.0/8, fd00::/8"}, {"type": "LoadBalancer"}, ""),
    ("Service", {RANGES: "a"}, {"type": "LoadBalancer"}, "separated by commas"),
    ("Service", {MODE: "Auto", HINTS: "Disabled"}, {}, "its old name"),
    ("Service", {MODE: "Auto", HINTS: "Auto"}, {}, ""),
    ("Deployment", {COST: "1.5"}, {}, "a whole number"),
    ("Deployment", {COST: "-5"}, {}, ""),
    ("Deployment", {SECCOMP: "localhost/../a"}, {}, "runtime/default"),
    ("Deployment", {SECCOMP: "localhost/a"}, {}, ""),
    ("Deployment", {ARMOR + "x": "unconfined"}, {}, "expected one of model"),
    ("Deployment", {ARMOR + "model": "a"}, {}, "localhost/<profile>"),
    ("Deployment", {ARMOR + "model": "localhost/a"}, {}, ""),
    ("Deployment", {"kubernetes.io/config.mirror": "a"}, {}, "by the kubelet"),
]


def annotate(kind: str, annotations: Json, fields: Json) -> Json:
    """Returns the valid object of a kind with annotations; those of a Deployment are its Pods'."""
    changed: Json = deepcopy(OBJECTS[kind])
    changed["spec"] |= fields
    holder = changed["spec"]["template"] if kind == "Deployment" else changed
    holder["metadata"] = {**holder.get("metadata", {}), "annotations": annotations}
    return changed
