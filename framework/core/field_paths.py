"""Fields of Kubernetes objects by path: `spec.template.spec.containers[model].image`.

One notation for every output and every input. A key of a mapping follows a dot, or stands in
brackets and quotes where it has dots or slashes: `metadata.annotations["example.com/owner"]`. An
item of a list stands in brackets: by the keys that the API server itself goes by where it merges
the list, else by index.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# What the API server calls x-kubernetes-list-map-keys, by the list's field name, after the name of
# the mapping it is in where two lists share one. tests/kube/test_list_keys.py compares this table
# with the OpenAPI documents of a real server.
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
# The server fills these in, so an item that leaves one out is the same item.
KEY_DEFAULTS: Mapping[str, str] = {"protocol": "TCP"}

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
# Brackets delimit an item's key already. Only what would end them needs quotes, and digits, which
# would read as an index.
_ITEM_NEEDS_QUOTES = re.compile(r'[\[\]"]|^\d*$')


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING = _Missing()
"""Stands where an object has no value; None may be a value."""


@dataclass(frozen=True, slots=True)
class ItemKey:
    """The key of a list item: `model` in `containers[model]`, `53/UDP` in `ports[53/UDP]`."""

    text: str

    def __str__(self) -> str:
        return self.text


# A key of a mapping, the key of a list item, or a number: an index, or a key that is a number,
# such as a port's.
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
        """Reads what `str` writes, and Pulumi's property paths. Raises FieldPathError."""
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
                steps.append(key if quoted is None else quoted.replace('\\"', '"'))
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
                escaped = str(step).replace('"', '\\"')
                text += f'["{escaped}"]'
            else:
                text += f".{step}" if text else step
        return text

    def child(self, step: Step) -> FieldPath:
        """Returns the path one step further down."""
        return FieldPath((*self.steps, step))

    def is_within(self, other: FieldPath) -> bool:
        """Returns True where this path is `other` or lies below it; everything lies below ""."""
        return self.steps[: len(other.steps)] == other.steps


ROOT = FieldPath()


def list_keys(path: FieldPath) -> tuple[str, ...]:
    """Returns the fields that identify an item of the list at `path`; () for a list by index."""
    names = [step for step in path.steps if isinstance(step, str)]
    if not names or not isinstance(path.steps[-1], str):
        return ()
    return LIST_KEYS.get(".".join(names[-2:])) or LIST_KEYS.get(names[-1], ())


def identify_items(path: FieldPath, *versions: Sequence[Any]) -> tuple[list[Step], ...] | None:
    """Names the items of one list, or of several versions of it, that stand at `path`.

    Items of the same name in two versions are the same item. Returns None where the items go by
    index: the list has no keys, or they do not tell its items apart.

    The first key alone is the name, so a port that changes from TCP to UDP is still `ports[8000]`.
    Only where one version has it twice are the other keys added: `ports[53/TCP]`, `ports[53/UDP]`.
    """
    keys = list_keys(path)
    items = [item for version in versions for item in version]
    if not keys or not all(isinstance(item, Mapping) and keys[0] in item for item in items):
        return None
    counts = [Counter(_first_key(item, keys) for item in version) for version in versions]
    # Counted in each version alone: an item that stands once in both is one item and not two.
    shared = {name for count in counts for name, times in count.items() if times > 1}
    names = tuple(
        [
            _all_keys(item, keys) if (name := _first_key(item, keys)) in shared else name
            for item in version
        ]
        for version in versions
    )
    # A manifest may have the same key twice by mistake. The server refuses it, and until then the
    # index is the only name that is unique.
    return names if all(len(set(steps)) == len(steps) for steps in names) else None


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
    """Pairs the items of two versions of a list: (step, old item, new item), MISSING where a
    version does not have the item. The old version's order comes first, then what is new."""
    names = identify_items(path, old, new) or (range(len(old)), range(len(new)))
    before, after = (
        dict(zip(steps, items, strict=True)) for steps, items in zip(names, (old, new), strict=True)
    )
    for step in {**before, **after}:
        yield step, before.get(step, MISSING), after.get(step, MISSING)


def find_item(path: FieldPath, items: Sequence[Any], step: Step) -> int | None:
    """Returns the index of the item that `step` names in the list at `path`; None for no item.

    A key is understood in full even where its first part is enough: `8000` and `8000/TCP`.
    """
    keys = list_keys(path)
    names = identify_items(path, items)
    if names is not None:
        for index, (name, item) in enumerate(zip(names[0], items, strict=True)):
            if str(step) in (str(name), str(_all_keys(item, keys))):
                return index
    # Numbers that are no item's key are indexes. A list has fewer items than the smallest port.
    return step if isinstance(step, int) and step < len(items) else None


def resolve(obj: Any, path: FieldPath) -> tuple[str | int, ...] | None:
    """Returns the keys and indexes that lead to a path in this object; None where it has none."""
    concrete: list[str | int] = []
    for depth, step in enumerate(path.steps):
        key: str | int | None = None
        if isinstance(obj, Mapping):
            key = str(step) if str(step) in obj else None
        elif isinstance(obj, list):
            key = find_item(FieldPath(path.steps[:depth]), obj, step)
        if key is None:
            return None
        obj = obj[key]
        concrete.append(key)
    return tuple(concrete)


def get_at(obj: Any, concrete: Sequence[str | int]) -> Any:
    """Returns the value that keys and indexes lead to, MISSING where the object has none."""
    for key in concrete:
        if isinstance(obj, list) and isinstance(key, int):
            obj = obj[key] if key < len(obj) else MISSING
        else:
            obj = obj.get(key, MISSING) if isinstance(obj, Mapping) else MISSING
    return obj


def find_value(obj: Any, path: FieldPath) -> Any:
    """Returns the value at a path, MISSING where the object has none."""
    concrete = resolve(obj, path)
    return MISSING if concrete is None else get_at(obj, concrete)


def name_path(concrete: Sequence[str | int], *objects: Any) -> FieldPath:
    """Builds the path of keys and indexes, list items by their keys where they have any.

    `objects` are versions of one object, such as the old and the new; of an item that differs
    between them the last version names it that has one at this index.
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
    """Yields every path below `path` with its value, parents before children, in the object's
    order. `path` is where `value` stands in its object."""
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


def flatten(value: Any, path: FieldPath = ROOT) -> Iterator[tuple[FieldPath, Any]]:
    """Yields what `walk` yields, without the mappings and lists that hold something."""
    for below, child in walk(value, path):
        if not isinstance(child, Mapping | list) or not child:
            yield below, child
