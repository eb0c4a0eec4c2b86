"""Namespace: holds the objects of a stack; no model has one of its own."""

from __future__ import annotations

from framework.core.kind_rules import KindRules
from framework.kinds.kind import Manifest
from framework.kinds.naming import STACK_LABELS

RULES = KindRules("", "Namespace", wait_for="active", propagation="Background")


def build_namespace(name: str, environment: str) -> Manifest:
    """Builds the Namespace of an environment."""
    labels = {**STACK_LABELS, "modelcatalog/environment": environment}
    return Manifest(
        name,
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}},
    )
