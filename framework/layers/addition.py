"""Merges one layer into the layers below it, and reports the values that it must not override.

OmegaConf merges mappings and replaces everything else. Settings with several forms need more: the
number in `ports: {http: 8080}` and the mapping in `ports: {http: {servicePort: 80}}` must merge as
two mappings, an environment variable from a Secret must replace one that is text, and the items
of `{append: [...]}` must follow those below. `Addition` prepares the result of the layers below for
that, just before OmegaConf merges the layer into it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from omegaconf import DictConfig

from framework.core.diagnostics import Code, Diagnostic, KeyPath, Position
from framework.core.field_paths import FieldPath
from framework.core.forms import Form, FormTree
from framework.layers.layer import Entry, Layer, Shape

# In `${.name}` each dot is one level up: inside a new mapping, one more is needed.
_RELATIVE = re.compile(r"(?<!\\)((?:\\\\)*\$\{\s*)(?=\.)")


class Node(NamedTuple):
    """The shape of the value at a path, and each position that sets it, in merge order."""

    shape: Shape
    positions: tuple[Position, ...]


@dataclass
class Addition:
    """One layer, ready to be merged into a configuration.

    Before the merge, each single value below in `wrapped` becomes a mapping with the given key, and
    the values at `removed` are deleted. After it, the items in `extended` are added to the lists.
    """

    config: DictConfig
    removed: list[KeyPath] = field(default_factory=list)
    wrapped: dict[KeyPath, str] = field(default_factory=dict)
    extended: dict[KeyPath, list[Any]] = field(default_factory=dict)

    def prepare(self, config: DictConfig) -> None:
        """Changes `config`, the merge of the layers below, so that this layer can be merged."""
        for path, key in self.wrapped.items():
            _wrap(config, path, key)
        for path in self.removed:
            # Not `pop`: it would resolve an interpolation before returning it.
            del get_node(config, path[:-1])[path[-1]]


def merge_additions(config: DictConfig, additions: Iterable[Addition]) -> None:
    """Merges layers into `config`, in this order."""
    # `merge_with` ends with a walk through the whole configuration, which takes as long as merging
    # a small layer. So it is called once for all layers that nothing has to be done between.
    waiting: list[DictConfig] = []
    for addition in additions:
        if addition.wrapped or addition.removed:
            config.merge_with(*waiting)
            waiting.clear()
            addition.prepare(config)
        waiting.append(addition.config)
        if addition.extended:
            config.merge_with(*waiting)
            waiting.clear()
            for path, items in addition.extended.items():
                get_node(config, path).extend(items)
    if waiting:
        config.merge_with(*waiting)


def get_node(config: Any, path: KeyPath) -> Any:
    """Returns the mapping or list at a path of a configuration."""
    for key in path:
        config = config[key]
    return config


def _wrap(config: DictConfig, path: KeyPath, key: str) -> None:
    """Makes the single value at `path` a mapping with one key."""
    parent = get_node(config, path[:-1])
    # The raw value: reading it as usual would resolve an interpolation.
    parent[path[-1]] = {key: _one_level_down(parent._get_node(path[-1])._value())}


def _one_level_down(value: Any) -> Any:
    """Keeps a relative interpolation valid one mapping further down: `${.tag}` -> `${..tag}`."""
    return _RELATIVE.sub(r"\1.", value) if isinstance(value, str) else value


def add_nodes(
    nodes: dict[KeyPath, Node], layer: Layer
) -> tuple[Addition, list[Diagnostic], frozenset[KeyPath]]:
    """Updates `nodes` with a layer; returns the conflicts, and the paths that have one."""
    adaptation = _Adaptation(nodes, layer)
    entries, addition = adaptation.run(), adaptation.addition
    diagnostics: list[Diagnostic] = []
    refused: set[KeyPath] = set()
    for entry in entries:
        # Parents come before their children, so a refused parent is known by now.
        if refused and any(entry.path[:end] in refused for end in range(1, len(entry.path))):
            continue
        old = nodes.get(entry.path)
        if old and (message := _describe_conflict(old, entry, layer.forms)):
            message = f"{FieldPath(entry.path)} {message}"
            diagnostics.append(entry.position.diagnostic(Code.SHAPE_CONFLICT, message))
            refused.add(entry.path)
            continue
        replaces = old and old.shape in (Shape.MAPPING, Shape.LIST)
        if replaces and entry.shape is not Shape.MAPPING and entry.path not in addition.extended:
            # A list, or a null over a mapping, replaces the old value as a whole.
            _drop_below(nodes, entry.path)
        nodes[entry.path] = Node(entry.shape, (*(old.positions if old else ()), entry.position))
    if refused:
        addition.config = adaptation.build_config(refused)
    return addition, diagnostics, frozenset(refused)


def _drop_below(nodes: dict[KeyPath, Node], path: KeyPath) -> None:
    depth = len(path)
    for below in [p for p in nodes if len(p) > depth and p[:depth] == path]:
        del nodes[below]


def _describe_conflict(old: Node, new: Entry, forms: FormTree) -> str:
    """Returns why `new` cannot override `old`; "" where it can."""
    if old.shape is Shape.INTERPOLATION and new.shape in (Shape.MAPPING, Shape.LIST):
        # OmegaConf would resolve the interpolation now, against the layers below only.
        return (
            f"is {new.shape.value}, but overrides an interpolation at {old.positions[-1]}; "
            f"write out {new.shape.value} there, or another interpolation here"
        )
    shapes = {old.shape, new.shape}
    if Shape.MAPPING in shapes and shapes - {Shape.MAPPING, Shape.NULL}:
        example = forms.example_at(new.path) if old.shape is Shape.MAPPING else ""
        remedy = f"expected a mapping such as {example}" if example else "give both the same shape"
        return (
            f"is {new.shape.value}, but overrides {old.shape.value} at {old.positions[-1]}; "
            f"{remedy}"
        )
    return ""


class _Adaptation:
    """Brings a layer and the nodes below it to the same form, where a setting has several."""

    def __init__(self, nodes: dict[KeyPath, Node], layer: Layer) -> None:
        self.addition = Addition(layer.config)
        self._nodes, self._layer = nodes, layer
        # Own single values that become mappings, with the key, and the data for them.
        self._expanded: dict[KeyPath, str] = {}
        # Own lists that are added to lists below, with the number of items there.
        self._offsets: dict[KeyPath, int] = {}

    def run(self) -> tuple[Entry, ...]:
        """Returns the entries of the layer in the form in which they are merged."""
        for path, form, value in self._layer.formed:
            old = self._nodes.get(path)
            if old is None or old.shape is Shape.NULL or value is None:
                continue
            if path in self._layer.appended:
                self._append(path, value, old)
            elif form.primary or form.is_single:
                self._unify(path, form, value, old)
            if form.replaces:
                self._replace_sources(path, form, value)
        if not self._expanded and not self._offsets:
            return self._layer.entries
        self.addition.config = self.build_config(frozenset())
        return tuple(new for entry in self._layer.entries for new in self._adapt(entry))

    def _append(self, path: KeyPath, items: list[Any], old: Node) -> None:
        if old.shape is Shape.LIST:
            # A node has no number of items, so the items are counted by their paths.
            count = 0
            while (*path, count) in self._nodes:
                count += 1
            self._offsets[path] = count
            self.addition.extended[path] = items

    def _unify(self, path: KeyPath, form: Form, value: Any, old: Node) -> None:
        is_mapping, was_mapping = isinstance(value, dict), old.shape is Shape.MAPPING
        if is_mapping == was_mapping or isinstance(value, list) or old.shape is Shape.LIST:
            return
        if form.is_single:
            # `del` in the configuration, and a node without shape: nothing of the old value stays.
            self.addition.removed.append(path)
            _drop_below(self._nodes, path)
            self._nodes[path] = Node(Shape.NULL, old.positions)
        elif is_mapping:
            self.addition.wrapped[path] = form.primary
            self._nodes[path] = Node(Shape.MAPPING, old.positions)
            self._nodes[(*path, form.primary)] = old
        else:
            self._expanded[path] = form.primary

    def _replace_sources(self, path: KeyPath, form: Form, value: Any) -> None:
        """Removes the keys of the layers below that do not fit the source in this layer.

        For example, `claim` of a volume removes `configMap` and its `items`. Without `configMap`
        below, `items` stays: options are removed only together with another source.
        """
        own: Mapping[str, Any] = value if isinstance(value, dict) else {form.primary: value}
        for key in [key for key in own if key in form.replaces and own[key] is not None]:
            void = {
                other
                for other in form.replaces[key] - own.keys()
                if (node := self._nodes.get((*path, other))) and node.shape is not Shape.NULL
            }
            if not void & form.replaces.keys():
                continue
            for other in sorted(void):
                self.addition.removed.append((*path, other))
                _drop_below(self._nodes, (*path, other))
                del self._nodes[(*path, other)]

    def build_config(self, refused: Collection[KeyPath]) -> DictConfig:
        """Returns the configuration of the layer, without the values that it may not override."""
        config = self._layer.config_without(frozenset((*refused, *self._offsets)))
        for path, key in self._expanded.items():
            _wrap(config, path, key)
        return config

    def _adapt(self, entry: Entry) -> tuple[Entry, ...]:
        path = entry.path
        if key := self._expanded.get(path):
            mapping = entry._replace(shape=Shape.MAPPING)
            return (mapping, entry._replace(path=(*path, key)))
        for end in range(1, len(path)):
            if (offset := self._offsets.get(path[:end])) is not None:
                index = path[end]
                assert isinstance(index, int)
                moved = (*path[:end], index + offset, *path[end + 1 :])
                return (entry._replace(path=moved),)
        return (entry,)
