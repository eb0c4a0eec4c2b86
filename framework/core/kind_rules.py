"""How the engines and the API client treat objects of one kind.

They know no models: the rules of the kinds that a model can have come from `framework.kinds`, the
rules of other kinds from `framework.kube`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class KindRules:
    """Rules for replacing, awaiting and deleting the objects of one kind."""

    group: str
    """API group: `apps`, or "" for the core group."""
    kind: str
    replaced_by: tuple[str, ...] = ()
    """Field paths that cannot change in place: a change there or below replaces the object. The old
    object is deleted first. These are the rules of the Pulumi kubernetes provider, so that both
    engines announce the same replacements."""
    wait_for: Literal["", "rollout", "active"] = ""
    """Condition an operation waits for after it wrote the object: the rollout of a Deployment, or
    the phase Active of a Namespace. Nothing for other kinds: a claim may wait for its first Pod and
    a Service for its endpoints, and the Deployment behind either one reports what is wrong."""
    propagation: Literal["Background", "Foreground"] = "Foreground"
    """Deletion propagation. An object that owns no others is gone at once in the background; in the
    foreground the API server keeps the object until everything it owns is gone."""
