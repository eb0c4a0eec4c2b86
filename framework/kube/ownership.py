"""Ownership of objects and of their fields, read from metadata.managedFields.

Pure functions. A path is a tuple of the server's own path elements (structured-merge-diff,
fieldpath/serialize.go): `f:spec` is a field, `k:{"name":"model"}` the item of a list with keys,
`v:"x"` a member of a set, `i:0` an index.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from functools import lru_cache
from typing import Any

from framework.core.errors import ClusterError
from framework.core.field_paths import MISSING, FieldPath, Step
from framework.kube.objects import Object, ObjectState, object_name

OwnedPath = tuple[str, ...]
Entry = Mapping[str, Any]

OWN_PREFIX = "pulumi-kubernetes"
# The Pulumi provider creates objects under these names. Its first update moves the ownership to a
# field manager of the resource's own.
CLI_MANAGERS = frozenset({"pulumi-kubernetes", "pulumi-resource-kubernetes"})
# Marks a field that an entry owns by itself, while it also owns fields below it.
SELF = "."


class AlreadyExistsError(ClusterError):
    """An object of this name exists and is not managed by this stack, so it is never changed."""

    def __init__(self, live: Mapping[str, Any]) -> None:
        self.kind, self.name = live["kind"], object_name(live["metadata"])
        self.managers = writers(live)
        managers = ", ".join(self.managers) or "unknown"
        advice = "delete it if nobody needs it, or give the one here another name"
        self.pulumi = any(name.startswith(OWN_PREFIX) for name in self.managers)
        if self.pulumi:
            advice = "another Pulumi stack owns it: use another namespace, or another name here"
        super().__init__(
            f"{self.kind} {self.name}: already exists and is not managed by this stack (its "
            f"managers: {managers}); {advice}"
        )


class RecordedNameTakenError(AlreadyExistsError):
    """Somebody else's object has the name of a recorded one, but not its labels."""


def require_own(live: Object, manager: str) -> None:
    """Raises AlreadyExistsError for an object that `manager` never wrote."""
    if not has_manager(live, manager):
        raise AlreadyExistsError(live)


def is_foreign(live: Object, state: ObjectState, manager: str) -> bool:
    """Returns True for another object with the name of the recorded one, not written by `manager`.

    Another object has another UID.
    """
    uid = state.outputs.get("metadata", {}).get("uid", "")
    return bool(uid) and live["metadata"]["uid"] != uid and not has_manager(live, manager)


def has_recorded_labels(live: Object, state: ObjectState) -> bool:
    """Returns True for an object that has all labels of the recorded inputs.

    The labels say which model an object belongs to, so one without them is somebody else's.
    """
    recorded = (state.inputs.get("metadata") or {}).get("labels") or {}
    labels = live["metadata"].get("labels") or {}
    return bool(recorded) and all(labels.get(name) == value for name, value in recorded.items())


def is_recreated(live: Object, state: ObjectState, manager: str) -> bool:
    """Returns True if somebody else recreated the object, as `kubectl replace --force` does.

    Raises RecordedNameTakenError if the new object does not have the recorded labels.
    """
    if not is_foreign(live, state, manager):
        return False
    if not has_recorded_labels(live, state):
        raise RecordedNameTakenError(live)
    return True


def describe_recreation(live: Mapping[str, Any]) -> str:
    """Returns the note that an object was recreated, with the managers that wrote it."""
    return f"was recreated by {', '.join(writers(live)) or 'an unknown manager'}"


