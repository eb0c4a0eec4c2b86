"""The objects of one model on both sides, field by field, without what may be secret.

Kept apart from comparing models: this knows manifests only, and no setting.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from framework.core.redaction import REDACTED, can_be_secret
from framework.kube.object_diff import compare_objects
from framework.reports.causes import Identity, Objects, Target
from framework.reports.differences import Cause, Difference, Kind, ObjectDifference
from framework.reports.paths import is_secret_field


def compare_manifests(
    old: Objects, new: Objects, causes: Mapping[Target, tuple[Cause, ...]]
) -> tuple[ObjectDifference, ...]:
    """Every object that differs, in order of kind and name, with the causes of each field."""
    found = []
    for identity in sorted(old.keys() | new.keys()):
        kind, name = identity
        if identity in old and identity in new:
            if not is_same(old[identity], new[identity]):
                fields = _compare_fields(identity, old[identity], new[identity], causes)
                found.append(ObjectDifference("changed", kind, name, fields))
            continue
        change: Kind = "added" if identity in new else "removed"
        found.append(ObjectDifference(change, kind, name, (), causes.get((identity, ""), ())))
    return tuple(found)


def is_same(old: Any, new: Any) -> bool:
    """True for the same JSON."""
    # Python takes true for 1; Kubernetes does not.
    return json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)


def _compare_fields(
    identity: Identity,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    causes: Mapping[Target, tuple[Cause, ...]],
) -> tuple[Difference, ...]:
    return tuple(
        Difference(
            field.path,
            mask_field(field.path, field.old),
            mask_field(field.path, field.new),
            causes.get((identity, field.path), ()),
        )
        for field in compare_objects(old, new)
    )


def mask_field(path: str, value: Any) -> Any:
    """A field's value without what may be secret, going by the names on its path and below."""
    if isinstance(value, dict):
        return {key: mask_field(f"{path}.{key}", child) for key, child in value.items()}
    if isinstance(value, list):
        named = [child.get("name") if isinstance(child, dict) else None for child in value]
        return [
            mask_field(f"{path}[{name or index}]", child)
            for index, (name, child) in enumerate(zip(named, value, strict=True))
        ]
    hidden = can_be_secret(value) and is_secret_field(path.replace('"', ""))
    return REDACTED if hidden else value
