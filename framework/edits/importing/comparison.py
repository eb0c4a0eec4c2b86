"""Compares a rendered object with its manifest, and writes the patch between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from framework.core.diagnostics import KeyPath
from framework.core.field_paths import MISSING, ROOT, FieldPath, is_leaf, match_items, walk
from framework.core.kind_rules import SKIP_AWAIT
from framework.core.redaction import redact
from framework.kinds.kind import PROTECTED_EVERYWHERE
from framework.kinds.naming import RESERVED_LABELS
from framework.kinds.registry import find_kind
from framework.plan.api_defaults import is_equal, normalize
from framework.plan.patch.field_checks import find_field_diagnostics
from framework.plan.patch.field_types import FieldType
from framework.plan.patch.merge import DIRECTIVE, find_touched, merge_key

_GENERATED_ANNOTATIONS = frozenset({SKIP_AWAIT, "modelcatalog/description"})
# Names, and the selectors that follow from them. `translation` has made them equal already.
_IDENTITY = (
    ("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace"),
    ("spec", "selector"), ("spec", "scaleTargetRef"), ("spec", "podSelector"),
)  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """One field that differs between the rendered object and the manifest.

    `wanted` is the value of the manifest, `rendered` that of the object; MISSING where one of them
    has no such field. Secrets in both are redacted. For an object that is not rendered, `path` is
    empty, `wanted` the name of the object, and `fields` the number of its fields. `reason` is why a
    patch cannot set the field; "" without one.
    """

    kind: str
    path: FieldPath
    wanted: Any
    rendered: Any
    fields: int = 0
    reason: str = ""

    @property
    def field(self) -> str:
        """The path, with the kind before it: `Deployment.spec.replicas`."""
        return f"{self.kind}.{self.path}"

    @property
    def size(self) -> int:
        """The number of single values that the manifest has here: 3 for a list of three texts."""
        if self.fields:
            return self.fields
        if not isinstance(self.wanted, Mapping | list):
            return 1
        return sum(is_leaf(value) for _, value in walk(self.wanted))


def without_generated(obj: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a normalized object without the labels and annotations of the framework."""
    normal = deepcopy(normalize(obj))
    spec = normal.get("spec") or {}
    template = spec.get("template") or {}
    for metadata in (normal.get("metadata") or {}, template.get("metadata") or {}):
        _drop(metadata, "labels", RESERVED_LABELS)
        _drop(metadata, "annotations", _GENERATED_ANNOTATIONS)
        metadata.pop("namespace", None)
    if template:
        spec.pop("selector", None)
        if not template.get("metadata"):
            template.pop("metadata", None)
    return normal


def _drop(metadata: dict[str, Any], key: str, names: frozenset[str]) -> None:
    kept = {name: value for name, value in metadata.get(key, {}).items() if name not in names}
    metadata.pop(key, None)
    if kept:
        metadata[key] = kept


def count_fields(obj: Mapping[str, Any]) -> int:
    """Returns the number of fields of a manifest with a value of their own, names not counted."""
    return sum(
        is_leaf(value) and not any(path.steps[: len(known)] == known for known in _IDENTITY)
        for path, value in walk(obj)
    )