def entries(obj: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the managedFields of an object; [] where there are none."""
    return list(obj.get("metadata", {}).get("managedFields") or ())


def field_paths(entry: Entry) -> frozenset[OwnedPath]:
    """Returns every path that an entry owns."""
    paths: set[OwnedPath] = set()
    _collect(entry.get("fieldsV1") or {}, (), paths)
    return frozenset(paths)


def _collect(tree: Mapping[str, Any], at: OwnedPath, paths: set[OwnedPath]) -> None:
    for element, below in tree.items():
        if element == SELF:
            paths.add(at)
        elif below:
            _collect(below, (*at, element), paths)
        else:
            paths.add((*at, element))


def build_fields(paths: Iterable[OwnedPath]) -> dict[str, Any]:
    """Builds the FieldsV1 tree that owns exactly these paths."""
    root: dict[str, Any] = {}
    members = set(paths)
    for path in sorted(members):
        node = root
        for element in path:
            node = node.setdefault(element, {})
    # A path with others below it is a node and not a leaf, so it is owned only with the mark.
    for path in members:
        node = root
        for element in path:
            node = node[element]
        if node:
            node[SELF] = {}
    return root


def is_kubectl(entry: Entry) -> bool:
    """Returns True if a person wrote the entry with any kubectl verb, but not through a
    subresource."""
    return entry["manager"].startswith("kubectl") and not entry.get("subresource")


def is_mergeable(entry: Entry, manager: str) -> bool:
    """Returns True if an update by `manager` takes over everything that this entry owns.

    Those are the entries of kubectl and of the CLI's create. Entries of a subresource are not taken
    over, since autoscalers write replicas through `scale`. Neither are those of other controllers,
    nor the Apply entry of `manager`, which is its own already.
    """
    if entry.get("subresource"):
        return False
    if is_kubectl(entry):
        return True
    return entry["operation"] == "Update" and entry["manager"] in CLI_MANAGERS | {manager}


def is_own(entry: Entry, manager: str) -> bool:
    """Returns True for the server-side apply entry of `manager`."""
    return (
        entry["manager"] == manager
        and entry["operation"] == "Apply"
        and not entry.get("subresource")
    )


def has_manager(obj: Mapping[str, Any], manager: str) -> bool:
    """Returns True if `manager` wrote the object and still owns a field of it."""
    return any(entry["manager"] == manager for entry in entries(obj))


def writers(obj: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the managers that wrote the object, sorted, without those that wrote only its
    subresources (status, scale)."""
    return tuple(sorted({e["manager"] for e in entries(obj) if not e.get("subresource")}))


def covers(paths: frozenset[OwnedPath], path: OwnedPath) -> bool:
    """Returns True if `paths` have the path, a path below it, or an atomic field above it.

    The owner of an atomic field owns all of it, and no path goes further: `spec.selector` of a
    Deployment covers `spec.selector.matchLabels`. A field with owned paths below it is not atomic:
    the owner of `containers[model]` and of its image may not own its env.
    """
    if path in paths:
        return True
    if any(owned[: len(path)] == path for owned in paths):
        return True
    parents = {path[:length] for length in range(1, len(path))} & paths
    return any(
        not any(p != parent and p[: len(parent)] == parent for p in paths) for parent in parents
    )


def owner_entries(obj: Mapping[str, Any], path: OwnedPath) -> list[dict[str, Any]]:
    """Returns the entries that own a path or something below it."""
    return [entry for entry in entries(obj) if covers(field_paths(entry), path)]


def merged(
    managed: Sequence[Entry], manager: str, api_version: str, kept: Iterable[OwnedPath] = ()
) -> list[dict[str, Any]] | None:
    """Returns managedFields with every mergeable entry folded into the Apply entry of `manager`.

    When an applier stops sending a field, server-side apply removes the field only if nobody else
    owns it. So a variable that was added with `kubectl set env` would stay for ever. Once it is
    owned by `manager`, the next apply does not send it, and the server removes it. For example, of

        kubectl-set (Update): containers[model].env[EXTRA]    ours (Apply): spec.replicas

    only the entry `ours (Apply): spec.replicas, containers[model].env[EXTRA]` is left.

    Paths at or below `kept` stay with their owners. So do entries of another apiVersion, since
    their paths may not exist in this one. Returns None if there is nothing to fold.
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
    """Returns the paths that an update by `manager` removes although it does not own them yet.

    They are the paths that `merged` folds in and that are not in `sent`. All paths of kubectl are
    removed. Of the CLI's create, only those that are in the `recorded` inputs are removed: a create
    also owns the server's defaults, and those must stay. A path that another manager owns as well
    is not removed.
    """
    kept = tuple(kept)
    removed, foreign = set[OwnedPath](), set[OwnedPath]()
    for entry in entries(obj):
        paths = field_paths(entry)
        if not is_mergeable(entry, manager) and not is_own(entry, manager):
            foreign |= paths
        elif is_kubectl(entry):
            removed |= {path for path in paths if not _is_within(path, kept)}
        elif not is_own(entry, manager):
            removed |= {path for path in paths if find(recorded, path) is not MISSING}
    return frozenset(
        path
        for path in removed
        if find(sent, path) is MISSING and not any(_is_within(other, (path,)) for other in foreign)
    )


def find(obj: Any, path: OwnedPath) -> Any:
    """Returns the value at a path, MISSING where there is none."""
    for element in path:
        obj = _get(obj, element)
        if obj is MISSING:
            return MISSING
    return obj


def _get(obj: Any, element: str) -> Any:
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
    value = _decoded(rest)
    if tag == "i":
        return value if value < len(items) else None
    for index, item in enumerate(items):
        if tag == "v" and item == value:
            return index
        if tag == "k" and isinstance(item, Mapping) and _has_keys(item, value):
            return index
    return None


def _has_keys(item: Mapping[str, Any], keys: Mapping[str, Any]) -> bool:
    # The server fills in some keys that an item may leave out, such as the protocol of a port.
    return any(key in item for key in keys) and all(
        item.get(key, value) == value for key, value in keys.items()
    )


def without(obj: Mapping[str, Any], paths: Iterable[OwnedPath]) -> dict[str, Any]:
    """Returns a copy of the object without these paths.

    A list item is removed as a whole, a mapping or a list only if it is empty by then.
    """
    result: dict[str, Any] = deepcopy(dict(obj))
    removed = frozenset(paths)
    items = {path for path in removed if not path[-1].startswith("f:")}
    # Items first: an item that has lost its key fields can no longer be found. Then the deepest
    # fields first, so that a mapping is empty by the time it is looked at.
    for path in sorted(items) + sorted(removed - items, key=len, reverse=True):
        value = find(result, path)
        is_leaf = not any(other != path and _is_within(other, (path,)) for other in removed)
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
    """Returns the owned path that fits a field's path best; None if there is none.

    It may end above the field (an atomic field) or, if the field is a mapping, below it.
    """
    candidates = paths
    best: OwnedPath | None = None
    for depth, step in enumerate(path.steps):
        candidates = frozenset(p for p in candidates if len(p) > depth and _is_step(p[depth], step))
        if not candidates:
            return best
        exact = next((p for p in candidates if len(p) == depth + 1), None)
        # The owner of a container's own path added the container, and may not have written its
        # image. So that path counts only if nothing below it is owned, which makes it atomic.
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
    """Returns the entry that wrote the field last, also through a subresource; None for nobody."""
    owners = [e for e in entries(obj) if find_path(field_paths(e), path) is not None]
    return max(owners, key=lambda e: str(e.get("time", "")), default=None)
