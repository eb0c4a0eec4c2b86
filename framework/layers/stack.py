"""The layer stack of a model: merges its layers, resolves interpolations, keeps every origin.

OmegaConf merges the values. It does not keep where they came from, and lets a list replace a
mapping without an error. So shapes and positions are tracked in one `Node` for each path.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from framework.core.diagnostics import Diagnostic, KeyPath, Position
from framework.layers.addition import Addition, Node, add_nodes, merge_additions
from framework.layers.interpolation import Resolution, escape, find_referenced_keys
from framework.layers.layer import Layer, Shape


@dataclass(frozen=True, eq=False)
class Merged:
    """The plain merged and resolved data, and the origin of each value.

    `origins` has an entry for each leaf, list and mapping: the positions that set it, in merge
    order, so that the last one is the origin of the value. `broken` has the paths that are left out
    because of an error in `diagnostics`. `secret_paths` has the paths whose value comes from a
    secret key through an interpolation. `missing_references` has, for each diagnostic about an
    interpolation, the keys that it refers to and that do not exist. `numbers` has the text of each
    number, true and false that an interpolation gave, as YAML writes it.
    """

    data: dict[str, Any]
    origins: Mapping[KeyPath, tuple[Position, ...]]
    layers: tuple[Layer, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    broken: frozenset[KeyPath] = frozenset()
    secret_paths: frozenset[KeyPath] = frozenset()
    missing_references: Mapping[Diagnostic, Sequence[tuple[str, ...]]] = field(default_factory=dict)
    numbers: Mapping[KeyPath, str] = field(default_factory=dict)

    def origin(self, path: KeyPath) -> Position | None:
        """Returns the position that sets the value at `path`, or else at its nearest parent."""
        for end in range(len(path), 0, -1):
            if positions := self.origins.get(path[:end]):
                return positions[-1]
        return None

    def find_latest(self, paths: Iterable[KeyPath]) -> KeyPath | None:
        """Returns the path whose value the latest layer sets; None if no layer sets any of them.

        Of values in one layer, the first of `paths` is returned.
        """
        ranks = {path: self._rank(path) for path in paths if path in self.origins}
        return max(ranks, key=lambda path: ranks[path]) if ranks else None

    def _rank(self, path: KeyPath) -> int:
        # A file can be two layers, as environment.yaml is, so the position decides.
        ranks = [
            i
            for i, layer in enumerate(self.layers)
            if layer.value_position(path) == self.origins[path][-1]
        ]
        return max(ranks, default=-1)

    def removal(self, path: KeyPath) -> Position | None:
        """Returns the position of the null that removes the value at `path`, or a parent of it."""
        for layer in reversed(self.layers):
            value: Any = layer.data
            for end, key in enumerate(path, 1):
                if not isinstance(value, dict) or key not in value:
                    break
                value = value[key]
                if value is None:
                    return layer.value_position(path[:end])
            else:
                return None
        return None

    def key_positions(self, path: KeyPath) -> tuple[Position, ...]:
        """Returns the position of the key at `path` in each layer that has it, in merge order."""
        positions = (layer.key_position(path) for layer in self.layers)
        return tuple(position for position in positions if position)

    def is_secret(self, path: KeyPath) -> bool:
        """Returns True where the value at `path`, or a parent, came from a secret key."""
        return any(path[:end] in self.secret_paths for end in range(1, len(path) + 1))

    @cached_property
    def secret_texts(self) -> tuple[str, ...]:
        """Every single value at or below a secret path as text, the longest first."""
        paths = self.secret_paths - self.broken
        texts = {text for path in paths for text in _find_texts(_value_at(self.data, path))}
        return tuple(sorted(texts, key=lambda text: (-len(text), text)))

    def spelling(self, path: KeyPath) -> str | None:
        """Returns a number as it was written, where Python would write it differently: `1.10`."""
        layer = self._find_layer(path)
        return layer.spelling(path) if layer else None

    def interpolation(self, path: KeyPath) -> str:
        """Returns the text with interpolations that gave the value at `path`, "" if none did."""
        layer = self._find_layer(path)
        text = layer.value(path) if layer else None
        is_reference = isinstance(text, str) and any(find_referenced_keys(text, path))
        return cast(str, text) if is_reference else ""

    def _find_layer(self, path: KeyPath) -> Layer | None:
        """Returns the layer that sets the value at `path`; None for one inside a reference."""
        origin = self.origin(path)
        for layer in reversed(self.layers):
            if layer.has(path) and layer.value_position(path) == origin:
                return layer
        return None


@dataclass(frozen=True, eq=False)
class LayerStack:
    """Layers in merge order. `LayerStack()` is empty.

    A stack is never changed: `add` returns a new one. So models share the merge of the layers that
    they have in common: `_below` is the stack without the layers that `add` put on it, `_added` are
    these layers.
    """

    layers: tuple[Layer, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    broken: frozenset[KeyPath] = frozenset()
    _below: LayerStack | None = None
    _added: tuple[Addition, ...] = ()
    _nodes: dict[KeyPath, Node] = field(default_factory=dict)

    def add(self, *layers: Layer) -> LayerStack:
        """Returns this stack with `layers` on top.

        A value whose shape does not fit is left out and becomes a diagnostic.
        """
        nodes, diagnostics = dict(self._nodes), list(self.diagnostics)
        broken, added = set(self.broken), []
        for layer in layers:
            addition, conflicts, refused = add_nodes(nodes, layer)
            diagnostics += [*layer.diagnostics, *conflicts]
            broken |= layer.broken | refused
            added.append(addition)
        return LayerStack(
            (*self.layers, *layers),
            tuple(diagnostics),
            frozenset(broken),
            self,
            tuple(added),
            nodes,
        )

    def with_broken(self, *paths: KeyPath) -> LayerStack:
        """Returns this stack, where `paths` have no value because of an error reported elsewhere.

        The empty path means that any key may be missing.
        """
        return replace(self, broken=self.broken | frozenset(paths))

    @cached_property
    def _pickled(self) -> bytes:
        # Copying OmegaConf's nodes with pickle takes a fifth of the time of the deepcopy inside
        # OmegaConf.merge, and gives the same result (a test compares them). The bytes never leave
        # this process.
        return pickle.dumps(self._merge(), protocol=pickle.HIGHEST_PROTOCOL)

    def _merge(self) -> DictConfig:
        """Returns a new merged configuration, with interpolations and nulls still in it."""
        if self._below is None:
            return DictConfig({})
        config = cast(DictConfig, pickle.loads(self._below._pickled))
        merge_additions(config, self._added)
        return config

    def resolve(
        self,
        context: Mapping[str, Any],
        *,
        verbatim: Sequence[KeyPath] = (),
        keep_nulls: Sequence[KeyPath] = (),
        self_name: str = "",
    ) -> Merged:
        """Removes the keys that are null, and resolves every interpolation once.

        `context` is data that interpolations can refer to; it is not part of the result. Values
        under a `verbatim` path stay as written. Inside the entries of a mapping in `keep_nulls`,
        null is a value and stays. `self_name` is a name under which interpolations can refer to the
        result itself.
        """
        config = self._merge()
        nodes = {}
        for path, node in self._nodes.items():
            if _is_removed(path, node, keep_nulls):
                _value_at(config, path[:-1]).pop(path[-1])
            else:
                nodes[path] = node
        # Converting without resolving is fast. Only the texts with interpolations are then
        # resolved, one by one: a full resolution would stop at the first error.
        data = cast(dict[str, Any], OmegaConf.to_container(config))
        origins = {path: node.positions for path, node in nodes.items()}
        texts = {
            path: cast(str, _value_at(data, path))
            for path, node in nodes.items()
            if node.shape is Shape.INTERPOLATION
            and not any(path[: len(kept)] == kept for kept in verbatim)
        }
        if not texts:
            return Merged(data, origins, self.layers, self.diagnostics, self.broken)
        for path in verbatim:
            # Other interpolations cannot refer to a value that is not resolved itself.
            _remove(config, path)
        _add_context(config, context, self_name, list(texts.values()))
        resolution = Resolution(
            config, data, origins, texts, self.broken, context, self_name, self.layers
        )
        resolution.run()
        return Merged(
            data,
            origins,
            self.layers,
            (*self.diagnostics, *resolution.diagnostics),
            self.broken | set(resolution.failed),
            resolution.find_secret_paths(),
            resolution.missing_references,
            resolution.numbers,
        )


def _is_removed(path: KeyPath, node: Node, keep_nulls: Sequence[KeyPath]) -> bool:
    """Returns True for a key of a mapping that is null; a null item of a list stays."""
    if node.shape is not Shape.NULL or not isinstance(path[-1], str):
        return False
    # `patch: {Deployment: null}` removes the inherited patch, and `patch: {Deployment: {spec:
    # {replicas: null}}}` is a patch that removes a field.
    return not any(
        len(path) > len(mapping) + 1 and path[: len(mapping)] == mapping for mapping in keep_nulls
    )


def find_value(data: Any, path: KeyPath) -> Any:
    """Returns the value at a path of mappings; None where there is none, or it is null."""
    for key in path:
        if not isinstance(data, Mapping):
            return None
        data = data.get(key)
    return data


def _value_at(data: Any, path: KeyPath) -> Any:
    for key in path:
        data = data[key]
    return data


def _find_texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for child in value.values() if isinstance(value, dict) else value:
            yield from _find_texts(child)
    else:
        yield str(value)


def _remove(config: DictConfig, path: KeyPath) -> None:
    node: Any = config
    for key in path[:-1]:
        if not isinstance(node, DictConfig) or key not in node:
            return
        node = node[key]
    if isinstance(node, DictConfig):
        node.pop(path[-1], None)


def _add_context(
    config: DictConfig, context: Mapping[str, Any], self_name: str, texts: list[str]
) -> None:
    """Adds the parts of the context that the texts may refer to; adding all of it is slow."""
    # An interpolation inside another one computes the name of a key, which may be any key.
    computed = any(text.count("${") > 1 for text in texts)
    own = OmegaConf.to_container(config) if self_name else None
    for key, value in context.items():
        if computed or key == self_name or any(key in text for text in texts):
            config[key] = escape(value)
    if self_name:
        config[self_name] = OmegaConf.merge(own, config.get(self_name, {}))
