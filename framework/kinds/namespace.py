"""Namespace: holds the objects of a stack; no model has one of its own."""

from __future__ import annotations

from framework.core.kind_rules import KindRules
from framework.kinds.kind import Manifest

RULES = KindRules("", "Namespace", wait_for="active", propagation="Background")


def build_namespace(name: str, environment: str) -> Manifest:
    """Builds the Namespace of an environment."""
    labels = {
        "app.kubernetes.io/part-of": "modelcatalog",
        "app.kubernetes.io/managed-by": "pulumi",
        "modelcatalog/environment": environment,
    }
    return Manifest(
        name,
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}},
    )
