"""The interpolations of one merged configuration, resolved once, with a fault for each that fails.

Kept apart from merging: a failure is told at its file:line:column, the cause and not what follows
from it, and every one in the same run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from framework.core.diagnostics import Code, Diagnostic, KeyPath, Position
from framework.layers.interpolation import (
    describe_failure,
    find_names,
    is_whole,
    reads_secret,
    references,
)
from framework.layers.layer import Shape, shape_of


class Resolution:
    """One pass over the interpolations of a merged config, collecting every fault."""

    def __init__(
        self,
        config: DictConfig,
        data: dict[str, Any],
        origins: dict[KeyPath, tuple[Position, ...]],
        texts: Mapping[KeyPath, str],
        broken: frozenset[KeyPath],
        context: Mapping[str, Any],
        itself: str,
    ) -> None:
        self.diagnostics: list[Diagnostic] = []
        self.failed: dict[KeyPath, str] = {}
        self._config, self._data, self._origins = config, data, origins
        self._named = {**data, **context}
        self._texts, self._broken, self._itself = texts, broken, itself

    def run(self) -> None:
        """Resolve each interpolation into the data; what fails is left out, with its fault."""
        for path, text in self._texts.items():
            try:
                value = self._value(path)
            except (OmegaConfBaseException, RecursionError):
                value = None
            if value is None:
                self.failed[path] = text
            else:
                self._set(path, text, value)
        for path in self.failed:
            self._explain(path)
        for path in self.failed:
            self._leave_out(path)

    def find_secret(self) -> frozenset[KeyPath]:
        """The paths whose value came from a key that may hold a secret, be it by way of others."""
        found = {path for path, text in self._texts.items() if reads_secret(text)}
        while found and (more := {p for p in self._texts.keys() - found if self._reads(p, found)}):
            found |= more
        return frozenset(found)

    def _reads(self, path: KeyPath, others: Collection[KeyPath]) -> bool:
        names = [self._own_path(".".join(one)) for one in find_names(self._texts[path], path)]
        return any(_related(name, other) for name in names for other in others)

    def _value(self, path: KeyPath) -> Any:
        value = _parent(self._config, path)[path[-1]]
        if OmegaConf.is_config(value):
            return OmegaConf.to_container(value, resolve=True, throw_on_missing=True)
        return value

    def _set(self, path: KeyPath, text: str, value: Any) -> None:
        if not is_whole(text):
            for name in references(text):
                self._check_in_text(path, name)
        _parent(self._data, path)[path[-1]] = value
        for below in _paths_below(value, path):
            self._origins[below] = self._origins[path]

    def _check_in_text(self, path: KeyPath, name: str) -> None:
        """Python would write True for true and its own braces for a mapping."""
        found = OmegaConf.select(self._config, name)
        shape = shape_of(OmegaConf.to_container(found) if OmegaConf.is_config(found) else found)
        if isinstance(found, bool) or shape in (Shape.MAPPING, Shape.LIST):
            what = "true or false" if isinstance(found, bool) else shape.value
            message = f'refers to "{name}" inside a text, and that is {what}; quote or write it out'
            self._diagnostic(path, Code.BAD_INTERPOLATION, message)

    def _explain(self, path: KeyPath) -> None:
        """Add the fault of one that failed, unless it failed because of another fault."""
        text = self.failed[path]
        names = references(text)
        circular = self._reaches_itself(path)
        if not circular and any(self._is_known_diagnostic(name) for name in names):
            return
        missing = [name for name in names if self._leads_nowhere(name)]
        known = [".".join(map(str, found)) for found in _paths_below(self._named, ())]
        code = Code.MISSING_REFERENCE if missing else Code.BAD_INTERPOLATION
        message = describe_failure(text, missing, known, circular=circular)
        self._diagnostic(path, Code.CIRCULAR_REFERENCE if circular else code, message)

    def _own_path(self, name: str) -> tuple[str, ...]:
        parts = tuple(name.split("."))
        return parts[1:] if parts[0] == self._itself else parts

    def _reaches_itself(self, start: KeyPath) -> bool:
        """True where following the references that failed leads back to `start`."""
        reached: set[KeyPath] = set()
        waiting = [start]
        while waiting:
            names = [self._own_path(name) for name in references(self.failed[waiting.pop()])]
            for path in self.failed:
                if path not in reached and any(_related(name, path) for name in names):
                    reached.add(path)
                    waiting.append(path)
        return start in reached

    def _is_known_diagnostic(self, name: str) -> bool:
        """True where `name` has no value because of a fault that is told already."""
        path = self._own_path(name)
        return any(_related(path, other) for other in (*self._broken, *self.failed))

    def _leads_nowhere(self, name: str) -> bool:
        try:
            return OmegaConf.select(self._config, name) is None
        except (OmegaConfBaseException, RecursionError):
            return True

    def _diagnostic(self, path: KeyPath, code: Code, message: str) -> None:
        position = self._origins[path][-1]
        self.diagnostics.append(position.diagnostic(code, f"{'.'.join(map(str, path))} {message}"))

    def _leave_out(self, path: KeyPath) -> None:
        parent = _parent(self._data, path)
        if isinstance(parent, list):
            parent[cast(int, path[-1])] = None
        else:
            del parent[path[-1]]
            del self._origins[path]


def _parent(container: Any, path: KeyPath) -> Any:
    for key in path[:-1]:
        container = container[key]
    return container


def _related(name: tuple[str, ...], path: KeyPath) -> bool:
    """True where one is the other or a parent of it."""
    return all(one == str(other) for one, other in zip(name, path, strict=False))


def _paths_below(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, child in items:
        yield (*path, key)
        yield from _paths_below(child, (*path, key))
