"""Strategic merge: lays a partial manifest over a whole one, as the API server does.

Kept apart, and pure, because it knows nothing of models: mappings merge deeply, null takes a key
away, lists of named items merge by their merge key, every other list is replaced. Rules:
`k8s.io/apimachinery/pkg/util/strategicpatch`; no Python library for it is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

Path = tuple[str | int, ...]
# One step to a protected field: a key, or the item of a list with this merge key.
Step = str | tuple[str, str]

_DIRECTIVE = "$patch"
# By kind, the lists that merge and the key that tells their items apart (`patchMergeKey`).
_MERGE_KEYS: Mapping[str, Mapping[str, str]] = {
    "Deployment": {
        "containers": "name",
        "initContainers": "name",
        "env": "name",
        "volumes": "name",
        "imagePullSecrets": "name",
        "resourceClaims": "name",
        "ports": "containerPort",
        "volumeMounts": "mountPath",
        "volumeDevices": "devicePath",
        "hostAliases": "ip",
        "topologySpreadConstraints": "topologyKey",
    },
    "Service": {"ports": "port"},
    "ServiceAccount": {"secrets": "name", "imagePullSecrets": "name"},
}


class PatchError(Exception):
    """A patch that cannot be laid; `at` is where in the patch."""

    def __init__(self, at: Path, message: str) -> None:
        self.at = at
        super().__init__(message)


def apply_patch(manifest: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with `patch` laid over it; neither is changed. Errors: PatchError."""
    keys = _MERGE_KEYS.get(manifest["kind"], {})
    return _merge_mapping(manifest, patch, keys, ())


def list_fields(kind: str, patch: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields a patch sets or takes away: `spec.template.spec.containers[model].env[DEBUG]`."""
    return tuple(sorted(set(_walk(patch, "", _MERGE_KEYS.get(kind, {})))))


def find_touched(patch: Any, path: tuple[Step, ...]) -> Path | None:
    """Where a patch sets `path`, or replaces or removes what it is in; None where it does not."""
    at: Path = ()
    for step in path:
        if isinstance(patch, Mapping) and _DIRECTIVE in patch:
            return (*at, _DIRECTIVE)
        if isinstance(step, tuple) and isinstance(patch, list):
            key, value = step
            found = [i for i, item in enumerate(patch) if _get(item, key) == value]
            if not found:
                return None
            at, patch = (*at, found[0]), patch[found[0]]
        elif isinstance(step, str) and isinstance(patch, Mapping):
            if step not in patch:
                return None
            at, patch = (*at, step), patch[step]
        else:
            return at
    return at


def _get(item: Any, key: str) -> Any:
    return item.get(key) if isinstance(item, Mapping) else None


def _merge_mapping(
    old: Mapping[str, Any], new: Mapping[str, Any], keys: Mapping[str, str], at: Path
) -> dict[str, Any]:
    for key in new:
        if key.startswith("$") and (key != _DIRECTIVE or new[key] != "replace"):
            raise PatchError(
                (*at, key),
                'is no directive that is read here; expected "$patch: replace", or '
                '"$patch: delete" in an item of a list',
            )
    merged = {} if _DIRECTIVE in new else dict(old)
    for key, value in new.items():
        if value is None:
            merged.pop(key, None)
        elif key != _DIRECTIVE:
            merged[key] = _merge_value(merged.get(key), value, keys, (*at, key))
    return merged


def _merge_value(old: Any, new: Any, keys: Mapping[str, str], at: Path) -> Any:
    if old is not None and _shape(old) != _shape(new):
        raise PatchError(at, f"is {_shape(new)}; expected {_shape(old)}, as the manifest has there")
    if isinstance(new, dict):
        return _merge_mapping(old or {}, new, keys, at)
    if isinstance(new, list) and at[-1] in keys:
        return _merge_items(old or [], new, keys, at)
    return deepcopy(new)


def _merge_items(old: list[Any], new: list[Any], keys: Mapping[str, str], at: Path) -> list[Any]:
    key = keys[str(at[-1])]
    items = {_get(item, key): item for item in old}
    for index, patch in enumerate(new):
        here = (*at, index)
        name = _get(patch, key)
        if not isinstance(name, str | int):
            raise PatchError(here, f"has no {key}; items of {at[-1]} are told apart by it")
        if patch.get(_DIRECTIVE) != "delete":
            items[name] = _merge_mapping(items.get(name, {}), patch, keys, here)
        elif items.pop(name, None) is None:
            raise PatchError(here, f"deletes {name}, which the manifest has not")
    return list(items.values())


def _shape(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else "a single value"


def _walk(patch: Any, path: str, keys: Mapping[str, str]) -> Iterator[str]:
    if not isinstance(patch, Mapping) or _DIRECTIVE in patch or not patch:
        yield path
        return
    for key, value in patch.items():
        plain = not any(mark in key for mark in "./")
        here = f"{path}{'.' if path else ''}{key}" if plain else f'{path}["{key}"]'
        if not isinstance(value, list) or key not in keys:
            yield from _walk(value, here, keys)
            continue
        for item in value:
            own = {name: of for name, of in item.items() if name != keys[key]}
            yield from _walk(own, f"{here}[{item[keys[key]]}]", keys)
