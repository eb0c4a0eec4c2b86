"""Loads the models of one stack: the files that each is merged from, their order, their errors.

The layers in merge order, later ones override earlier ones: `_defaults`, the environment's
`defaults`, the profiles in listed order, the model, the environment's `overrides`, the
environment's file for the model, `--set`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from framework.catalog.model import Catalog, CatalogModel, LoadedModel
from framework.core.diagnostics import Code, Diagnostic
from framework.core.errors import ConfigError
from framework.core.stack import Stack
from framework.core.suggestions import suggest
from framework.files import (
    CatalogFiles,
    EnvironmentFiles,
    environment_names,
    find_catalog,
    find_environment,
)
from framework.files.document import Document, load_document, parse_document
from framework.layers import Layer, LayerStack, Merged, Shape
from framework.settings.environment import Environment
from framework.settings.model import SHARED, Model, model_forms
from framework.settings.validation import validate_layer, validate_settings

# Interpolations can name these beside the model's own keys; no layer may set them.
CONTEXT_KEYS = ("name", "environment", "stack")
_NOT_MERGED = frozenset({*CONTEXT_KEYS, "profiles"})
_CANDIDATE = ("canary", "candidate")
# Below `patch` a null is a value: it deletes a field of the manifest, not an inherited key.
_KEEP_NULLS = (("patch",),)


class CatalogReader:
    """Reads the files of a catalog, each once for all environments that use it.

    `drafts` has the texts of files that are not written yet, by path; they hide those on disk.
    """

    def __init__(self, root: Path, drafts: Mapping[str, str] | None = None) -> None:
        self.root = root
        self.drafts = dict(drafts or {})
        self._documents: dict[str, tuple[Document, list[Diagnostic]]] = {
            path: parse_document(path, text) for path, text in self.drafts.items()
        }
        self._layers: dict[tuple[str, tuple[str, ...]], tuple[Layer, list[Diagnostic]]] = {}
        self._own_layers: dict[str, list[Diagnostic]] = {}

    def read(self, path: str) -> tuple[Document, list[Diagnostic]]:
        """Returns one file as a document, and its syntax errors."""
        if path not in self._documents:
            if (self.root / path).is_file():
                self._documents[path] = load_document(self.root, path)
            else:
                # `find_environment` has reported the missing file. Marked as broken, the empty
                # document causes no "is missing" errors for the keys that it would have had.
                self._documents[path] = Document(path, {}, broken=frozenset({()})), []
        return self._documents[path]

    def add_drafts(self, folder: str, files: Mapping[str, str]) -> dict[str, str]:
        """Returns the files of a folder by name, together with the drafts in it."""
        found = dict(files)
        for path in self.drafts:
            parent, _, file = path.rpartition("/")
            if parent == folder and not file.startswith("_"):
                found[file.removesuffix(".yaml")] = path
        return dict(sorted(found.items()))

    def build_layer(
        self, document: Document, prefix: tuple[str, ...] = (), *, is_model: bool = False
    ) -> tuple[Layer, list[Diagnostic]]:
        """Returns the layer that a document has under `prefix`, and the errors in it.

        `is_model` is True for a model's own file, the only one that may list profiles. Its values
        are not validated here but after the merge, or by `validate_alone` if another layer
        overrides them.
        """
        key = (document.path, prefix)
        if key not in self._layers:
            layer = Layer(document, prefix, _NOT_MERGED, model_forms())
            diagnostics = [*layer.diagnostics, *_find_misplaced_keys(layer, is_model=is_model)]
            if not is_model:
                diagnostics += validate_layer(Model, layer, "a model")
            self._layers[key] = layer, diagnostics
        return self._layers[key]

    def validate_alone(self, layer: Layer) -> list[Diagnostic]:
        """Returns the errors in a model's own file, also in values that other layers override."""
        path = layer.document.path
        if path not in self._own_layers:
            self._own_layers[path] = validate_layer(Model, layer, "a model")
        return self._own_layers[path]


def _find_misplaced_keys(layer: Layer, *, is_model: bool) -> list[Diagnostic]:
    diagnostics = []
    for key in ("profiles", *CONTEXT_KEYS):
        position = layer.key_position((key,))
        if not position or (is_model and key == "profiles"):
            continue
        if key == "profiles":
            message = '"profiles" is read from the model\'s own file only; move it there'
        elif key == "name":
            message = '"name" is the file\'s name; remove it, or rename the file'
        else:
            message = f'"{key}" can be used in interpolations, but not set; remove it'
            if key == "environment":
                message += ", or use env for variables of the container"
        diagnostics.append(position.diagnostic(Code.MISPLACED_KEY, message))
    return diagnostics


