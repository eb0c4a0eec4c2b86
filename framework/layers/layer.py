"""One layer: a document, or the part of one under a prefix, ready to be laid over others.

Kept apart from piles of layers so that what many models share (defaults, profiles, environment) is
checked and turned into OmegaConf nodes once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any, NamedTuple

from omegaconf import DictConfig

from framework.core.diagnostics import Code, Diagnostic, KeyPath, Position
from framework.files import Document
from framework.layers.interpolation import find_misuse


class Shape(Enum):
    """What a value is, as far as laying one over another goes."""

    MAPPING = "a mapping"
    LIST = "a list"
    SCALAR = "a single value"
    INTERPOLATION = "an interpolation"
    NULL = "null"


class Entry(NamedTuple):
    """One value of a layer, by its path in the merged result."""

    path: KeyPath
    shape: Shape
    position: Position


def shape_of(value: Any) -> Shape:
    """The shape of one plain value; text with `${` is an interpolation, escaped or not."""
    if isinstance(value, dict):
        return Shape.MAPPING
    if isinstance(value, list):
        return Shape.LIST
    if value is None:
        return Shape.NULL
    if isinstance(value, str) and "${" in value:
        return Shape.INTERPOLATION
    return Shape.SCALAR


@dataclass(frozen=True, eq=False)
class Layer:
    """The mapping under `prefix` of `document`, without its top-level keys in `omit`."""

    document: Document
    prefix: tuple[str, ...] = ()
    omit: frozenset[str] = frozenset()

    @cached_property
    def written(self) -> dict[str, Any]:
        """The layer's data as the file has it; {} where there is no mapping at the prefix."""
        data: Any = self.document.data
        for key in self.prefix:
            data = data.get(key) if isinstance(data, dict) else None
        if not isinstance(data, dict):
            return {}
        return {key: value for key, value in data.items() if key not in self.omit}

    @cached_property
    def _checked(self) -> tuple[tuple[Entry, ...], tuple[Diagnostic, ...], frozenset[KeyPath]]:
        entries, diagnostics, refused = [], [], set()
        for path, value in _walk(self.written, ()):
            position = self.value_position(path)
            shape = shape_of(value)
            misuse = find_misuse(value) if shape is Shape.INTERPOLATION else ""
            if misuse:
                # Named as in the file, so that a document read twice tells a fault once.
                full = ".".join(map(str, (*self.prefix, *path)))
                diagnostics.append(position.diagnostic(Code.BAD_INTERPOLATION, f"{full} {misuse}"))
                refused.add(path)
            else:
                entries.append(Entry(path, shape, position))
        return tuple(entries), tuple(diagnostics), frozenset(refused)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every usable value, parents before children."""
        return self._checked[0]

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """What is wrong in this layer alone."""
        return self._checked[1]

    @cached_property
    def broken(self) -> frozenset[KeyPath]:
        """Paths whose value is left out because of a fault, here or in the file."""
        depth = len(self.prefix)
        inside = {
            path[depth:] if len(path) > depth else ()
            for path in self.document.broken
            if path[:depth] == self.prefix[: len(path)]
        }
        return self._checked[2] | frozenset(inside)

    @cached_property
    def config(self) -> DictConfig:
        """The layer as OmegaConf nodes; merging copies them, nothing may change them."""
        return self.config_without(frozenset())

    def config_without(self, dropped: frozenset[KeyPath]) -> DictConfig:
        """As `config`, leaving out `dropped` too."""
        return DictConfig(_prune(self.written, (), self._checked[2] | dropped))

    def value_position(self, path: KeyPath) -> Position:
        """Where the value at `path` stands; that of its nearest parent where it has none."""
        return _nearest(self.document, self.document.value_positions, (*self.prefix, *path))

    def key_position(self, path: KeyPath) -> Position | None:
        """Where the key at `path` stands, if this layer has it."""
        return self.document.key_positions.get((*self.prefix, *path))


def _nearest(document: Document, positions: Mapping[KeyPath, Position], path: KeyPath) -> Position:
    while path and path not in positions:
        path = path[:-1]
    return positions.get(path) or Position(document.path, 1, 1)


def _walk(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in items:
        here = (*path, key)
        yield here, child
        if isinstance(child, dict | list):
            yield from _walk(child, here)


def _prune(value: Any, path: KeyPath, dropped: frozenset[KeyPath]) -> Any:
    if not dropped:
        return value
    if isinstance(value, dict):
        return {
            key: _prune(child, (*path, key), dropped)
            for key, child in value.items()
            if (*path, key) not in dropped
        }
    if isinstance(value, list):
        return [
            None if (*path, index) in dropped else _prune(child, (*path, index), dropped)
            for index, child in enumerate(value)
        ]
    return value
