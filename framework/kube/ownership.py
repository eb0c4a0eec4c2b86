"""Who owns which field of an object: pure functions over metadata.managedFields.

Kept apart from the provider because ownership is arithmetic on sets of paths, and worth a table of
tests. A path is the tuple of the server's own path elements: `f:spec`, `k:{"name":"model"}`,
`v:"x"`, `i:0` (structured-merge-diff, fieldpath/serialize.go).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from functools import lru_cache
from typing import Any

from framework.core.field_paths import MISSING, FieldPath, Step

OwnedPath = tuple[str, ...]
Entry = Mapping[str, Any]

# What the Pulumi provider's own create writes as, before its first update moves the ownership.
OWN_PREFIX = "pulumi-kubernetes"
CLI_MANAGERS = frozenset({"pulumi-kubernetes", "pulumi-resource-kubernetes"})
SELF = "."


def entries(obj: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The managedFields of an object; [] where there are none."""
    return list(obj.get("metadata", {}).get("managedFields") or ())


def field_paths(entry: Entry) -> frozenset[OwnedPath]:
    """Every path an entry owns."""
    found: set[OwnedPath] = set()
    _collect(entry.get("fieldsV1") or {}, (), found)
    return frozenset(found)


def _collect(tree: Mapping[str, Any], at: OwnedPath, found: set[OwnedPath]) -> None:
    for key, below in tree.items():
        if key == SELF:
            found.add(at)
        elif below:
            _collect(below, (*at, key), found)
        else:
            found.add((*at, key))


def build_fields(paths: Iterable[OwnedPath]) -> dict[str, Any]:
    """The FieldsV1 tree that owns exactly these paths."""
    root: dict[str, Any] = {}
    members = set(paths)
    for path in sorted(members):
        node = root
        for element in path:
            node = node.setdefault(element, {})
    for path in members:
        node = root
        for element in path:
            node = node[element]
        if node:
            node[SELF] = {}
    return root


def is_kubectl(entry: Entry) -> bool:
    """True for a person's hand: kubectl in any of its verbs, save through a subresource."""
    return entry["manager"].startswith("kubectl") and not entry.get("subresource")


def is_mergeable(entry: Entry, manager: str) -> bool:
    """True when an update by `manager` takes over all that this entry owns."""
    if entry.get("subresource"):
        return False
    if is_kubectl(entry):
        return True
    return entry["operation"] == "Update" and entry["manager"] in CLI_MANAGERS | {manager}


def is_own(entry: Entry, manager: str) -> bool:
    """True for the server-side apply entry of `manager`."""
    return (
        entry["manager"] == manager
        and entry["operation"] == "Apply"
        and not entry.get("subresource")
    )


def has_manager(obj: Mapping[str, Any], manager: str) -> bool:
    """True when `manager` ever wrote the object and still owns something of it."""
    return any(entry["manager"] == manager for entry in entries(obj))


def writers(obj: Mapping[str, Any]) -> tuple[str, ...]:
    """Who wrote the object, subresources (status, scale) left out; sorted."""
    return tuple(sorted({e["manager"] for e in entries(obj) if not e.get("subresource")}))


def covers(paths: frozenset[OwnedPath], path: OwnedPath) -> bool:
    """True when `paths` hold the path, something below it, or an atomic field above it."""
    if path in paths:
        return True
    if any(owned[: len(path)] == path for owned in paths):
        return True
    parents = {path[:length] for length in range(1, len(path))} & paths
    return any(
        not any(p != parent and p[: len(parent)] == parent for p in paths) for parent in parents
    )


def owner_entries(obj: Mapping[str, Any], path: OwnedPath) -> list[dict[str, Any]]:
    """The entries that own a path or something below it."""
    return [entry for entry in entries(obj) if covers(field_paths(entry), path)]


def merged(
    managed: Sequence[Entry], manager: str, api_version: str, kept: Iterable[OwnedPath] = ()
) -> list[dict[str, Any]] | None:
    """managedFields with every mergeable entry folded into the apply entry of `manager`.

    None when there is nothing to fold. Paths at or below `kept` stay where they are. An entry in
    another apiVersion stays too: its paths may not exist in this one.
    """
    left, taken = [], set[OwnedPath]()
    kept = tuple(kept)
    for entry in managed:
        if not is_mergeable(entry, manager) or entry.get("apiVersion") != api_version:
            left.append(dict(entry))
            continue
        stay = frozenset(p for p in field_paths(entry) if _is_within(p, kept))
        taken |= field_paths(entry) - stay
        if stay:
            left.append({**entry, "fieldsV1": build_fields(stay)})
    if not taken:
        return None
    own = next((e for e in left if is_own(e, manager)), None)
    if own is None:
        own = {
            "manager": manager,
            "operation": "Apply",
            "apiVersion": api_version,
            "time": max((e["time"] for e in managed if e.get("time")), default=None),
            "fieldsType": "FieldsV1",
            "fieldsV1": {},
        }
        left.append({k: v for k, v in own.items() if v is not None})
        own = left[-1]
    own["fieldsV1"] = build_fields(field_paths(own) | taken)
    return left


