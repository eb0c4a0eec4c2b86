"""Compares two objects field by field, for people to read.

Kept apart from ownership and from the server: pure, so that every shape of difference is a table
row. What the server keeps for itself is left out before comparing, and a Secret's values are
masked after, so no caller can forget either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from framework.core.changes import FieldChange
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
# By the list's own name, what tells its items apart; every other list of objects goes by `name`.
ITEM_KEYS: Mapping[str, tuple[str, ...]] = {
    "ports": ("containerPort", "port"),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "topologySpreadConstraints": ("topologyKey",),
    "hostAliases": ("ip",),
    "ownerReferences": ("uid",),
}
# Collections whose members are what people know: each is told, even where all come or go at once.
OPEN_FIELDS = frozenset(
    {"metadata", "annotations", "labels", "data", "binaryData", "stringData", "env"}
)
SECRET_PARTS = frozenset({"data", "stringData"})
ABSENT = None

# One step to a field: a key, an index, or {key: value} of the list item it is in.
Step = str | int | tuple[str, Any]


@dataclass(frozen=True)
class _Difference:
    path: str
    steps: tuple[Step, ...]
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
        for difference in _differences("", (), _meaning(old), _meaning(new))
    )


def pruned(obj: Any, shape: Any) -> Any:
    """What `obj` has at the fields that `shape` has; list items are matched as when comparing."""
    if isinstance(obj, Mapping) and isinstance(shape, Mapping):
        return {key: pruned(obj[key], shape[key]) for key in shape if key in obj}
    if isinstance(obj, list) and isinstance(shape, list):
        return _pruned_items(obj, shape)
    return obj


def _pruned_items(items: list[Any], shape: list[Any]) -> list[Any]:
    for names in ({"name"}, *map(set, ITEM_KEYS.values())):
        for key in sorted(names):
            if _identified(items, key) and _identified(shape, key):
                by_key = {item[key]: item for item in shape}
                return [
                    pruned(item, by_key[item[key]]) if item[key] in by_key else item
                    for item in items
                ]
    if len(items) != len(shape):
        return items
    return [pruned(item, part) for item, part in zip(items, shape, strict=True)]


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


def _differences(path: str, steps: tuple[Step, ...], old: Any, new: Any) -> Iterator[_Difference]:
    if old == new:
        return
    if steps and steps[-1] in OPEN_FIELDS:
        old, new = _opened(old, new), _opened(new, old)
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            below = f"{path}.{_quoted(key)}" if path else _quoted(key)
            yield from _differences(below, (*steps, key), old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list):
        yield from _list_differences(path, steps, old, new)
    else:
        yield _Difference(path, steps, old, new)


def _opened(value: Any, other: Any) -> Any:
    return type(other)() if value is ABSENT else value


def _quoted(key: str) -> str:
    # A label's dots are no steps.
    return f'["{key}"]' if "." in key or "/" in key else key


def _list_differences(
    path: str, steps: tuple[Step, ...], old: list[Any], new: list[Any]
) -> Iterator[_Difference]:
    field = steps[-1] if steps and isinstance(steps[-1], str) else ""
    key = next(
        (k for k in ITEM_KEYS.get(field, ("name",)) if _identified(old, k) and _identified(new, k)),
        None,
    )
    if key is None:
        yield from _index_differences(path, steps, old, new)
        return
    before, after = ({item[key]: item for item in items} for items in (old, new))
    for name in [*before, *(name for name in after if name not in before)]:
        yield from _differences(
            f"{path}[{name}]",
            (*steps, (key, name)),
            _item(field, before.get(name)),
            _item(field, after.get(name)),
        )
    if list(before) != list(after) and before.keys() == after.keys():
        yield _Difference(path, steps, list(before), list(after))


def _identified(items: Sequence[Any], key: str) -> bool:
    keys = [item.get(key) for item in items if isinstance(item, Mapping)]
    return len(keys) == len(items) and None not in keys and len(set(keys)) == len(keys)


def _item(field: str, item: Any) -> Any:
    # A plain variable reads as its value: env[LOG_LEVEL] info -> debug.
    if field == "env" and isinstance(item, Mapping) and item.keys() <= {"name", "value"}:
        return item.get("value", "")
    return item


def _index_differences(
    path: str, steps: tuple[Step, ...], old: list[Any], new: list[Any]
) -> Iterator[_Difference]:
    for index in range(max(len(old), len(new))):
        yield from _differences(
            f"{path}[{index}]",
            (*steps, index),
            old[index] if index < len(old) else ABSENT,
            new[index] if index < len(new) else ABSENT,
        )


def _change(
    found: _Difference, secret: bool, written: Mapping[str, Any] | None, manager: str
) -> FieldChange:
    path = found.path.replace(".[", "[")
    old, new = found.old, found.new
    if secret and found.steps[0] in SECRET_PARTS:
        old, new = _masked(old), _masked(new)
    entry = owner_of(written, found.steps) if written else None
    if entry is None or is_own(entry, manager):
        return FieldChange(path, old, new)
    return FieldChange(path, old, new, str(entry["manager"]), str(entry.get("time", "")))


def _masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict.fromkeys(value, REDACTED)
    return ABSENT if value is None else REDACTED
