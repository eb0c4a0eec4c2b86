"""Loads one environment's catalog: which files make a model, in what order, and what is wrong.

Kept apart from the merge, which knows layers and no files, and from Kubernetes objects. Later wins:
`_defaults`, the environment's `defaults`, profiles as listed, the model, the environment's
`overrides`, the environment's file for the model.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from framework.catalog.candidate import CANDIDATE, candidate_layers
from framework.catalog.model import Catalog, CatalogModel
from framework.catalog.reading import NOT_MERGED, CatalogReader
from framework.core.diagnostics import Code, Diagnostic, KeyPath, Position
from framework.core.errors import ConfigError
from framework.core.suggestions import suggest
from framework.files import CatalogFiles, Document, EnvironmentFiles, find_catalog, find_environment
from framework.layers import Layer, LayerStack, Merged, Shape
from framework.settings.environment import Environment
from framework.settings.model import SHARED, Model
from framework.settings.validation import validate_settings

# Partial manifests, in which null takes a field away.
_LITERAL = (("patch",),)


class Loader:
    """One run over the files of one environment; `faults` grows with every file and model."""

    def __init__(
        self,
        root: Path,
        environment: str,
        stack: str,
        only: Collection[str] | None,
        last: Sequence[Document],
        reader: CatalogReader,
    ) -> None:
        self._name, self._stack, self._reader = environment, stack, reader
        self._only = only
        self._last = [Layer(document, (), NOT_MERGED) for document in last]
        self._files: CatalogFiles = find_catalog(root)
        self._own: EnvironmentFiles = find_environment(root, environment)
        self.diagnostics: list[Diagnostic] = [*self._files.diagnostics, *self._own.diagnostics]
        self._bases: dict[tuple[str, ...], LayerStack] = {}
        self._profiles: dict[str, Layer] = {}
        self._environment = self._read(self._own.environment)
        self._overrides = self._layer(self._environment, "overrides")
        self._disabled: list[str] = []
        self._disabled_at: dict[str, Position] = {}
        self._idle: list[str] = []
        self._sound: set[str] = set()
        self._listed: dict[str, tuple[str, ...]] = {}
        self._context: dict[str, Any] = {}
        self._context_broken: tuple[KeyPath, ...] = ()

    def load(self) -> Catalog:
        """The catalog. ConfigError where its environment cannot be used."""
        if not self._only:
            # Faults of a profile that no model lists are told as well.
            for name in self._files.profiles:
                self._profile(name)
        settings, merged = self.load_environment()
        self._bases[()] = self._load_base()
        models: list[CatalogModel] = []
        for name in self._own.overlays.keys() - self._files.models.keys():
            self._report_stray(name)
        layers_sound = not self.diagnostics
        for name, path in self._files.models.items():
            if self._only is not None and name not in self._only:
                continue
            overlay, before = self._own.overlays.get(name), len(self.diagnostics)
            model = self._load_model(
                name, self._read(path), self._read(overlay) if overlay else None
            )
            if model is not None:
                models.append(model)
            if len(self.diagnostics) == before:
                self._sound.add(name)
        if settings is None:
            raise ConfigError(self.diagnostics)
        return Catalog(
            environment=settings,
            environment_name=self._name,
            models=tuple(models),
            disabled=tuple(self._disabled),
            diagnostics=tuple(self.diagnostics),
            environment_merged=merged,
            complete=self._only is None,
            profiles=self._files.profiles,
            idle_overlays=tuple(self._idle),
            sound=frozenset(self._sound),
            layers_sound=layers_sound,
            listed_profiles=self._listed,
            disabled_at=self._disabled_at,
        )

    def _read(self, path: str) -> Document:
        document, diagnostics = self._reader.document(path)
        self.diagnostics += diagnostics
        return document

    def _layer(self, document: Document, *prefix: str, own: bool = False) -> Layer:
        layer, diagnostics = self._reader.layer(document, prefix, own=own)
        self.diagnostics += diagnostics
        return layer

    def load_environment(self) -> tuple[Environment | None, Merged]:
        """The environment's own settings, None where they have faults."""
        stack = {"name": self._stack}
        merged = (
            LayerStack()
            .add(Layer(self._environment))
            .resolve(
                {"environment": {"name": self._name}, "stack": stack},
                verbatim=(("defaults",), ("overrides",)),
                self_name="environment",
            )
        )
        settings, diagnostics = validate_settings(
            Environment, merged, "an environment", self._own.environment
        )
        self.diagnostics += diagnostics
        values = {k: v for k, v in merged.data.items() if k not in ("defaults", "overrides")}
        self._context = {"environment": {**values, "name": self._name}, "stack": stack}
        self._context_broken = tuple(("environment", *path) for path in merged.broken)
        return settings, merged

    def _load_base(self) -> LayerStack:
        """What every model inherits before its profiles."""
        layers = []
        if self._files.defaults:
            layers.append(self._layer(self._read(self._files.defaults)))
        layers.append(self._layer(self._environment, "defaults"))
        return LayerStack().add(*layers).with_broken(*self._context_broken)

    def _base_with(self, profiles: tuple[str, ...]) -> LayerStack:
        """What is below a model, shared by all models with these profiles."""
        if profiles not in self._bases:
            below = self._base_with(profiles[:-1])
            self._bases[profiles] = below.add(self._profile(profiles[-1]))
        return self._bases[profiles]

    def _profile(self, name: str) -> Layer:
        if name not in self._profiles:
            self._profiles[name] = self._layer(self._read(self._files.profiles[name]))
        return self._profiles[name]

    def _load_model(
        self, name: str, document: Document, overlay: Document | None
    ) -> CatalogModel | None:
        """The model; None where it is disabled or has faults."""
        profiles, known = self._resolve_profiles(document)
        self._listed[name] = profiles
        own = self._layer(document, own=True)
        pile = self._base_with(profiles).add(own, self._overrides)
        if overlay is not None:
            pile = pile.add(self._layer(overlay))
        if self._last:
            pile = pile.add(*self._last)
        if not known:
            pile = pile.with_broken(())
        merged = pile.resolve(
            {**self._context, "name": name}, verbatim=(CANDIDATE,), keep_nulls=_LITERAL
        )
        if merged.data.get("enabled") is False or _hides(merged, own):
            self.diagnostics += self._reader.hidden_diagnostics(own)
        if merged.data.get("enabled") is False:
            # A model that does not run here may lack what only other environments give.
            self.diagnostics += pile.diagnostics
            self._disabled.append(name)
            if position := merged.origin(("enabled",)):
                self._disabled_at[name] = position
            if overlay is not None and overlay.data.get("enabled") is not False:
                self._idle.append(overlay.path)
            return None
        settings, diagnostics = validate_settings(Model, merged, "a model", document.path)
        self.diagnostics += _surfaced(diagnostics, name, document.path)
        candidate, candidate_merged = self._load_candidate(name, document.path, pile, merged)
        if settings is None:
            return None
        return CatalogModel(
            name, document.path, settings, merged, candidate, candidate_merged, profiles
        )

    def _load_candidate(
        self, name: str, home: str, pile: LayerStack, stable: Merged
    ) -> tuple[Model | None, Merged | None]:
        canary = stable.data.get("canary")
        if not isinstance(canary, dict) or not isinstance(canary.get("candidate"), dict):
            return None, None
        layers = candidate_layers(pile)
        for layer in layers:
            for key in ("canary", *SHARED, *NOT_MERGED):
                if position := layer.key_position((key,)):
                    message = f'"{key}" cannot be set for a candidate alone'
                    self.diagnostics.append(position.diagnostic(Code.MISPLACED_KEY, message))
        full = pile.add(*layers).resolve(
            {**self._context, "name": name}, verbatim=(("canary",),), keep_nulls=_LITERAL
        )
        data = {key: value for key, value in full.data.items() if key != "canary"}
        origins = {
            path: positions for path, positions in full.origins.items() if path[0] != "canary"
        }
        merged = replace(full, data=data, origins=origins)
        settings, diagnostics = validate_settings(Model, merged, "a model", home)
        self.diagnostics += _surfaced(diagnostics, name, home)
        return settings, merged

    def _resolve_profiles(self, document: Document) -> tuple[tuple[str, ...], bool]:
        """The profiles that a model lists and that exist; False where one of them does not."""
        listed = document.data.get("profiles", [])
        if listed is None or not isinstance(listed, list):
            position = document.value_positions[("profiles",)]
            message = "profiles must be a list of names, such as [cpu-small]"
            self.diagnostics.append(position.diagnostic(Code.UNKNOWN_PROFILE, message))
            return (), False
        found: list[str] = []
        for index, name in enumerate(listed):
            message = ""
            if not isinstance(name, str) or name not in self._files.profiles:
                message = f'no profile is called "{name}"{suggest(str(name), self._files.profiles)}'
            elif name in found:
                message = f'the profile "{name}" is listed twice; keep one'
            if message:
                position = document.value_positions[("profiles", index)]
                self.diagnostics.append(position.diagnostic(Code.UNKNOWN_PROFILE, message))
            else:
                found.append(name)
        return tuple(found), len(found) == len(listed)

    def _report_stray(self, name: str) -> None:
        hint = suggest(name, self._files.models)
        message = f'no model is called "{name}"{hint}'
        self.diagnostics.append(
            Diagnostic(self._own.overlays[name], 1, 1, Code.UNKNOWN_MODEL, message)
        )


def _hides(merged: Merged, layer: Layer) -> bool:
    """Whether a value of this layer is not the one that won."""
    return any(
        merged.origins.get(entry.path, (None,))[-1] != entry.position
        for entry in layer.entries
        if entry.shape is not Shape.MAPPING
    )


def _surfaced(diagnostics: Iterable[Diagnostic], model: str, home: str) -> list[Diagnostic]:
    """The faults, with the model's name where they stand in another file than its own."""
    return [
        diagnostic if diagnostic.path == home else replace(diagnostic, model=model)
        for diagnostic in diagnostics
    ]
