"""Explains where each effective setting of a model comes from.

A setting has the position that set it, the values that it overrode, and the interpolations that it
was resolved from. The fields of manifests are traced back to these settings in rendered_fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple

from framework.catalog import Catalog, CatalogModel
from framework.core.diagnostics import KeyPath, Position
from framework.core.errors import UnknownNameError, UsageError
from framework.core.field_paths import FieldPath, FieldPathError, is_at_or_below
from framework.core.redaction import (
    REDACTED,
    find_copied_secrets,
    is_secret_key,
    redact,
    redact_value,
)
from framework.core.secret_patterns import can_be_secret
from framework.files import environment_path
from framework.layers import Layer, Merged, find_referenced_keys
from framework.layers.references import find_interpolations
from framework.reports.effective_settings import Setting, list_settings
from framework.settings.base import Settings
from framework.settings.locations import join_dotted_key
from framework.settings.model import Model

CANDIDATE, ENVIRONMENT = "candidate", "environment"
# Keys that a source has and does not use: an environment's `defaults` and `overrides` are layers of
# the models, and a candidate has no canary of its own.
_NOT_OWN = {ENVIRONMENT: frozenset({"defaults", "overrides"}), CANDIDATE: frozenset({"canary"})}


@dataclass(frozen=True)
class OverriddenValue:
    """A value in a layer that a later layer overrode, as it is written there."""

    value: Any
    position: str


@dataclass(frozen=True)
class Interpolation:
    """A text with `${...}` that a value was resolved from. `key` is the setting that holds it."""

    key: str
    text: str
    position: str


@dataclass(frozen=True)
class ExplainedSetting:
    """An effective setting and its origin.

    `position` is `file:line:column`, or None for a default of the schema. `overrode` has the latest
    value first. `reads` are the settings that its interpolations read, directly or through other
    settings. If `secret`, the value is redacted.
    """

    key: str
    value: Any
    position: str | None
    default: bool = False
    overrode: tuple[OverriddenValue, ...] = ()
    interpolations: tuple[Interpolation, ...] = ()
    reads: tuple[str, ...] = ()
    secret: bool = False


class WrittenValue(NamedTuple):
    """A value that one layer has: its path in the settings, and its position in the file."""

    path: KeyPath
    value: Any
    position: Position

    @property
    def shown_position(self) -> str:
        """Returns `file:line:column`; for `--set`, which has no lines, only the name."""
        return str(self.position) if self.position.line else self.position.path


@dataclass(frozen=True, eq=False)
class Source:
    """Settings and the layers that they were merged from.

    Their keys start with `prefix`: "" for the model's own, `candidate` or `environment`.
    """

    prefix: str
    settings: Settings
    merged: Merged

    def key(self, path: Iterable[str | int]) -> str:
        """Returns `candidate.image.tag` for `image.tag` of the candidate."""
        return str(FieldPath((self.prefix, *path) if self.prefix else tuple(path)))

    def list_written(self, path: KeyPath) -> tuple[WrittenValue, ...]:
        """Returns what each layer has at a path, the oldest layer first.

        A layer may write a parent as a single value, such as the number in `ports: {http: 8080}`.
        It then counts for every path below.
        """
        values = (_find_written(layer, path) for layer in self.merged.layers)
        return tuple(value for value in values if value)


def list_sources(catalog: Catalog, model: CatalogModel) -> tuple[Source, ...]:
    """Returns the model's own settings, its candidate's if it has one, and its environment's."""
    sources = [Source("", model.settings, model.merged)]
    if model.candidate and model.candidate_merged:
        sources.append(Source(CANDIDATE, model.candidate, model.candidate_merged))
    home = environment_path(catalog.stack.environment)
    for layer in model.merged.layers:
        if layer.document.path == home:
            own = Layer(layer.document, (), _NOT_OWN[ENVIRONMENT])
            merged = Merged(own.data, {}, (own,))
            sources.append(Source(ENVIRONMENT, catalog.environment, merged))
            break
    return tuple(sources)


def _find_written(layer: Layer, path: KeyPath) -> WrittenValue | None:
    value: Any = layer.data
    for depth, part in enumerate(path, start=1):
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
        if depth == len(path) or not isinstance(value, dict):
            form = layer.forms.at(path[:depth])
            if depth < len(path) and form and form.primary not in ("", path[depth]):
                # The number of a port is its containerPort, which is not its servicePort.
                return None
            return WrittenValue(path[:depth], value, layer.value_position(path[:depth]))
    return None


