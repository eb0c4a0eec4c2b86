"""Fields of Kubernetes objects by path: `spec.template.spec.containers[model].image`.

All output and all input uses this one notation. A key of a mapping follows a dot. A key with dots
or slashes is written in brackets and quotes: `metadata.annotations["example.com/owner"]`. An item
of a list is written in brackets. If the API server identifies the items of the list by keys when
it merges the list, the values of these keys name the item (`containers[model]`); otherwise its
index does (`args[1]`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# From the field name of a list to its `x-kubernetes-list-map-keys` in the OpenAPI documents of the
# API server. Where two lists have the same field name, one entry also has the name of the parent:
# `spec.ports` is the list of a Service, `ports` that of a container. tests/kube/test_list_keys.py
# compares this table with the documents of a real server.
LIST_KEYS: Mapping[str, tuple[str, ...]] = {
    "claims": ("name",),
    "containers": ("name",),
    "env": ("name",),
    "ephemeralContainers": ("name",),
    "evictionResponders": ("name",),
    "hostAliases": ("ip",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "ownerReferences": ("uid",),
    "ports": ("containerPort", "protocol"),
    "resourceClaims": ("name",),
    "schedulingGates": ("name",),
    "secrets": ("name",),
    "spec.ports": ("port", "protocol"),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
# The server sets these defaults, so an item without the key equals an item with the default.
KEY_DEFAULTS: Mapping[str, str] = {"protocol": "TCP"}
# Mappings of texts whose keys people choose, in manifests and in settings.
FREE_KEYS = frozenset(
    {
        "annotations",
        "data",
        "env",
        "files",
        "labels",
        "podAnnotations",
        "podLabels",
        "stringData",
        "variables",
    }
)

_STEP = re.compile(
    r"""
      \.? ([^.\[\]"]+)                        # a key
    | \.? \[ (\d+) \]                         # an index, or a number that is an item's key
    | \.? \[ " ((?: [^"\\] | \\. )*) " \]     # a quoted key
    | \.? \[ ([^\[\]"]+) \]                   # an item's key
    """,
    re.VERBOSE,
)
_NEEDS_QUOTES = re.compile(r'[.\[\]"/\s]|^$')
# The key of an item is in brackets already. It needs quotes only if it contains brackets or quotes,
# or if it consists of digits, which would be read as an index.
_ITEM_NEEDS_QUOTES = re.compile(r'[\[\]"]|^\d*$')
# Between quotes, a backslash is before a quote and before another backslash.
_TO_ESCAPE, _ESCAPE = re.compile(r'(["\\])'), r"\\\1"
_ESCAPED = re.compile(r'\\(["\\])')


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING = _Missing()
"""Returned where an object has no value. Not None, which can be a value."""


def is_at_or_below(path: tuple[Any, ...], parent: tuple[Any, ...]) -> bool:
    """Returns True if the steps of `path` are those of `parent`, or begin with them."""
    return path[: len(parent)] == parent


def is_text_within(path: str, root: str) -> bool:
    """Returns True if the text of a field path is that of `root`, or of a field below it."""
    # Without the dot or bracket, `spec.selectorPolicy` would be within `spec.selector`.
    return path == root or path.startswith((f"{root}.", f"{root}["))


@dataclass(frozen=True, slots=True)
class ItemKey:
    """The key of a list item: `model` in `containers[model]`, `53/UDP` in `ports[53/UDP]`."""

    text: str

    def __str__(self) -> str:
        return self.text


# A str is a key of a mapping. An int is the index of a list item, or its key if that is a number,
# as in `ports[8000]`.
Step = str | int | ItemKey


class FieldPathError(ValueError):
    """The text is not a field path; `character` counts from 1."""

    def __init__(self, text: str, character: int) -> None:
        self.text, self.character = text, character
        super().__init__(
            f'"{text}" is not a field path (at character {character}); write it as spec.replicas, '
            'spec.containers[model].image or metadata.annotations["example.com/owner"]'
        )


@dataclass(frozen=True, slots=True)
class FieldPath:
    """The path of one field in an object; without steps, the object itself."""

    steps: tuple[Step, ...] = ()

    @classmethod
    def parse(cls, text: str) -> FieldPath:
        """Parses the text that `str()` returns, or a property path of Pulumi.

        Raises FieldPathError.
        """
        steps: list[Step] = []
        position = 0
        while position < len(text):
            match = _STEP.match(text, position)
            if match is None:
                raise FieldPathError(text, position + 1)
            key, number, quoted, item = match.groups()
            if number is not None:
                steps.append(int(number))
            elif item is not None:
                steps.append(ItemKey(item))
            else:
                steps.append(key if quoted is None else _ESCAPED.sub(r"\1", quoted))
            position = match.end()
        return cls(tuple(steps))

    def __str__(self) -> str:
        text = ""
        for step in self.steps:
            if isinstance(step, int):
                text += f"[{step}]"
            elif isinstance(step, ItemKey) and not _ITEM_NEEDS_QUOTES.search(step.text):
                text += f"[{step.text}]"
            elif isinstance(step, ItemKey) or _NEEDS_QUOTES.search(step):
                text += f'["{_TO_ESCAPE.sub(_ESCAPE, str(step))}"]'
            else:
                text += f".{step}" if text else step
        return text

    def child(self, step: Step) -> FieldPath:
        """Returns the path one step further down."""
        return FieldPath((*self.steps, step))

    def is_within(self, other: FieldPath) -> bool:
        """Returns True if this path is `other` or below it. Every path is below the empty path."""
        return self.steps[: len(other.steps)] == other.steps


ROOT = FieldPath()


def list_keys(path: FieldPath) -> tuple[str, ...]:
    """Returns the keys of the items of the list at `path`; () if its items go by index."""
    # Of `spec.template.spec.containers[model].ports` the names are without the item `model`, so the
    # last two are `containers.ports`, which is not in the table, and then `ports`, which is.
    names = [step for step in path.steps if isinstance(step, str)]
    if not names or not isinstance(path.steps[-1], str):
        return ()
    return LIST_KEYS.get(".".join(names[-2:])) or LIST_KEYS.get(names[-1], ())


def find_list_without_keys(path: FieldPath) -> FieldPath | None:
    """Returns the first list without keys on the way to a field; None if there is none.

    Its items have no key in LIST_KEYS, so a path names them by index.
    For `spec.template.spec.tolerations[0].effect` it is `spec.template.spec.tolerations`.
    """
    for depth, step in enumerate(path.steps):
        above = FieldPath(path.steps[:depth])
        if isinstance(step, int) and not list_keys(above):
            return above
    return None


def identify_items(path: FieldPath, *versions: Sequence[Any]) -> tuple[list[Step], ...] | None:
    """Returns a name for each item of the list at `path`, for each of its versions.

    Items with the same name in two versions are the same item. Returns None if the items go by
    index, because the list has no keys, or because two of its items have the same keys.

    The name is the first key alone, so a port that changes from TCP to UDP is still `ports[8000]`.
    The other keys are added only if one version has two items with the same first key:

        old                  new                  names of the old and of the new items
        8000/TCP             8000/UDP             [8000]             [8000]
        53/TCP               53/TCP, 53/UDP       [53/TCP]           [53/TCP], [53/UDP]
    """
    keys = list_keys(path)
    items = [item for version in versions for item in version]
    if not keys or not all(isinstance(item, Mapping) and keys[0] in item for item in items):
        return None
    ambiguous = {name for version in versions for name in _find_repeated(version, keys)}

    def name_item(item: Mapping[str, Any]) -> Step:
        name = _first_key(item, keys)
        return _all_keys(item, keys) if name in ambiguous else name

    names = tuple([name_item(item) for item in version] for version in versions)
    # A manifest may have two items with the same keys by mistake. The server rejects it; but a
    # preview shows it before that, and only the index distinguishes the two items.
    return names if all(len(set(steps)) == len(steps) for steps in names) else None


def _find_repeated(items: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> Iterator[Step]:
    """Yields the first keys that two items of one version have."""
    counts = Counter(_first_key(item, keys) for item in items)
    return (name for name, count in counts.items() if count > 1)


def _first_key(item: Mapping[str, Any], keys: Sequence[str]) -> Step:
    value = item[keys[0]]
    return value if isinstance(value, int) else ItemKey(str(value))


def _all_keys(item: Mapping[str, Any], keys: Sequence[str]) -> Step:
    values = [item.get(key, KEY_DEFAULTS.get(key)) for key in keys]
    return ItemKey("/".join(str(value) for value in values if value is not None))


def name_items(path: FieldPath, items: Sequence[Any]) -> Sequence[Step]:
    """Returns the step to each item of the list at `path`: its key, or its index."""
    names = identify_items(path, items)
    return names[0] if names else range(len(items))


def match_items(
    path: FieldPath, old: Sequence[Any], new: Sequence[Any]
) -> Iterator[tuple[Step, Any, Any]]:
    """Yields (step, old item, new item) for each item of two versions of the list at `path`.

    An item that a version does not have is MISSING there. The items of the old version come first,
    in its order, then the new ones.
    """
    names = identify_items(path, old, new) or (range(len(old)), range(len(new)))
    before, after = (
        dict(zip(steps, items, strict=True)) for steps, items in zip(names, (old, new), strict=True)
    )
    # A mapping keeps the order of its keys, and a key of both versions is not repeated.
    for step in {**before, **after}:
        yield step, before.get(step, MISSING), after.get(step, MISSING)


def find_item(path: FieldPath, items: Sequence[Any], step: Step) -> int | None:
    """Returns the index of the item that `step` names in the list at `path`, or None.

    Accepts all keys of an item even if the first one is enough: `8000/TCP` for `8000`.
    """
    keys = list_keys(path)
    names = identify_items(path, items)
    if names is not None:
        for index, (name, item) in enumerate(zip(names[0], items, strict=True)):
            if str(step) in (str(name), str(_all_keys(item, keys))):
                return index
    # A number that is not the key of an item is an index. The two are rarely confused: keys that
    # are numbers are ports, and a list has fewer items than the smallest port.
    return step if isinstance(step, int) and step < len(items) else None


def resolve(
    obj: Any,
    path: FieldPath,
    find: Callable[[FieldPath, Sequence[Any], Step], int | None] = find_item,
) -> tuple[str | int, ...] | None:
    """Returns the keys and indexes of a path in this object; None if it has no field there.

    `containers[model].image` is ("containers", 0, "image") in an object whose first container is
    `model`. `find` returns the index of a list item.
    """
    concrete: list[str | int] = []
    for depth, step in enumerate(path.steps):
        key: str | int | None = None
        if isinstance(obj, Mapping):
            # `data[8080]` parses as an index, and may be a key that consists of digits.
            key = str(step) if str(step) in obj else None
        elif isinstance(obj, list):
            key = find(FieldPath(path.steps[:depth]), obj, step)
        if key is None:
            return None
        obj = obj[key]
        concrete.append(key)
    return tuple(concrete)


def get_at(obj: Any, concrete: Sequence[str | int], default: Any = MISSING) -> Any:
    """Returns the value at these keys and indexes; `default` if there is none."""
    for key in concrete:
        if isinstance(obj, list) and isinstance(key, int):
            obj = obj[key] if key < len(obj) else MISSING
        else:
            obj = obj.get(key, MISSING) if isinstance(obj, Mapping) else MISSING
    return default if obj is MISSING else obj


def is_leaf(value: Any) -> bool:
    """Returns True for a single value, and for an empty mapping or list."""
    return not isinstance(value, Mapping | list) or not value


def without_nulls(value: Any) -> Any:
    """Returns nested mappings and lists without the keys whose value is null."""
    if isinstance(value, Mapping):
        return {key: without_nulls(child) for key, child in value.items() if child is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def paths_overlap(path: Sequence[str | int], other: Sequence[str | int]) -> bool:
    """Returns True if one path is the other, or a parent of it.

    A step of an interpolation is always text, so `0` and `"0"` are the same step.
    """
    return all(str(step) == str(other_step) for step, other_step in zip(path, other, strict=False))


def name_path(concrete: Sequence[str | int], *objects: Any) -> FieldPath:
    """Returns the path of these keys and indexes: the inverse of `resolve`.

    `objects` are versions of one object, such as the old and the new one. If they have different
    items at an index, the name is that of the last version that has an item there.
    """
    path = ROOT
    values = list(objects)
    for key in concrete:
        step: Step = key
        lists = [value for value in values if isinstance(value, list)]
        if isinstance(key, int) and (names := identify_items(path, *lists) if lists else None):
            step = next((steps[key] for steps in reversed(names) if key < len(steps)), key)
        path = path.child(step)
        values = [get_at(value, (key,)) for value in values]
    return path


def walk(value: Any, path: FieldPath = ROOT) -> Iterator[tuple[FieldPath, Any]]:
    """Yields every path below `path` with its value, parents before children, otherwise in order.

    `path` is the path of `value` in its object.
    """
    if isinstance(value, Mapping):
        for key, child in value.items():
            below = path.child(key)
            yield below, child
            yield from walk(child, below)
    elif isinstance(value, list):
        for step, item in zip(name_items(path, value), value, strict=True):
            below = path.child(step)
            yield below, item
            yield from walk(item, below)
