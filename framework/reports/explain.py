"""Where every effective setting of one model comes from: place, what it overrode, interpolations.

Kept apart from rendered fields, which are traced back to these settings by experiment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from framework.catalog import Catalog, CatalogModel
from framework.core.diagnostics import KeyPath
from framework.core.errors import UnknownNameError
from framework.core.redaction import REDACTED, can_be_secret, is_secret_key, redact
from framework.layers import find_referenced_keys
from framework.reports.effective import Setting, list_settings
from framework.reports.interpolations import find_texts
from framework.reports.written import (
    ENVIRONMENT,
    NOT_OWN,
    Source,
    Writing,
    list_sources,
)


@dataclass(frozen=True)
class Overridden:
    """What one layer said and a later one overrode; `value` is as written."""

    value: Any
    position: str


@dataclass(frozen=True)
class Interpolation:
    """One text that a value went through; `key` is the setting it stands in."""

    key: str
    text: str
    position: str


@dataclass(frozen=True)
class Explained:
    """One effective setting.

    `place` is `file:line:column`, "" where the schema's default stands. `overrode` has the latest
    first. `reads` are the settings that its interpolations name, and that those name in turn.
    """

    key: str
    value: Any
    position: str
    overrode: tuple[Overridden, ...] = ()
    interpolations: tuple[Interpolation, ...] = ()
    reads: tuple[str, ...] = ()
    secret: bool = False


def is_field(key: str) -> bool:
    """True for `Deployment.spec.replicas`: a kind begins with a capital, a setting does not."""
    return key[:1].isupper()


class Explainer:
    """Explains settings of one model in one environment."""

    def __init__(self, catalog: Catalog, model: CatalogModel) -> None:
        self.sources = list_sources(catalog, model)
        folder = f"environments/{catalog.environment_name}"
        # What interpolations can name and no file says: its value and what decides it.
        self._named = {
            "name": (model.name, model.home),
            "environment.name": (catalog.environment_name, folder),
            "stack.name": (catalog.environment_name, folder),
        }

    @cached_property
    def settings(self) -> dict[str, tuple[Source, Setting]]:
        """Every setting, and every mapping that can be removed, by key."""
        return {
            source.key(setting.path): (source, setting)
            for source in self.sources
            for setting in list_settings(source.settings, sections=True)
            if setting.path[0] not in NOT_OWN.get(source.prefix, ())
        }

    def find(self, key: str | None) -> tuple[Explained, ...]:
        """The settings at or below a key, the model's own for None. Errors: UnknownNameError."""
        leaves = [name for name, (_, setting) in self.settings.items() if not setting.section]
        if key is None:
            return self.explain(name for name in leaves if not self.settings[name][0].prefix)
        found = [name for name in leaves if _is_below(name, key)]
        # Below what is not set there is nothing to explain but that.
        unset: tuple[Any, ...] = (None, {}, [])
        found = found or [
            name
            for name in leaves
            if _is_below(key, name) and self.settings[name][1].value in unset
        ]
        if not found and key not in self._named:
            raise UnknownNameError("setting", key, _with_parents(leaves))
        return self.explain(found or [key])

    def explain(self, keys: Iterable[str]) -> tuple[Explained, ...]:
        """These settings; the keys must exist."""
        return tuple(self._explain(key) for key in keys)

    def follow(self, keys: Iterable[str]) -> tuple[Explained, ...]:
        """These settings, and after them all others that their interpolations read."""
        found = {key: self._explain(key) for key in keys}
        for read in [read for one in found.values() for read in one.reads]:
            found.setdefault(read, self._explain(read))
        return tuple(found.values())

    def _explain(self, key: str) -> Explained:
        if key in self._named:
            return Explained(key, *self._named[key])
        source, setting = self.settings[key]
        writings = source.list_writings(setting.path)
        if setting.default and writings and writings[-1].value is not None:
            # A short form, such as a port's number, says nothing of the other keys.
            writings = ()
        if setting.section:
            # Mappings merge: the last to write one is its place, and overrides no other.
            writings = writings[-1:]
        # A null that removed what files say leaves the schema's default, which may be null too.
        default = not writings or (setting.default and setting.value is not None)
        interpolations, reads = self._trace(source, setting)
        hidden = can_be_secret(setting.value) and any(map(self._may_be_secret, reads))
        shown = REDACTED if hidden else redact(setting.path, setting.value)
        return Explained(
            key,
            shown,
            "" if default else writings[-1].shown_position,
            tuple(
                Overridden(redact(setting.path, old.value), old.shown_position)
                for old in reversed(writings if default else writings[:-1])
            ),
            interpolations,
            reads,
            shown != setting.value,
        )

    def explain_key(self, key: str) -> Explained:
        """The name that people chose for an entry of a mapping: of `ports.http` the key `http`."""
        source, setting = self.settings[key]
        *above, name = setting.path
        positions = source.merged.key_positions(setting.path)
        position = str(positions[-1]) if positions else self._explain(key).position
        return Explained(f"the key {name} of {source.key(above)}", name, position)

    def _may_be_secret(self, key: str) -> bool:
        return key in self.settings and is_secret_key(self.settings[key][1].path)

    def _trace(
        self, source: Source, traced: Setting
    ) -> tuple[tuple[Interpolation, ...], tuple[str, ...]]:
        """The texts on the way to a value, and the keys of the settings that they read."""
        through: list[Interpolation] = []
        reads: dict[str, None] = {}
        waiting: list[tuple[Source, KeyPath]] = [(source, traced.path)]
        if traced.section:
            below = self._list_below(source.key(traced.path))
            waiting = [(source, self.settings[key][1].path) for key in below]
        while waiting:
            here, at = waiting.pop(0)
            for text, writing in _list_texts(here, at):
                shown = str(redact(writing.path, text))
                through.append(Interpolation(here.key(at), shown, writing.shown_position))
                for key in self._list_reads(here, text, writing.path):
                    if key not in reads and key in self.settings:
                        of, setting = self.settings[key]
                        waiting.append((of, setting.path))
                    reads[key] = None
        return tuple(through), tuple(reads)

    def _list_reads(self, source: Source, text: str, path: KeyPath) -> Iterator[str]:
        """The keys of the settings that a text in `source` reads, all of a mapping's."""
        for name in find_referenced_keys(text, path):
            dotted = ".".join(name)
            if dotted in self._named:
                yield dotted
                continue
            yield from self._list_below(dotted if name[0] == ENVIRONMENT else source.key(name))

    def _list_below(self, parent: str) -> Iterator[str]:
        """The keys of the single settings at or below a key."""
        for key, (_, setting) in self.settings.items():
            if not setting.section and _is_below(key, parent):
                yield key


def _list_texts(source: Source, path: KeyPath) -> Iterator[tuple[str, Writing]]:
    """The interpolations of what won at a path."""
    for writing in source.list_writings(path)[-1:]:
        for text in find_texts(writing.value):
            yield text, writing


def _is_below(key: str, parent: str) -> bool:
    return key == parent or key.startswith(f"{parent}.")


def _with_parents(keys: Iterable[str]) -> set[str]:
    return {
        ".".join(parts[:end])
        for parts in (key.split(".") for key in keys)
        for end in range(1, len(parts) + 1)
    }