def is_field(key: str) -> bool:
    """Returns True for a key such as `Deployment.spec.replicas`: kinds begin with a capital."""
    return key[:1].isupper()


class Explainer:
    """Explains the settings of one model in one environment."""

    def __init__(self, catalog: Catalog, model: CatalogModel) -> None:
        self._sources = list_sources(catalog, model)
        folder = f"environments/{catalog.stack.environment}"
        # Values that interpolations can read although no file holds them: each is the name of a
        # file or folder.
        self._names = {
            "name": (model.name, model.home),
            "environment.name": (catalog.stack.environment, folder),
            "stack.name": (catalog.stack.name, folder),
        }

    @cached_property
    def settings(self) -> dict[str, tuple[Source, Setting]]:
        """Returns every setting, and every mapping that can be removed, by key."""
        return {
            source.key(setting.path): (source, setting)
            for source in self._sources
            for setting in list_settings(source.settings)
            if setting.path[0] not in _NOT_OWN.get(source.prefix, ())
        }

    @cached_property
    def _leaves(self) -> dict[str, tuple[str, ...]]:
        """Returns the steps of every key that is not a section."""
        settings = self.settings.items()
        return {key: _parse_key(key) for key, (_, setting) in settings if not setting.section}

    def find(self, key: str | None) -> tuple[ExplainedSetting, ...]:
        """Explains the settings at or below a key, or all of the model's own for None.

        The dots of a key such as `podAnnotations.prometheus.io/port` need no quotes. A key below a
        list, or below a mapping that is not set, explains the list or the mapping. So
        every path that `diff` and `affected` print is accepted, including that of a removed item.
        Errors: UnknownNameError; UsageError if the key is not a valid path.
        """
        if key is None:
            own = [name for name in self._leaves if not self.settings[name][0].prefix]
            return tuple(map(self._explain, own))
        if key in self._names:
            return (self._explain(key),)
        try:
            path = _parse_key(key)
        except FieldPathError as error:
            raise UsageError(f"KEY={key}: {error}") from error
        if joined := join_dotted_key(Model, path):
            path = tuple(joined)
        if path[:2] == ("canary", "candidate") and (key not in self.settings):
            # Prefer the value that is written below `canary.candidate`. The settings that the
            # candidate inherits are listed only below `candidate`.
            found = self._find_leaves(path) or self._find_leaves((CANDIDATE, *path[2:]))
        else:
            found = self._find_leaves(path)
        if found:
            return tuple(map(self._explain, found))
        if missing := self._find_missing_entry(path):
            return (ExplainedSetting(missing, None, None, default=True),)
        raise UnknownNameError("setting", key, _with_parents(self._leaves))

    def _find_leaves(self, path: tuple[str, ...]) -> list[str]:
        """Returns the keys of the single settings at or below a path, or of the one above it."""
        return self._list_below(path) or [
            key
            for key, leaf in self._leaves.items()
            if is_at_or_below(path, leaf)
            and (isinstance(value := self.settings[key][1].value, list) or value in (None, {}))
        ]

    def _find_missing_entry(self, path: tuple[str, ...]) -> str | None:
        """Returns the key of the mapping entry that is not set: `env.DEBUG`.

        People choose the keys of such a mapping, so a key that is not set is not a spelling
        mistake.
        """
        for source in self._sources:
            rest = path[1:] if source.prefix else path
            if source.prefix and path[:1] != (source.prefix,):
                continue
            held: Any = source.settings
            for depth, step in enumerate(rest, start=1):
                if isinstance(held, dict):
                    if step not in held:
                        return source.key(rest[:depth])
                    held = held[step]
                elif isinstance(held, Settings):
                    fields = type(held).model_fields.items()
                    names = [name for name, field in fields if (field.alias or name) == step]
                    held = getattr(held, names[0]) if names else None
        return None

    def explain_with_reads(self, keys: Iterable[str]) -> tuple[ExplainedSetting, ...]:
        """Explains these settings, then all other settings that their interpolations read."""
        found = {key: self._explain(key) for key in keys}
        for key in [key for setting in found.values() for key in setting.reads]:
            found.setdefault(key, self._explain(key))
        return tuple(found.values())

    def explain_key(self, key: str) -> ExplainedSetting:
        """Explains the name that people chose for an entry of a mapping: `http` of `ports.http`."""
        source, setting = self.settings[key]
        *parents, name = setting.path
        positions = source.merged.key_positions(setting.path)
        position = str(positions[-1]) if positions else self._explain(key).position
        return ExplainedSetting(f"the key {name} of {source.key(parents)}", name, position)

    def _explain(self, key: str) -> ExplainedSetting:
        if key in self._names:
            return ExplainedSetting(key, *self._names[key])
        source, setting = self.settings[key]
        written = source.list_written(setting.path)
        if setting.default and written and written[-1].value is not None:
            # `ports: {http: 8080}` sets the container port. The protocol keeps its default.
            written = ()
        if setting.section:
            # Mappings merge: the last layer that has one adds to it and does not override the
            # others.
            written = written[-1:]
        # A null removes what earlier layers set, so the default applies. If the default is null as
        # well, the value comes from the null that is written.
        is_default = not written or (setting.default and setting.value is not None)
        interpolations, reads = self._trace(source, setting)
        reads_secret = can_be_secret(setting.value) and any(map(self._is_secret_key, reads))
        shown = REDACTED if reads_secret else self._redact(setting.path, setting.value)
        overridden = written if is_default else written[:-1]
        return ExplainedSetting(
            key,
            shown,
            None if is_default else written[-1].shown_position,
            is_default,
            tuple(
                OverriddenValue(self._redact(setting.path, old.value), old.shown_position)
                for old in reversed(overridden)
            ),
            interpolations,
            reads,
            # A text such as a configuration file is secret only in parts.
            secret=shown != setting.value and (shown == REDACTED or not isinstance(shown, str)),
        )

    def _redact(self, path: KeyPath, value: Any) -> Any:
        return self.redact_repeated(redact(path, value))

    def redact_repeated(self, value: Any) -> Any:
        """Returns a value without the secrets of all settings.

        A second setting may repeat a secret under a key that does not look like one of a secret.
        """
        return redact_value(value, self._secret_texts)

    @cached_property
    def _secret_texts(self) -> frozenset[str]:
        settings = (source.merged.data for source in self._sources)
        return find_copied_secrets([*settings, {"name": self._names["name"][0]}])

    def _is_secret_key(self, key: str) -> bool:
        return key in self.settings and is_secret_key(self.settings[key][1].path)

    def _trace(
        self, source: Source, traced: Setting
    ) -> tuple[tuple[Interpolation, ...], tuple[str, ...]]:
        """Returns the interpolations that lead to a value, and the keys of what they read."""
        interpolations: list[Interpolation] = []
        reads: dict[str, None] = {}
        waiting: list[tuple[Source, KeyPath]] = [(source, traced.path)]
        if traced.section:
            below = self._list_below(_parse_key(source.key(traced.path)))
            waiting = [(source, self.settings[key][1].path) for key in below]
        while waiting:
            holder, path = waiting.pop(0)
            for written in holder.list_written(path)[-1:]:
                for text in find_interpolations(written.value):
                    shown = str(self._redact(written.path, text))
                    key = holder.key(path)
                    interpolations.append(Interpolation(key, shown, written.shown_position))
                    for read in self._list_reads(holder, text, written.path):
                        if read not in reads and read in self.settings:
                            read_source, setting = self.settings[read]
                            waiting.append((read_source, setting.path))
                        reads[read] = None
        return tuple(interpolations), tuple(reads)

    def _list_reads(self, source: Source, text: str, path: KeyPath) -> Iterator[str]:
        """Yields the keys of the settings that a text reads; for a mapping, all below it."""
        for name in find_referenced_keys(text, path):
            key = str(FieldPath(name))
            if key in self._names:
                yield key
                continue
            full = key if name[0] == ENVIRONMENT else source.key(name)
            yield from self._list_below(_parse_key(full))

    def _list_below(self, path: tuple[str, ...]) -> list[str]:
        return [key for key, leaf in self._leaves.items() if is_at_or_below(leaf, path)]


@cache
def _parse_key(key: str) -> tuple[str, ...]:
    # `args[0]` and `ports[http]` have the same steps as `args.0` and `ports.http`.
    return tuple(str(step) for step in FieldPath.parse(key).steps)


def _with_parents(keys: Iterable[str]) -> set[str]:
    paths = [FieldPath.parse(key).steps for key in keys]
    return {str(FieldPath(steps[:end])) for steps in paths for end in range(1, len(steps) + 1)}
