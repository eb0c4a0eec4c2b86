"""What no patch may touch: what the framework itself computes with, and what never changes.

Kept apart from what the API would refuse, which is not ours to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from framework.kinds import find_kind
from framework.kinds.kind import SELECTOR, WRITTEN, WRITTEN_METADATA, Step
from framework.kinds.naming import RESERVED_LABELS
from framework.plan.strategic import PatchDiagnostic, Path, find_touched

_IDENTITY = "it tells which object this is"
_EVERYWHERE: dict[tuple[Step, ...], str] = {
    ("apiVersion",): _IDENTITY,
    ("kind",): _IDENTITY,
    ("metadata", "name"): _IDENTITY,
    ("metadata", "generateName"): _IDENTITY,
    ("metadata", "namespace"): _IDENTITY,
    ("status",): WRITTEN,
    **{("metadata", field): WRITTEN for field in WRITTEN_METADATA},
    **{("metadata", "labels", label): SELECTOR for label in sorted(RESERVED_LABELS)},
}


def find_refused(kind: str, patch: Mapping[str, Any], *, scaled: bool) -> Iterator[PatchDiagnostic]:
    """Each place where a patch touches what it may not; `scaled` where an autoscaler sets the
    replicas."""
    told: set[Path] = set()
    known = find_kind(kind)
    protected = known.protected if known else {}
    for path, why in (*_EVERYWHERE.items(), *protected.items()):
        touched = find_touched(patch, path)
        if touched is None or touched in told:
            continue
        told.add(touched)
        if scaled and path == ("spec", "replicas"):
            why = "it is the autoscaler's; set autoscaling.minReplicas"
        yield PatchDiagnostic(touched, f"cannot be patched: {why}")