@dataclass(frozen=True)
class _ModelFiles:
    """The layers of one model, with the errors in its own files.

    `own` is the layer of the model's file, `overlay` the environment's file for the model.
    """

    own: Layer
    overlay: Document | None
    profiles: tuple[str, ...]
    layers: LayerStack
    diagnostics: tuple[Diagnostic, ...]


class CatalogLoader:
    """Loads the environment of one stack, then its models one at a time.

    `overrides` are merged over every model after all other layers. `settings` is None where
    environment.yaml has errors. `diagnostics` has the errors in the files that all models share.
    """

    def __init__(
        self,
        root: Path,
        stack: Stack,
        overrides: Sequence[Document] = (),
        reader: CatalogReader | None = None,
    ) -> None:
        self.stack = stack
        self.files: CatalogFiles = find_catalog(root)
        self._own: EnvironmentFiles = find_environment(root, stack.environment)
        self._reader = reader or CatalogReader(root)
        if self._reader.drafts:
            self._add_drafts()
        self._overrides = [
            Layer(document, (), _NOT_MERGED, model_forms()) for document in overrides
        ]
        self.diagnostics: list[Diagnostic] = [*self.files.diagnostics, *self._own.diagnostics]
        for name in sorted(self._own.overlays.keys() - self.files.models.keys()):
            message = f'no model is called "{name}"{suggest(name, self.files.models)}'
            self.diagnostics.append(
                Diagnostic(self._own.overlays[name], 0, 0, Code.UNKNOWN_MODEL, message)
            )
        document = self._read_shared(self._own.environment)
        self.settings, self.merged = self._load_environment(document)
        values = {k: v for k, v in self.merged.data.items() if k not in ("defaults", "overrides")}
        self._context = {
            "environment": {**values, "name": stack.environment},
            "stack": {"name": stack.name},
        }
        layers = [self._build_shared_layer(document, "defaults")]
        if self.files.defaults:
            defaults = self._read_shared(self.files.defaults)
            # Below the environment's `defaults`, which are more specific.
            layers.insert(0, self._build_shared_layer(defaults))
        self._environment_overrides = self._build_shared_layer(document, "overrides")
        # A model that names `${environment.team}` fails without an error of its own, if the team is
        # what is wrong in environment.yaml.
        broken = [("environment", *path) for path in self.merged.broken]
        # Models with the same profiles share one merge of everything below the model.
        self._below: dict[tuple[str, ...], LayerStack] = {
            (): LayerStack().add(*layers).with_broken(*broken)
        }

    def _add_drafts(self) -> None:
        add, overlays = self._reader.add_drafts, f"environments/{self.stack.environment}/models"
        self.files = replace(
            self.files,
            models=add("catalog", self.files.models),
            profiles=add("catalog/_profiles", self.files.profiles),
        )
        self._own = replace(self._own, overlays=add(overlays, self._own.overlays))

    def merge_inherited(self, name: str, profiles: tuple[str, ...]) -> Merged:
        """Merges the layers below a model's own file, for a model that lists these profiles."""
        return self._merge_below(profiles).resolve(
            {**self._context, "name": name}, verbatim=(_CANDIDATE,), keep_nulls=_KEEP_NULLS
        )

    def _read_shared(self, path: str) -> Document:
        document, diagnostics = self._reader.read(path)
        self.diagnostics += diagnostics
        return document

    def _build_shared_layer(self, document: Document, *prefix: str) -> Layer:
        layer, diagnostics = self._reader.build_layer(document, prefix)
        self.diagnostics += diagnostics
        return layer

    def _load_environment(self, document: Document) -> tuple[Environment | None, Merged]:
        merged = (
            LayerStack()
            .add(Layer(document))
            .resolve(
                {
                    "environment": {"name": self.stack.environment},
                    "stack": {"name": self.stack.name},
                },
                # These are layers of the models: their interpolations are resolved for each model.
                verbatim=(("defaults",), ("overrides",)),
                self_name="environment",
            )
        )
        settings, diagnostics = validate_settings(
            Environment, merged, "an environment", document.path
        )
        self.diagnostics += diagnostics
        known = environment_names(self._reader.root)
        if settings is not None and settings.promotes_to not in (None, *known):
            position = merged.origin(("promotesTo",)) or merged.start_of(document.path)
            hint = suggest(str(settings.promotes_to), known)
            message = f'no environment is called "{settings.promotes_to}"{hint}'
            self.diagnostics.append(position.diagnostic(Code.PROMOTION, message))
        return settings, merged

    def find_profile_diagnostics(self, name: str) -> tuple[Diagnostic, ...]:
        """Returns the errors in the file of a profile."""
        document, syntax_errors = self._reader.read(self.files.profiles[name])
        return (*syntax_errors, *self._reader.build_layer(document)[1])

    def load_model(self, name: str) -> LoadedModel:
        """Merges and validates one model."""
        files = self._read_model(name)
        merged = files.layers.resolve(
            {**self._context, "name": name}, verbatim=(_CANDIDATE,), keep_nulls=_KEEP_NULLS
        )
        disabled = merged.data.get("enabled") is False
        diagnostics = [*files.diagnostics]
        if disabled or _is_overridden(merged, files.own):
            diagnostics += self._reader.validate_alone(files.own)
        if disabled:
            return _describe_disabled(name, files, merged, diagnostics)
        home = self.files.models[name]
        settings, invalid = validate_settings(Model, merged, "a model", home)
        diagnostics += _name_model(invalid, name, home)
        candidate, candidate_merged = None, None
        if _has_candidate(merged):
            candidate, candidate_merged, invalid = self._load_candidate(name, files.layers)
            diagnostics += invalid
        model = None
        if settings is not None:
            model = CatalogModel(
                name, home, settings, merged, candidate, candidate_merged, files.profiles
            )
        return LoadedModel(name, model, tuple(diagnostics), files.profiles)

    def _read_model(self, name: str) -> _ModelFiles:
        """Reads the files of a model, and puts their layers in merge order."""
        document, diagnostics = self._reader.read(self.files.models[name])
        profiles, profile_errors = self._resolve_profiles(document)
        own, layer_errors = self._reader.build_layer(document, is_model=True)
        diagnostics = [*diagnostics, *profile_errors, *layer_errors]
        layers = self._merge_below(profiles).add(own, self._environment_overrides)
        overlay = None
        if name in self._own.overlays:
            overlay, syntax_errors = self._reader.read(self._own.overlays[name])
            layer, layer_errors = self._reader.build_layer(overlay)
            diagnostics += [*syntax_errors, *layer_errors]
            layers = layers.add(layer)
        if self._overrides:
            layers = layers.add(*self._overrides)
        if profile_errors:
            # A missing setting may be in the profile whose name is misspelt: report only the name.
            layers = layers.with_broken(())
        return _ModelFiles(own, overlay, profiles, layers, tuple(diagnostics))

    def _merge_below(self, profiles: tuple[str, ...]) -> LayerStack:
        """Returns the layers below a model that lists these profiles."""
        if profiles not in self._below:
            document, _ = self._reader.read(self.files.profiles[profiles[-1]])
            layer, _ = self._reader.build_layer(document)
            self._below[profiles] = self._merge_below(profiles[:-1]).add(layer)
        return self._below[profiles]

    def _resolve_profiles(self, document: Document) -> tuple[tuple[str, ...], list[Diagnostic]]:
        """Returns the listed profiles that exist, and the errors in the list."""
        listed = document.data.get("profiles", [])
        if not isinstance(listed, list):
            position = document.value_positions[("profiles",)]
            message = "profiles must be a list of names, such as [cpu-small]"
            return (), [position.diagnostic(Code.UNKNOWN_PROFILE, message)]
        profiles: list[str] = []
        diagnostics: list[Diagnostic] = []
        for index, name in enumerate(listed):
            if not isinstance(name, str) or name not in self.files.profiles:
                hint = suggest(str(name), self.files.profiles)
                message = f'no profile is called "{name}"{hint}'
            elif name in profiles:
                message = f'the profile "{name}" is listed twice; keep one'
            else:
                profiles.append(name)
                continue
            position = document.value_positions[("profiles", index)]
            diagnostics.append(position.diagnostic(Code.UNKNOWN_PROFILE, message))
        return tuple(profiles), diagnostics

    def _load_candidate(
        self, name: str, stable: LayerStack
    ) -> tuple[Model | None, Merged, list[Diagnostic]]:
        """Merges and validates the canary track: its layers over those of the stable track."""
        home, layers = self.files.models[name], _candidate_layers(stable)
        diagnostics = [
            position.diagnostic(
                Code.MISPLACED_KEY,
                f'"{key}" cannot be set for a candidate alone'
                + ("; canary.size decides the number of its Pods" if key == "replicas" else ""),
            )
            for layer in layers
            for key in ("canary", *SHARED, *_NOT_MERGED)
            if (position := layer.key_position((key,)))
        ]
        full = stable.add(*layers).resolve(
            {**self._context, "name": name}, verbatim=(("canary",),), keep_nulls=_KEEP_NULLS
        )
        # Without `canary`, so that the candidate is a model without a candidate of its own.
        data = {key: value for key, value in full.data.items() if key != "canary"}
        origins = {
            path: positions for path, positions in full.origins.items() if path[0] != "canary"
        }
        merged = replace(full, data=data, origins=origins)
        settings, invalid = validate_settings(Model, merged, "a model", home)
        return settings, merged, [*diagnostics, *_name_model(invalid, name, home)]

    def load(self, models: Collection[str] | None = None) -> Catalog:
        """Loads the environment and these models; all models for None.

        Raises ConfigError with every error in the files where environment.yaml has one.
        """
        names = [name for name in self.files.models if models is None or name in models]
        loaded = tuple(map(self.load_model, names))
        # Profiles that no model of a narrowed command uses are not even read.
        used = {profile for model in loaded for profile in model.profiles}
        profile_diagnostics = {
            name: self.find_profile_diagnostics(name)
            for name in self.files.profiles
            if models is None or name in used
        }
        if self.settings is None:
            errors = [d for diagnostics in profile_diagnostics.values() for d in diagnostics]
            errors += [d for model in loaded for d in model.diagnostics]
            raise ConfigError([*self.diagnostics, *errors])
        return self.build_catalog(loaded, profile_diagnostics, complete=models is None)

    def build_catalog(
        self,
        loaded: tuple[LoadedModel, ...],
        profile_diagnostics: Mapping[str, tuple[Diagnostic, ...]] | None = None,
        *,
        complete: bool = False,
    ) -> Catalog:
        """Builds the catalog of models that were loaded one at a time; needs valid `settings`."""
        assert self.settings is not None
        return Catalog(
            stack=self.stack,
            environment=self.settings,
            environment_merged=self.merged,
            loaded=loaded,
            shared_diagnostics=tuple(self.diagnostics),
            profile_diagnostics=profile_diagnostics or {},
            complete=complete,
        )


