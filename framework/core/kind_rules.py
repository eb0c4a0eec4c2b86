"""The rules by which the engines and the API client treat objects of one kind.

The rules are data, so that the engines and the API client need not know the kinds of a model. Those
rules come from `framework.kinds`, the rules of other kinds from `framework.kube`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

IDENTITY_LABELS = (
    "app.kubernetes.io/name",
    "app.kubernetes.io/part-of",
    "app.kubernetes.io/managed-by",
    "modelcatalog/environment",
)
"""Labels that tell the model, or for a Namespace the environment, that an object belongs to."""

SKIP_AWAIT = "pulumi.com/skipAwait"
"""The annotation of an object that the provider is not to wait for."""


@dataclass(frozen=True)
class KindRules:
    """Rules for replacing, awaiting and deleting the objects of one kind."""

    group: str
    """API group: `apps`, or "" for the core group."""
    kind: str
    replaced_by: tuple[str, ...] = ()
    """Field paths that cannot change in place. A change of such a field, or below it, replaces the
    object: the old object is deleted first. The Pulumi Kubernetes provider has the same rules, so
    that both engines preview the same replacements."""
    kept_by_server: tuple[tuple[str, str], ...] = ()
    """Fields of `replaced_by`, with the value that the API server keeps if an apply no longer sends
    the field. So a dry run shows no change, and only a replacement ends the value."""
    wait_for: Literal["", "rollout", "active"] = ""
    """The condition that an operation waits for after it has applied the object: the rollout of a
    Deployment, or the phase Active of a Namespace. Other kinds are not waited for: a claim may
    need its first Pod and a Service its endpoints, so the wait for the Deployment covers them."""
    propagation: Literal["Background", "Foreground"] = "Foreground"
    """Deletion propagation. With `Foreground`, the API server keeps the object until all objects
    that it owns are deleted. `Background` is for objects that own no others: they are deleted at
    once."""
