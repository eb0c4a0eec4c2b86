"""The result of merging the layers of a model: its settings, and where each was written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from framework.core.diagnostics import Diagnostic, KeyPath, Position
from framework.core.field_paths import get_at
from framework.layers.layer import Layer, find_layer
from framework.layers.references import find_referenced_keys


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

    def start_of(self, file: str) -> Position:
        """Returns the position of the first key of a file, or of the whole file if it is empty.

        Line 1 would be wrong: it may be a comment.
        """
        documents = (layer.document for layer in self.layers)
        found = (d.value_positions.get(()) for d in documents if d.path == file)
        return next(filter(None, found), Position(file, 0, 0))

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
                # This layer sets a value, so a null of an earlier layer has no effect.
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
        texts = {text for path in paths for text in _find_texts(get_at(self.data, path))}
        # A secret may be a part of another one, which must be redacted as a whole.
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
        return find_layer(self.layers, path, self.origin(path))


def _find_texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for child in value.values() if isinstance(value, dict) else value:
            yield from _find_texts(child)
    else:
        yield str(value)
