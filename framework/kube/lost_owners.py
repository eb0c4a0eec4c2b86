"""Objects whose managedFields somebody emptied, with `kubectl patch ... managedFields: [{}]`.

The server tracks no writer of such an object until the next apply, and then gives all that is there
to one manager, `before-first-apply`: a field that somebody added would stay for ever, and every
default of the server would look like an addition. So a comparison with the recorded object finds
what was added, and the update writes managedFields again before its apply. Pure functions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from framework.core.field_paths import MISSING, FieldPath, ItemKey, list_keys
from framework.kube.managed_fields import entries
from framework.kube.objects import Object
from framework.kube.owned_paths import OwnedPath, build_fields, find

# The server's own name for what was there before the first apply.
_UNKNOWN = "before-first-apply"
# The server and the binding of a volume fill in fields of a claim later, which never change again.
FILLED_IN_LATER = frozenset({"PersistentVolumeClaim"})
_PARTS_OF_METADATA = ("labels", "annotations")
_OF_CONTROLLERS = ("f:metadata", "f:annotations", "f:deployment.kubernetes.io/revision")


def with_owners(live: Object, inputs: Object, recorded: Mapping[str, Any]) -> Object:
    """Returns the object with an owner for its fields, if managedFields are empty.

    The owner has the fields of the `inputs`, and those that differ from the `recorded` outputs. The
    server's defaults, which are recorded, have no owner, as after an apply. For example, with a
    variable that somebody added:

        inputs     env[LEVEL]
        recorded   env[LEVEL], imagePullPolicy
        live       env[LEVEL], imagePullPolicy, env[EXTRA]
        owned      env[LEVEL], env[EXTRA]
    """
    if entries(live) or not recorded or live["kind"] in FILLED_IN_LATER:
        return live
    owned = {
        path
        for path, value in _list_paths(live)
        if path != _OF_CONTROLLERS and _is_owned(path, value, inputs, recorded)
    }
    entry = {
        "manager": _UNKNOWN,
        "operation": "Update",
        "apiVersion": live["apiVersion"],
        "fieldsType": "FieldsV1",
        "fieldsV1": build_fields(owned),
    }
    return {**live, "metadata": {**live["metadata"], "managedFields": [entry]}}


def _is_owned(path: OwnedPath, value: Any, inputs: Object, recorded: Mapping[str, Any]) -> bool:
    before = find(recorded, path)
    # Server-side apply records the fields in a mapping as owned, and the mapping itself only if the
    # write created it.
    if isinstance(value, Mapping) and path[-1].startswith("f:"):
        return before is MISSING
    if find(inputs, path) is not MISSING:
        return True
    return before is MISSING if isinstance(value, Mapping) else before != value


def _list_paths(live: Object) -> Iterator[tuple[OwnedPath, Any]]:
    """Yields every path that an entry may own, with its value."""
    for part in _PARTS_OF_METADATA:
        for key, value in (live["metadata"].get(part) or {}).items():
            yield ("f:metadata", f"f:{part}", f"f:{key}"), value
    for key, value in live.items():
        if key not in ("apiVersion", "kind", "metadata", "status"):
            yield from _walk(value, (f"f:{key}",), FieldPath((key,)))


def _walk(value: Any, owned: OwnedPath, path: FieldPath) -> Iterator[tuple[OwnedPath, Any]]:
    keys = list_keys(path) if isinstance(value, list) else ()
    if keys and all(isinstance(item, Mapping) and keys[0] in item for item in value):
        # The items have owners, and the list has none.
        for item in value:
            names = {key: item[key] for key in sorted(keys) if key in item}
            element = f"k:{json.dumps(names, separators=(',', ':'))}"
            yield from _walk(item, (*owned, element), path.child(ItemKey(str(item[keys[0]]))))
        return
    yield owned, value
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from _walk(below, (*owned, f"f:{key}"), path.child(key))