def _describe_disabled(
    name: str, files: _ModelFiles, merged: Merged, diagnostics: Iterable[Diagnostic]
) -> LoadedModel:
    """Returns a model that does not run here.

    Its merged settings are not validated: other environments may give what is missing here.
    """
    overlay = files.overlay
    idle = overlay is not None and overlay.data.get("enabled") is not False
    return LoadedModel(
        name,
        None,
        (*diagnostics, *files.layers.diagnostics),
        files.profiles,
        disabled=True,
        disabled_at=merged.origin(("enabled",)),
        idle_overlay=merged.start_of(overlay.path) if overlay is not None and idle else None,
    )


def _has_candidate(merged: Merged) -> bool:
    canary = merged.data.get("canary")
    return isinstance(canary, dict) and isinstance(canary.get("candidate"), dict)


def _candidate_layers(stack: LayerStack) -> tuple[Layer, ...]:
    """Returns the parts of `canary.candidate` that the layers have, in merge order.

    Any layer may have a part of the candidate. A null at `canary` or `canary.candidate` removes
    the parts of all layers below it.
    """
    parts: list[Layer] = []
    for layer in stack.layers:
        data: Any = layer.data
        for key in _CANDIDATE:
            if not isinstance(data, dict) or key not in data:
                break
            data = data[key]
            if data is None:
                parts.clear()
        else:
            if isinstance(data, dict):
                prefix = (*layer.prefix, *_CANDIDATE)
                omitted = frozenset({"canary", *_NOT_MERGED})
                parts.append(Layer(layer.document, prefix, omitted, layer.forms))
    return tuple(parts)


def _is_overridden(merged: Merged, layer: Layer) -> bool:
    """Returns True where another layer overrides a value of this one."""
    return any(
        merged.origins.get(entry.path, (None,))[-1] != entry.position
        for entry in layer.entries
        if entry.shape is not Shape.MAPPING
    )


def _name_model(diagnostics: Iterable[Diagnostic], model: str, home: str) -> list[Diagnostic]:
    """Adds the model's name to the diagnostics in other files than its own."""
    return [
        diagnostic if diagnostic.path == home else replace(diagnostic, model=model)
        for diagnostic in diagnostics
    ]
