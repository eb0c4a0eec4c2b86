"""Compares two objects field by field, for people to read.

Kept apart from ownership and from the server: pure, so that every shape of difference is a table
row. What the server keeps for itself is left out before comparing, and a Secret's values are
masked after, so no caller can forget either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from framework.core.changes import FieldChange
from framework.core.field_paths import MISSING, ROOT, FieldPath, identify_items, match_items
from framework.core.redaction import REDACTED
from framework.kube.ownership import is_own, owner_of

# Written by the API server or by controllers, and never asked for by anyone.
SERVER_METADATA = frozenset(
    {
        "managedFields",
        "resourceVersion",
        "generation",
        "uid",
        "creationTimestamp",
        "selfLink",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    }
)
NOISE_ANNOTATIONS = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        "deployment.kubernetes.io/revision",
    }
)
# Collections whose members are what people know: each is told, even where all come or go at once.
OPEN_FIELDS = frozenset(
    {"metadata", "annotations", "labels", "data", "binaryData", "stringData", "env"}
)
SECRET_PARTS = frozenset({"data", "stringData"})
ABSENT = None


@dataclass(frozen=True)
class _Difference:
    path: FieldPath
    old: Any
    new: Any


def compare_objects(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    *,
    written: Mapping[str, Any] | None = None,
    manager: str = "",
) -> tuple[FieldChange, ...]:
    """Every field that differs, in the order of the objects' own keys, sorted within mappings.

    `written` is the live one of the two: each change then names who wrote the live value, save
    where that is `manager` itself.
    """
    secret = (new.get("kind") or old.get("kind")) == "Secret"
    return tuple(
        _change(difference, secret, written, manager)
        for difference in _differences(ROOT, _meaning(old), _meaning(new))
    )


def pruned(obj: Any, shape: Any, path: FieldPath = ROOT) -> Any:
    """Returns what `obj` has at the fields that `shape` has.

    List items are matched as when comparing. An item that the shape does not have stays, and so
    does a list by index whose length differs. `path` is where both stand in their objects.
    """
    if isinstance(obj, Mapping) and isinstance(shape, Mapping):
        return {key: pruned(obj[key], shape[key], path.child(key)) for key in shape if key in obj}
    if not isinstance(obj, list) or not isinstance(shape, list):
        return obj
    names = identify_items(path, obj, shape)
    if names is None:
        if len(obj) != len(shape):
            return obj
        names = (list(range(len(obj))), list(range(len(obj))))
    shapes = dict(zip(names[1], shape, strict=True))
    return [
        pruned(item, shapes[name], path.child(name)) if name in shapes else item
        for name, item in zip(names[0], obj, strict=True)
    ]


def _meaning(obj: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in obj.items() if key != "status"}
    metadata = obj.get("metadata")
    if not isinstance(metadata, Mapping):
        return kept
    bare = {k: v for k, v in metadata.items() if k not in SERVER_METADATA}
    annotations = {
        key: value
        for key, value in (metadata.get("annotations") or {}).items()
        if key not in NOISE_ANNOTATIONS
    }
    bare.pop("annotations", None)
    if annotations:
        bare["annotations"] = annotations
    kept.pop("metadata")
    return {**kept, "metadata": bare} if bare else kept


def _differences(path: FieldPath, old: Any, new: Any) -> Iterator[_Difference]:
    if old == new:
        return
    if path.steps and path.steps[-1] in OPEN_FIELDS:
        old, new = _opened(old, new), _opened(new, old)
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            yield from _differences(path.child(key), old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list):
        yield from _list_differences(path, old, new)
    else:
        yield _Difference(path, old, new)


def _opened(value: Any, other: Any) -> Any:
    return type(other)() if value is ABSENT else value


def _list_differences(path: FieldPath, old: list[Any], new: list[Any]) -> Iterator[_Difference]:
    for step, before, after in match_items(path, old, new):
        below = path.child(step)
        yield from _differences(below, read_item(below, before), read_item(below, after))
    names = identify_items(path, old, new)
    if names and names[0] != names[1] and set(names[0]) == set(names[1]):
        yield _Difference(path, *([str(name) for name in each] for each in names))


def read_item(path: FieldPath, item: Any) -> Any:
    """Returns a list item as people read it: a plain variable is its value, so that a change
    reads `env[LOG_LEVEL]: info -> debug`. MISSING becomes None."""
    if item is MISSING:
        return ABSENT
    is_variable = len(path.steps) > 1 and path.steps[-2] == "env" and isinstance(item, Mapping)
    return item.get("value", "") if is_variable and item.keys() <= {"name", "value"} else item


def _change(
    difference: _Difference, secret: bool, written: Mapping[str, Any] | None, manager: str
) -> FieldChange:
    path, old, new = difference.path, difference.old, difference.new
    if secret and path.steps[0] in SECRET_PARTS:
        old, new = _masked(old), _masked(new)
    entry = owner_of(written, path) if written else None
    if entry is None or is_own(entry, manager):
        return FieldChange(str(path), old, new)
    return FieldChange(str(path), old, new, str(entry["manager"]), str(entry.get("time", "")))


def _masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict.fromkeys(value, REDACTED)
    return ABSENT if value is None else REDACTED