def find_differences(rendered: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[Difference]:
    """Returns each field in which a rendered object differs from the manifest.

    Both are normalized. Additional labels of the rendered object are not differences: the framework
    gives the labels of the Pods to every object of a model.
    """
    kind = str(wanted["kind"])
    found = _compare(ROOT, rendered, wanted, FieldType(kind))
    return [
        Difference(
            kind,
            path,
            redact(path.steps, new, of_manifest=True),
            redact(path.steps, old, of_manifest=True),
        )
        for path, old, new in found
        if not (path.steps[:2] == ("metadata", "labels") and new is MISSING)
    ]


def _compare(
    path: FieldPath, old: Any, new: Any, type_: FieldType
) -> Iterator[tuple[FieldPath, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*new, *old)):
            child = type_.child(key) or FieldType("object")
            yield from _compare(
                path.child(key), old.get(key, MISSING), new.get(key, MISSING), child
            )
    elif isinstance(old, list) and isinstance(new, list) and merge_key(path, type_):
        for step, before, after in match_items(path, old, new):
            items = type_.items or FieldType("object")
            yield from _compare(path.child(step), before, after, items)
    elif new is MISSING or old is MISSING or not _is_same(old, new, type_):
        yield from _open(path, old, new)


def _is_same(old: Any, new: Any, type_: FieldType) -> bool:
    if isinstance(old, list) and isinstance(new, list) and type_.items:
        items = type_.items
        return len(old) == len(new) and all(
            not list(_compare(ROOT, a, b, items)) for a, b in zip(old, new, strict=True)
        )
    return is_equal(old, new, type_)


def _open(path: FieldPath, old: Any, new: Any) -> Iterator[tuple[FieldPath, Any, Any]]:
    """Yields every field of a mapping that only one side has."""
    existing = new if old is MISSING else old
    if MISSING in (old, new) and isinstance(existing, Mapping) and existing:
        for key, child in existing.items():
            below = path.child(key)
            yield from _open(below, *((MISSING, child) if old is MISSING else (child, MISSING)))
    else:
        yield path, old, new


def build_patch(rendered: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the strategic merge patch from a rendered object to the manifest; both normalized."""
    patch = _patch(ROOT, rendered, wanted, FieldType(str(wanted["kind"])))
    for name in ("apiVersion", "kind"):
        patch.pop(name, None)
    metadata = patch.get("metadata", {})
    # Labels that are only in the rendered object are those of the Pods.
    metadata["labels"] = {k: v for k, v in (metadata.get("labels") or {}).items() if v is not None}
    for empty in [key for key, value in metadata.items() if value in ({}, None)]:
        del metadata[empty]
    if not metadata:
        patch.pop("metadata", None)
    return patch


def _patch(
    path: FieldPath, old: Mapping[str, Any], new: Mapping[str, Any], type_: FieldType
) -> dict[str, Any]:
    # In a strategic merge patch, null removes a field.
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        below, child = path.child(key), type_.child(key) or FieldType("object")
        if key not in old:
            patch[key] = value
        elif isinstance(old[key], Mapping) and isinstance(value, Mapping):
            if change := _patch(below, old[key], value, child):
                patch[key] = change
        elif isinstance(value, list) and (name := merge_key(below, child)):
            if items := list(_patch_items(below, old[key], value, child, name)):
                patch[key] = items
        elif not _is_same(old[key], value, child):
            patch[key] = value
    return patch


def _patch_items(
    path: FieldPath, old: list[Any], new: list[Any], type_: FieldType, name: str
) -> Iterator[dict[str, Any]]:
    """Yields an entry for each item that differs; `name` is the key that identifies the items."""
    items = type_.items or FieldType("object")
    for step, before, after in match_items(path, old, new):
        if before is MISSING:
            yield dict(after)
        elif after is MISSING:
            # An item that a patch does not name stays, so its removal must be written.
            yield {name: before[name], DIRECTIVE: "delete"}
        elif change := _patch(path.child(step), before, after, items):
            yield {name: after[name], **change}


def drop_refused(
    kind: str, patch: dict[str, Any], manifest: Mapping[str, Any]
) -> dict[FieldPath, str]:
    """Removes the fields that a patch must not set or that the API would refuse.

    Returns the reason for each removed field.
    """
    known = find_kind(kind)
    reasons: dict[FieldPath, str] = {}
    protected = {**PROTECTED_EVERYWHERE, **(known.protected if known else {})}
    for text, reason in protected.items():
        touched = find_touched(patch, FieldPath.parse(text))
        if touched is not None:
            reasons[FieldPath(touched)] = reason
            remove_at(patch, touched)
    # After a removal, an item may lack a required field, so the checks run again.
    for _ in range(20):
        problems = list(find_field_diagnostics(kind, patch, manifest, lambda at, value: str(value)))
        if not problems:
            break
        # Children before their parents, and higher indexes before lower ones, so that the path of
        # the next problem is still the path of the same value.
        for problem in sorted(problems, key=lambda p: str(p.path), reverse=True):
            reasons[FieldPath(problem.path)] = problem.message
            remove_at(patch, problem.path)
    return reasons


def remove_at(tree: Any, path: KeyPath) -> None:
    """Removes the value at a path, and every mapping or list above it that becomes empty."""
    parents = [tree]
    for key in path[:-1]:
        try:
            parents.append(parents[-1][key])
        except (LookupError, TypeError):
            return
    for depth in range(len(path) - 1, -1, -1):
        parent, key = parents[depth], path[depth]
        if isinstance(parent, list) and isinstance(key, int) and key < len(parent):
            del parent[key]
        elif isinstance(parent, dict):
            parent.pop(key, None)
        is_only_named = isinstance(parent, dict) and parent.keys() <= {"name", "mountPath"}
        # An item of a list that only has its name left changes nothing, so it goes as well.
        if parent and not (is_only_named and depth):
            break
