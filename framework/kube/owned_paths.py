"""Owned paths: the fields that one entry of metadata.managedFields names, in the server's notation.

The server writes an entry as a tree of path elements (structured-merge-diff,
fieldpath/serialize.go). An element is a field (`f:spec`), an item of a list with keys
(`k:{"name":"model"}`), a member of a set (`v:"x"`) or an index (`i:0`). A leaf is an owned field.
The mark `.` makes a field owned that has owned fields below it as well:

    f:spec:                                 owns three paths:
      f:replicas: {}                        ("f:spec", "f:replicas")
      f:containers:
        k:{"name":"model"}:
          .: {}                             ("f:spec", "f:containers", 'k:{"name":"model"}')
          f:image: {}                       (... the same ..., "f:image")

`f:spec` itself is not owned here, and neither is `f:containers`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from functools import lru_cache
from typing import Any

from framework.core.field_paths import MISSING, FieldPath, ItemKey, Step, is_at_or_below
from framework.kube.objects import is_same_value

OwnedPath = tuple[str, ...]

_SELF = "."


def parse_fields(tree: Mapping[str, Any]) -> frozenset[OwnedPath]:
    """Returns every path that a FieldsV1 tree owns."""
    paths: set[OwnedPath] = set()
    _collect_paths(tree, (), paths)
    return frozenset(paths)


def _collect_paths(tree: Mapping[str, Any], parent: OwnedPath, paths: set[OwnedPath]) -> None:
    for element, below in tree.items():
        if element == _SELF:
            paths.add(parent)
        elif below:
            _collect_paths(below, (*parent, element), paths)
        else:
            paths.add((*parent, element))


def build_fields(paths: Iterable[OwnedPath]) -> dict[str, Any]:
    """Builds the FieldsV1 tree that owns exactly these paths."""
    root: dict[str, Any] = {}
    owned = set(paths)
    for path in sorted(owned):
        node = root
        for element in path:
            node = node.setdefault(element, {})
    # A path with others below it is a node and not a leaf, so it is owned only with the mark.
    for path in owned:
        node = root
        for element in path:
            node = node[element]
        if node:
            node[_SELF] = {}
    return root


def covers(owned: frozenset[OwnedPath], path: OwnedPath) -> bool:
    """Returns True if the owner of the paths `owned` owns the field at `path`, or a part of it.

    The field is owned if its path or a path below it is. It is also owned if it is inside an atomic
    field, which has one owner as a whole: the paths of its owner end there. The nearest owned
    parent is atomic if no other owned path is below it.

        owned                                          path                             covered
        spec.selector                                  spec.selector.matchLabels        yes, atomic
        containers[model], containers[model].image     containers[model].env            no
    """
    if any(is_at_or_below(other, path) for other in owned):
        return True
    parents = [path[:length] for length in range(1, len(path)) if path[:length] in owned]
    if not parents:
        return False
    nearest = parents[-1]
    return not any(other != nearest and is_at_or_below(other, nearest) for other in owned)


# The values of an object at owned paths


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
    index = _find_item(obj, tag, rest)
    return MISSING if index is None else obj[index]


# The same few elements, such as k:{"name":"model"}, are decoded for every object of a stack.
@lru_cache(maxsize=4096)
def _decode(text: str) -> Any:
    return json.loads(text)


def _find_item(items: list[Any], tag: str, rest: str) -> int | None:
    """Returns the index of the item that `tag:rest` identifies; None if there is none."""
    value = _decode(rest)
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
    # Of `ports: [{port: 80}]` the element k:{"port":80,"protocol":"TCP"} means the first item.
    return any(key in item for key in keys) and all(
        item.get(key, value) == value for key, value in keys.items()
    )


def is_as_sent(
    live: Any,
    sent: Any,
    owned: Mapping[str, Any] | None,
    is_left_out: Callable[[str, Any], bool] = lambda key, value: False,
) -> bool:
    """Returns True if `live` has every value that was sent, and all that `owned` names was sent.

    `owned` is the sender's FieldsV1 tree: {} for a field that it owns as a whole, None for nothing.
    A value that the server leaves out because it is 0 is still owned; one that somebody removed is
    not. `is_left_out` decides, by key and value, what may be missing without an owner. False also
    for a value that is only spelled differently, and for items in another order.
    """
    if is_same_value(live, sent):
        return True
    elements = owned or {}
    if isinstance(live, Mapping) and isinstance(sent, Mapping):
        if any(element[:2] == "f:" and element[2:] not in sent for element in elements):
            return False
        is_whole = owned is not None and not owned
        return all(
            is_as_sent(live[key], value, {} if is_whole else elements.get(f"f:{key}"), is_left_out)
            if key in live
            else is_whole or f"f:{key}" in elements or is_left_out(key, value)
            for key, value in sent.items()
        )
    if not isinstance(live, list) or not isinstance(sent, list) or len(live) != len(sent):
        return False
    below: dict[int, Mapping[str, Any]] = {}
    for element, tree in elements.items():
        tag, _, rest = element.partition(":")
        index = None if element == _SELF else _find_item(sent, tag, rest)
        if index is not None:
            below[index] = tree
        elif element != _SELF:
            return False
    nothing: Mapping[str, Any] | None = {} if owned == {} else None
    return all(
        is_as_sent(item, value, below.get(index, nothing), is_left_out)
        for index, (item, value) in enumerate(zip(live, sent, strict=True))
    )


def without(obj: Mapping[str, Any], paths: Iterable[OwnedPath]) -> dict[str, Any]:
    """Returns a copy of the object without these paths.

    A list item is removed as a whole. A mapping or a list with removed paths below it is removed
    only if nothing is left in it: an injector may have added a variable to the same `env`.
    """
    result: dict[str, Any] = deepcopy(dict(obj))
    removed = frozenset(paths)
    items = {path for path in removed if not path[-1].startswith("f:")}
    # Items first: an item that has lost its key fields can no longer be found. Then the deepest
    # fields first, so that a mapping is empty by the time it is looked at.
    for path in sorted(items) + sorted(removed - items, key=len, reverse=True):
        value = find(result, path)
        is_leaf = not any(other != path and is_at_or_below(other, path) for other in removed)
        if value is not MISSING and (path in items or is_leaf or not value):
            _drop(find(result, path[:-1]), path[-1])
    return result


def _drop(parent: Any, element: str) -> None:
    tag, _, rest = element.partition(":")
    if tag == "f":
        del parent[rest]
        return
    index = _find_item(parent, tag, rest)
    if index is not None:
        del parent[index]


# Field paths in the notation of core/field_paths.py


def find_path(owned: frozenset[OwnedPath], path: FieldPath) -> OwnedPath | None:
    """Returns the owned path that contains a field, or is below it; None if the field is not owned.

    A path above the field counts only if it is atomic, as in `covers`. With several paths below
    the field, which is a mapping or a list then, the first is returned.

        owned                                          path                       result
        containers[model], containers[model].image     containers[model].image    the second
        containers[model], containers[model].image     containers[model].env      None
        spec.selector                                  spec.selector.matchLabels  spec.selector
    """
    candidates = owned
    best: OwnedPath | None = None
    for depth, step in enumerate(path.steps):
        candidates = frozenset(p for p in candidates if len(p) > depth and _is_step(p[depth], step))
        if not candidates:
            return best
        exact = next((p for p in candidates if len(p) == depth + 1), None)
        is_whole_path = depth + 1 == len(path.steps)
        is_atomic = exact is not None and len(candidates) == 1
        if is_whole_path or is_atomic:
            best = exact or min(candidates)
    return best


def is_within_field(owned: OwnedPath, path: FieldPath) -> bool:
    """Returns True if an owned path is the field at `path`, or below it."""
    return len(owned) >= len(path.steps) and all(map(_is_step, owned, path.steps))


def _is_step(element: str, step: Step) -> bool:
    tag, _, rest = element.partition(":")
    if isinstance(step, str):
        return tag == "f" and rest == step
    if tag == "k":
        # The server sorts the keys by name, which is the order of core/field_paths.py as well.
        # An item of `ports` has the keys containerPort and protocol: `ports[8000]` and
        # `ports[8000/TCP]` both name `k:{"containerPort":8000,"protocol":"TCP"}`.
        values = [str(value) for value in _decode(rest).values()]
        return str(step) in (values[0], "/".join(values))
    return tag == "i" and rest == str(step)


def describe_path(path: OwnedPath) -> str:
    """Returns an owned path in the notation of core/field_paths.py: `containers[model].image`."""
    steps: list[Step] = []
    for element in path:
        tag, _, rest = element.partition(":")
        if tag == "f":
            steps.append(rest)
            continue
        value = _decode(rest)
        if tag == "k":
            value = next(iter(value.values()))
        steps.append(value if isinstance(value, int) else ItemKey(str(value)))
    return str(FieldPath(tuple(steps)))
