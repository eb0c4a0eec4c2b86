"""A pile of layers, and its merged and resolved result.

Kept apart from single layers: this is where OmegaConf merges. Stacks are never changed; `over`
makes a new one, so that models share the merge of what they have in common.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from framework.core.diagnostics import Diagnostic, KeyPath, Position
from framework.layers.interpolation import escape
from framework.layers.layer import Layer, Shape
from framework.layers.origins import Nodes, is_removed, lay_over, without_removed
from framework.layers.resolution import Resolution


@dataclass(frozen=True, eq=False)
class Merged:
    """The result: plain resolved data, and where each value came from.

    `origins` has every leaf, list and mapping: the places that gave it a value, oldest first, the
    last one wins. `broken` are paths left out because of a fault already among `faults`; `secret`
    those to which an interpolation brought what may be a secret, going by the keys it came from.
    """

    data: dict[str, Any]
    origins: Mapping[KeyPath, tuple[Position, ...]]
    layers: tuple[Layer, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    broken: frozenset[KeyPath] = frozenset()
    secret: frozenset[KeyPath] = frozenset()

    def origin(self, path: KeyPath) -> Position | None:
        """The place that won at `path`, or at its nearest parent that has one."""
        for end in range(len(path), 0, -1):
            if positions := self.origins.get(path[:end]):
                return positions[-1]
        return None

    def key_positions(self, path: KeyPath) -> tuple[Position, ...]:
        """Every layer's place of the key at `path`, oldest first."""
        found = (layer.key_position(path) for layer in self.layers)
        return tuple(position for position in found if position)

    def holds_secret(self, path: KeyPath) -> bool:
        """True where the value at `path`, or one that it is part of, is among `secret`."""
        return any(path[:end] in self.secret for end in range(1, len(path) + 1))

    @cached_property
    def secret_texts(self) -> tuple[str, ...]:
        """The single values at the `secret` paths as text, the longest first."""
        paths = self.secret - self.broken
        found = {text for path in paths for text in _texts(_at(self.data, path))}
        return tuple(sorted(found, key=lambda text: (-len(text), text)))

    def spelling(self, path: KeyPath) -> str | None:
        """The text of a number as it was written, where Python would write another."""
        for layer in reversed(self.layers):
            full = (*layer.prefix, *path)
            if full in layer.document.value_positions:
                return layer.document.spellings.get(full)
        return None


@dataclass(frozen=True, eq=False)
class Layers:
    """Layers in order, later wins. `Layers()` is the empty one."""

    layers: tuple[Layer, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    broken: frozenset[KeyPath] = frozenset()
    _below: Layers | None = None
    _own: tuple[DictConfig, ...] = ()
    _nodes: Nodes = field(default_factory=dict)

    def over(self, *layers: Layer) -> Layers:
        """These with `layers` laid over it; what cannot be laid becomes a fault."""
        nodes, diagnostics, configs = dict(self._nodes), list(self.diagnostics), []
        broken = set(self.broken)
        for layer in layers:
            conflicts, refused = lay_over(nodes, layer)
            diagnostics += [*layer.diagnostics, *conflicts]
            broken |= layer.broken | refused
            configs.append(layer.config_without(refused) if refused else layer.config)
        return Layers(
            (*self.layers, *layers),
            tuple(diagnostics),
            frozenset(broken),
            self,
            tuple(configs),
            nodes,
        )

    def flawed(self, *broken: KeyPath) -> Layers:
        """These, where `broken` is missing because of a fault that is told elsewhere."""
        return Layers(
            self.layers,
            self.diagnostics,
            self.broken | frozenset(broken),
            self._below,
            self._own,
            self._nodes,
        )

    @cached_property
    def _pickled(self) -> bytes:
        # Read back in this process only. It copies OmegaConf's nodes in a fifth of the time of the
        # deepcopy inside OmegaConf.merge, which is otherwise the same merge; a test holds it equal.
        return pickle.dumps(self._merge(), protocol=pickle.HIGHEST_PROTOCOL)

    def _merge(self) -> DictConfig:
        """A merged copy of our own; interpolations and nulls are still in it."""
        if self._below is None:
            return DictConfig({})
        config = cast(DictConfig, pickle.loads(self._below._pickled))
        config.merge_with(*self._own)
        return config

    def resolve(
        self,
        context: Mapping[str, Any],
        *,
        verbatim: Sequence[KeyPath] = (),
        literal: Sequence[KeyPath] = (),
        itself: str = "",
    ) -> Merged:
        """Drop the keys set to null, then resolve every interpolation, once.

        `context` is plain data that interpolations can name; it is no part of the result. Values
        under a `verbatim` path stay as written. null inside an entry of a `literal` mapping is a
        value and stays. `itself` is a second name for the whole.
        """
        config = self._merge()
        for path, node in self._nodes.items():
            if is_removed(path, node, literal):
                _container(config, path).pop(path[-1])
        nodes = without_removed(self._nodes, literal)
        # to_container without resolving is cheap; only interpolations need OmegaConf's resolution.
        data = cast(dict[str, Any], OmegaConf.to_container(config))
        origins = {path: node.positions for path, node in nodes.items()}
        texts = {
            path: cast(str, _at(data, path))
            for path, node in nodes.items()
            if node.shape is Shape.INTERPOLATION
            and not any(path[: len(kept)] == kept for kept in verbatim)
        }
        if not texts:
            return Merged(data, origins, self.layers, self.diagnostics, self.broken)
        for path in verbatim:
            _remove(config, path)
        _add_context(config, context, itself, texts.values())
        resolution = Resolution(config, data, origins, texts, self.broken, context, itself)
        resolution.run()
        diagnostics = (*self.diagnostics, *resolution.diagnostics)
        broken, secret = self.broken | set(resolution.failed), resolution.find_secret()
        return Merged(data, origins, self.layers, diagnostics, broken, secret)


def merge_layers(layers: Sequence[Layer], context: Mapping[str, Any]) -> Merged:
    """Merge `layers` in order, later wins, and resolve what refers to them or to `context`."""
    return Layers().over(*layers).resolve(context)


def _container(config: Any, path: KeyPath) -> Any:
    for key in path[:-1]:
        config = config[key]
    return config


def _at(data: Any, path: KeyPath) -> Any:
    for key in path:
        data = data[key]
    return data


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for child in value.values() if isinstance(value, dict) else value:
            yield from _texts(child)
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


def _add_context(config: DictConfig, context: Mapping[str, Any], itself: str, texts: Any) -> None:
    """Add what the texts may name; a computed name may be anything."""
    listed = list(texts)
    computed = any(text.count("${") > 1 for text in listed)
    own = OmegaConf.to_container(config) if itself else None
    for key, value in context.items():
        if computed or key == itself or any(key in text for text in listed):
            config[key] = escape(value)
    if itself:
        config[itself] = OmegaConf.merge(own, config.get(itself, {}))