def _is_within(path: OwnedPath, roots: tuple[OwnedPath, ...]) -> bool:
    return any(path[: len(root)] == root for root in roots)


def unowned_paths(
    obj: Mapping[str, Any],
    manager: str,
    sent: Mapping[str, Any],
    recorded: Mapping[str, Any],
    kept: Iterable[OwnedPath] = (),
) -> frozenset[OwnedPath]:
    """The paths an update by `manager` that sends `sent` removes after folding others in.

    What kubectl owns goes; of what the CLI's create owns only what the `recorded` inputs named,
    for the rest of its entry are the server's defaults. What anyone else owns stays.
    """
    kept = tuple(kept)
    going, staying = set[OwnedPath](), set[OwnedPath]()
    for entry in entries(obj):
        paths = field_paths(entry)
        if not is_mergeable(entry, manager) and not is_own(entry, manager):
            staying |= paths
        elif is_kubectl(entry):
            going |= {p for p in paths if not _is_within(p, kept)}
        elif not is_own(entry, manager):
            going |= {p for p in paths if find(recorded, p) is not MISSING}
    return frozenset(
        p for p in going if find(sent, p) is MISSING and not any(s[: len(p)] == p for s in staying)
    )


def find(obj: Any, path: OwnedPath) -> Any:
    """The value at a path, MISSING where there is none."""
    for element in path:
        obj = _step(obj, element)
        if obj is MISSING:
            return MISSING
    return obj


def _step(obj: Any, element: str) -> Any:
    tag, _, rest = element.partition(":")
    if tag == "f":
        return obj.get(rest, MISSING) if isinstance(obj, Mapping) else MISSING
    if not isinstance(obj, list):
        return MISSING
    index = _item_index(obj, tag, rest)
    return MISSING if index is None else obj[index]


@lru_cache(maxsize=4096)
def _decoded(text: str) -> Any:
    return json.loads(text)


def _item_index(items: list[Any], tag: str, rest: str) -> int | None:
    wanted = _decoded(rest)
    if tag == "i":
        return wanted if wanted < len(items) else None
    for index, item in enumerate(items):
        if tag == "v" and item == wanted:
            return index
        if tag == "k" and isinstance(item, Mapping) and _has_keys(item, wanted):
            return index
    return None


def _has_keys(item: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    # A key the item leaves out is one the server fills in: the protocol of a port.
    return any(key in item for key in wanted) and all(
        item.get(key, value) == value for key, value in wanted.items()
    )


def without(obj: Mapping[str, Any], paths: Iterable[OwnedPath]) -> dict[str, Any]:
    """A copy of the object with these paths gone: list items whole, a mapping or list that holds
    more only if nothing is left in it."""
    result: dict[str, Any] = deepcopy(dict(obj))
    going = frozenset(paths)
    items = {path for path in going if not path[-1].startswith("f:")}
    # Items first: without its key fields an item could no longer be found.
    for path in sorted(items) + sorted(going - items, key=len, reverse=True):
        value = find(result, path)
        is_leaf = not any(p != path and p[: len(path)] == path for p in going)
        if value is not MISSING and (path in items or is_leaf or not value):
            _drop(find(result, path[:-1]), path[-1])
    return result


def _drop(parent: Any, element: str) -> None:
    tag, _, rest = element.partition(":")
    if tag == "f":
        del parent[rest]
        return
    index = _item_index(parent, tag, rest)
    if index is not None:
        del parent[index]


def find_path(paths: frozenset[OwnedPath], path: FieldPath) -> OwnedPath | None:
    """Returns the owned path that reaches furthest along a field's path; None when nothing owned
    lies on the way or below."""
    candidates = paths
    best: OwnedPath | None = None
    for depth, step in enumerate(path.steps):
        candidates = frozenset(p for p in candidates if len(p) > depth and _is_step(p[depth], step))
        if not candidates:
            return best
        exact = next((p for p in candidates if len(p) == depth + 1), None)
        # A container's own membership says who added it, not who wrote what is in it.
        if depth + 1 == len(path.steps) or (exact and len(candidates) == 1):
            best = exact or min(candidates)
    return best


def _is_step(element: str, step: Step) -> bool:
    tag, _, rest = element.partition(":")
    if isinstance(step, str):
        return tag == "f" and rest == step
    if tag == "k":
        # The server sorts the keys by name, which is the order of core/field_paths.py as well.
        values = [str(value) for value in _decoded(rest).values()]
        return str(step) in (values[0], "/".join(values))
    return tag == "i" and rest == str(step)


def owner_of(obj: Mapping[str, Any], path: FieldPath) -> Entry | None:
    """The entry that wrote the field last, subresources included; None when nobody owns it."""
    owning = [e for e in entries(obj) if find_path(field_paths(e), path) is not None]
    return max(owning, key=lambda e: str(e.get("time", "")), default=None)
