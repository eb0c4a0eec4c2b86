"""One layer: the settings that one file, or one mapping of a file, gives to models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any, NamedTuple

from omegaconf import DictConfig

from framework.core.diagnostics import Code, Diagnostic, KeyPath, Position
from framework.core.field_paths import FieldPath
from framework.core.forms import NO_FORMS, Form, FormTree
from framework.files.document import Document
from framework.layers.forms import Plain, read_forms
from framework.layers.references import describe_escape, find_misuse


class Shape(Enum):
    """The shape of a value, which decides whether it may override another value."""

    MAPPING = "a mapping"
    LIST = "a list"
    SCALAR = "a single value"
    INTERPOLATION = "an interpolation"
    NULL = "null"


class Entry(NamedTuple):
    """One value of a layer; `path` is its path in the merged result."""

    path: KeyPath
    shape: Shape
    position: Position


@dataclass(frozen=True, eq=False)
class Layer:
    """The mapping under `prefix` of `document`, without the top-level keys in `omit`.

    `forms` are the forms in which its settings may be written; `data` and all paths are those of
    plain values, without mapping forms.

    Many models share the layers of defaults, profiles and the environment. So the properties are
    cached: they are computed once for all models.
    """

    document: Document
    prefix: tuple[str, ...] = ()
    omit: frozenset[str] = frozenset()
    forms: FormTree = NO_FORMS

    @property
    def data(self) -> dict[str, Any]:
        """The settings of the layer; {} if the prefix has no mapping."""
        return self._plain.data

    @property
    def appended(self) -> AbstractSet[KeyPath]:
        """The paths of the lists whose items are added to those of the layers below."""
        return self._plain.appended

    @cached_property
    def _plain(self) -> Plain:
        """The mapping under `prefix`, without `omit` and with the forms read."""
        data: Any = self.document.data
        for key in self.prefix:
            data = data.get(key) if isinstance(data, dict) else None
        if not isinstance(data, dict):
            data = {}
        return read_forms({k: v for k, v in data.items() if k not in self.omit}, self.forms)

    @cached_property
    def formed(self) -> tuple[tuple[KeyPath, Form, Any], ...]:
        """Path, form and value of each usable setting that may be written in several forms."""
        refused = self._checked[2]
        return tuple(found for found in self.forms.find(self.data) if found[0] not in refused)

    @cached_property
    def _checked(self) -> tuple[tuple[Entry, ...], tuple[Diagnostic, ...], frozenset[KeyPath]]:
        """The usable values, the errors, and the paths of the values with errors."""
        entries, diagnostics = [], list(self._describe_problems())
        refused: set[KeyPath] = set(self._plain.problems)
        for path, value in _walk(self.data, ()):
            if path in refused or (refused and path[:-1] in refused):
                refused.add(path)
                continue
            position = self.value_position(path)
            shape = _shape_of(value)
            misuse = ""
            if shape is Shape.INTERPOLATION:
                misuse = find_misuse(value, describe_escape(self.forms, path))
            if misuse:
                # The path within the file, not within the layer: a document that is read as two
                # layers (overrides of an environment, say) then gives one diagnostic, not two.
                message = f"{FieldPath((*self.prefix, *path))} {misuse}"
                wrong = next((line for line in value.splitlines() if find_misuse(line)), "")
                position = (
                    self.document.find_in_block(position, wrong.strip()) if wrong else position
                )
                diagnostics.append(position.diagnostic(Code.BAD_INTERPOLATION, message))
                refused.add(path)
            else:
                entries.append(Entry(path, shape, position))
        return tuple(entries), tuple(diagnostics), frozenset(refused)

    def _describe_problems(self) -> Iterator[Diagnostic]:
        for path, problems in self._plain.problems.items():
            for problem in problems:
                full = (*path, *problem.path)
                position = self.value_position(full)
                if problem.at_key:
                    position = self.key_position(full) or position
                message = f"{FieldPath((*self.prefix, *full))} {problem.message}"
                yield position.diagnostic(problem.code, message)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every usable value, parents before children."""
        return self._checked[0]

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """The errors that do not depend on other layers."""
        return self._checked[1]

    @cached_property
    def broken(self) -> frozenset[KeyPath]:
        """The paths whose value is left out because of an error, in this layer or in its file."""
        depth = len(self.prefix)
        in_file = {
            self._plain.path_in_data(path[depth:]) if len(path) > depth else ()
            for path in self.document.broken
            if path[:depth] == self.prefix[: len(path)]
        }
        return self._checked[2] | frozenset(in_file)

    @cached_property
    def config(self) -> DictConfig:
        """The layer as OmegaConf nodes. Do not change them: all merges copy from the same nodes."""
        return self.config_without(frozenset())

    def config_without(self, dropped: frozenset[KeyPath]) -> DictConfig:
        """Returns `config` without the `dropped` paths."""
        return DictConfig(_prune(self.data, (), self._checked[2] | dropped))

    def value(self, path: KeyPath) -> Any:
        """Returns the value at `path` before the merge."""
        value: Any = self.data
        for key in path:
            value = value[key]
        return value

    def value_position(self, path: KeyPath) -> Position:
        """Returns the position of the value at `path`, or of its nearest parent in the file."""
        positions = self.document.value_positions
        full = (*self.prefix, *self._plain.path_in_file(path))
        while full and full not in positions:
            full = full[:-1]
        return positions.get(full) or Position(self.document.path, 1, 1)

    def key_position(self, path: KeyPath) -> Position | None:
        """Returns the position of the key at `path`; None where this layer does not have it."""
        # The key of `args: {append: [...]}` is `args`, and the values are at `args.append`.
        written = path if path in self._plain.moved else self._plain.path_in_file(path)
        return self.document.key_positions.get((*self.prefix, *written))

    def spelling(self, path: KeyPath) -> str | None:
        """Returns a number as it was written, where Python would write it differently: `1.10`."""
        full = (*self.prefix, *self._plain.path_in_file(path))
        return self.document.spellings.get(full)

    def has(self, path: KeyPath) -> bool:
        """Returns True where this layer has a value at `path`."""
        return (*self.prefix, *self._plain.path_in_file(path)) in self.document.value_positions


def find_layer(layers: Sequence[Layer], path: KeyPath, origin: Position | None) -> Layer | None:
    """Returns the latest layer that has the value at `path`, written at `origin`."""
    for layer in reversed(layers):
        if layer.has(path) and layer.value_position(path) == origin:
            return layer
    return None


def _shape_of(value: Any) -> Shape:
    if isinstance(value, dict):
        return Shape.MAPPING
    if isinstance(value, list):
        return Shape.LIST
    if value is None:
        return Shape.NULL
    # Escaped interpolations count as well: OmegaConf must remove their backslash.
    if isinstance(value, str) and "${" in value:
        return Shape.INTERPOLATION
    return Shape.SCALAR


def _walk(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in items:
        yield (*path, key), child
        if isinstance(child, dict | list):
            yield from _walk(child, (*path, key))


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
        # An item is replaced, not removed: removing it would change the indexes of the others.
        return [
            None if (*path, index) in dropped else _prune(child, (*path, index), dropped)
            for index, child in enumerate(value)
        ]
    return value
