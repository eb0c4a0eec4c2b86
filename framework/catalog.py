"""One environment's catalog: every enabled model, merged, validated, with the origin of each value.

Kept apart from the plan: this knows which files make a model and in what order, and nothing of
Kubernetes objects. Later wins: `_defaults`, the environment's `defaults`, profiles as listed, the
model, the environment's `overrides`, the environment's file for the model.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from framework.codes import Code
from framework.errors import ConfigError, Fault, UnknownNameError
from framework.overlay import Layer, Merged, Stack
from framework.schema.environment import Environment
from framework.schema.faults import validate_settings
from framework.schema.model import Model
from framework.sources import (
    CatalogFiles,
    Document,
    EnvironmentFiles,
    KeyPath,
    Place,
    environment_names,
    find_catalog,
    find_environment,
    load_document,
)

# What interpolations can name beside the model's own keys; no layer may set them.
CONTEXT_KEYS = ("name", "environment", "stack")
_NOT_MERGED = frozenset({*CONTEXT_KEYS, "profiles"})
_CANDIDATE = ("canary", "candidate")
# Partial manifests, in which null takes a field away.
_LITERAL = (("patch",),)
_NOTHING = Merged({}, {})


@dataclass(frozen=True, eq=False)
class CatalogModel:
    """One model in one environment. `home` is its own file, which lists its `profiles`.

    `settings.canary.candidate` is as written; `candidate` is what the canary runs: the stable
    settings with the candidate laid over them, without `canary`. None where there is no canary.
    """

    name: str
    home: str
    settings: Model
    merged: Merged
    candidate: Model | None = None
    candidate_merged: Merged | None = None
    profiles: tuple[str, ...] = ()

    @property
    def origins(self) -> Mapping[KeyPath, tuple[Place, ...]]:
        """For every leaf, list and mapping the places that set it, oldest first."""
        return self.merged.origins

    @property
    def labels(self) -> Mapping[str, str]:
        """What MODEL=label=value selects by: the model's labels and its owner."""
        return {"owner": self.settings.owner, **self.settings.labels}


@dataclass(frozen=True, eq=False)
class Catalog:
    """Every model of one environment, in order of name; `disabled` are the names left out.

    Where there are `faults`, the models that have none are still here, so that what they break
    together is told in the same run. `complete` is False where only some models were asked for.
    `unused_profiles` and `idle_overlays` are paths: profiles that no model lists, and overlays of
    models that another layer disables. `sound` are the models in which no fault was found, and
    `layers_sound` says that there is none in what they share. `listed_profiles` are by model,
    disabled ones among them.
    """

    environment: Environment
    environment_name: str
    models: tuple[CatalogModel, ...]
    disabled: tuple[str, ...]
    faults: tuple[Fault, ...] = ()
    environment_merged: Merged = _NOTHING
    complete: bool = True
    unused_profiles: tuple[str, ...] = ()
    idle_overlays: tuple[str, ...] = ()
    sound: frozenset[str] = frozenset()
    layers_sound: bool = False
    listed_profiles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def environment_place(self, path: KeyPath) -> Place:
        """Where the environment's own file says what is at `path`, or its nearest parent."""
        own = f"environments/{self.environment_name}/environment.yaml"
        return self.environment_merged.origin(path) or Place(own, 1, 1)


def list_environments(root: Path) -> tuple[str, ...]:
    """The names of the environments, sorted; reads no file."""
    return environment_names(root)


def list_models(root: Path) -> tuple[str, ...]:
    """The names of the catalog's models, sorted; reads no file."""
    return tuple(find_catalog(root).models)


def load_catalog(
    root: Path,
    environment: str,
    stack: str | None = None,
    *,
    only: Collection[str] | None = None,
    last: Sequence[Document] = (),
) -> Catalog:
    """As `read_catalog`, and ConfigError where there is any fault."""
    catalog = read_catalog(root, environment, stack, only=only, last=last)
    if catalog.faults:
        raise ConfigError(catalog.faults)
    return catalog


def read_catalog(
    root: Path,
    environment: str,
    stack: str | None = None,
    *,
    only: Collection[str] | None = None,
    last: Sequence[Document] = (),
) -> Catalog:
    """Read, merge and validate the catalog for `environment`.

    `stack` is what `${stack.name}` gives, the environment's name where it is not said. `only`
    names the models to load; no file of another one is read. `last` are laid over every model
    after all else. Errors: UnknownNameError for the environment; ConfigError with every fault where
    the environment itself cannot be used.
    """
    if environment not in (known := environment_names(root)):
        raise UnknownNameError("environment", environment, known)
    return _Loader(root, environment, stack or environment, only, last).load()


def read_environment(root: Path, environment: str) -> tuple[Environment | None, Merged]:
    """One environment's own settings, from its own file alone; None where they have faults."""
    return _Loader(root, environment, environment, (), ()).load_environment()


class _Loader:
    """One run over the files of one environment; `faults` grows with every file and model."""

    def __init__(
        self,
        root: Path,
        environment: str,
        stack: str,
        only: Collection[str] | None,
        last: Sequence[Document],
    ) -> None:
        self._root, self._name, self._stack = root, environment, stack
        self._only = only
        self._last = [Layer(document, (), _NOT_MERGED) for document in last]
        self._files: CatalogFiles = find_catalog(root)
        self._own: EnvironmentFiles = find_environment(root, environment)
        self.faults: list[Fault] = [*self._files.faults, *self._own.faults]
        self._bases: dict[tuple[str, ...], Stack] = {}
        self._profiles: dict[str, Layer] = {}
        if only is None:
            # Faults of a profile that no model lists are told as well.
            for name in self._files.profiles:
                self._profile(name)
        self._environment = self._read(self._own.environment)
        self._overrides = self._layer(self._environment, "overrides")
        self._disabled: list[str] = []
        self._idle: list[str] = []
        self._sound: set[str] = set()
        self._listed: dict[str, tuple[str, ...]] = {}
        self._used: set[str] = set()
        self._context: dict[str, Any] = {}
        self._context_broken: tuple[KeyPath, ...] = ()

    def load(self) -> Catalog:
        """The catalog. ConfigError where its environment cannot be used."""
        settings, merged = self.load_environment()
        self._bases[()] = self._load_base()
        models: list[CatalogModel] = []
        for name in self._own.overlays.keys() - self._files.models.keys():
            self._report_stray(name)
        layers_sound = not self.faults
        for name, path in self._files.models.items():
            if self._only is not None and name not in self._only:
                continue
            overlay, before = self._own.overlays.get(name), len(self.faults)
            model = self._load_model(
                name, self._read(path), self._read(overlay) if overlay else None
            )
            if model is not None:
                models.append(model)
            if len(self.faults) == before:
                self._sound.add(name)
        if settings is None:
            raise ConfigError(self.faults)
        return Catalog(
            settings,
            self._name,
            tuple(models),
            tuple(self._disabled),
            tuple(self.faults),
            merged,
            self._only is None,
            self._unused_profiles(),
            tuple(self._idle),
            frozenset(self._sound),
            layers_sound,
            self._listed,
        )

    def _unused_profiles(self) -> tuple[str, ...]:
        if self._only is not None:
            return ()
        return tuple(path for name, path in self._files.profiles.items() if name not in self._used)

    def _read(self, path: str) -> Document:
        if not (self._root / path).is_file():
            # Told by the search for files already.
            return Document(path, {}, broken=frozenset({()}))
        document, faults = load_document(self._root, path)
        self.faults += faults
        return document

    def _layer(self, document: Document, *prefix: str, own: bool = False) -> Layer:
        """A layer without the keys that are no settings, each a fault where it may not stand."""
        layer = Layer(document, prefix, _NOT_MERGED)
        self.faults += layer.faults
        for key in ("profiles", *CONTEXT_KEYS):
            place = layer.key_place((key,))
            if not place or (own and key == "profiles"):
                continue
            if key == "profiles":
                message = '"profiles" is read from the model\'s own file only; move it there'
            elif key == "name":
                message = '"name" is the file\'s name; remove it, or rename the file'
            else:
                message = f'"{key}" can be named in interpolations and not set; remove it'
            self.faults.append(place.fault(Code.MISPLACED_KEY, message))
        return layer

    def load_environment(self) -> tuple[Environment | None, Merged]:
        """The environment's own settings, None where they have faults."""
        stack = {"name": self._stack}
        merged = (
            Stack()
            .over(Layer(self._environment))
            .resolve(
                {"environment": {"name": self._name}, "stack": stack},
                verbatim=(("defaults",), ("overrides",)),
                itself="environment",
            )
        )
        self.faults += merged.faults
        settings, faults = validate_settings(
            Environment, merged, "an environment", self._own.environment
        )
        self.faults += faults
        values = {k: v for k, v in merged.data.items() if k not in ("defaults", "overrides")}
        self._context = {"environment": {**values, "name": self._name}, "stack": stack}
        self._context_broken = tuple(("environment", *path) for path in merged.broken)
        return settings, merged

    def _load_base(self) -> Stack:
        """What every model inherits before its profiles."""
        layers = []
        if self._files.defaults:
            layers.append(self._layer(self._read(self._files.defaults)))
        layers.append(self._layer(self._environment, "defaults"))
        return Stack().over(*layers).flawed(*self._context_broken)

    def _base_with(self, profiles: tuple[str, ...]) -> Stack:
        """The stack below a model, shared by all models with these profiles."""
        if profiles not in self._bases:
            below = self._base_with(profiles[:-1])
            self._bases[profiles] = below.over(self._profile(profiles[-1]))
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
        stack = self._base_with(profiles).over(self._layer(document, own=True), self._overrides)
        if overlay is not None:
            stack = stack.over(self._layer(overlay))
        if self._last:
            stack = stack.over(*self._last)
        if not known:
            stack = stack.flawed(())
        merged = stack.resolve(
            {**self._context, "name": name}, verbatim=(_CANDIDATE,), literal=_LITERAL
        )
        if merged.data.get("enabled") is False:
            # A model that does not run here may lack what only other environments give.
            self.faults += stack.faults
            self._disabled.append(name)
            if overlay is not None and overlay.data.get("enabled") is not False:
                self._idle.append(overlay.path)
            return None
        settings, faults = validate_settings(Model, merged, "a model", document.path)
        self.faults += [*merged.faults, *faults]
        candidate, candidate_merged = self._load_candidate(name, document.path, stack, merged)
        if settings is None:
            return None
        return CatalogModel(
            name, document.path, settings, merged, candidate, candidate_merged, profiles
        )

    def _load_candidate(
        self, name: str, home: str, stack: Stack, stable: Merged
    ) -> tuple[Model | None, Merged | None]:
        canary = stable.data.get("canary")
        if not isinstance(canary, dict) or not isinstance(canary.get("candidate"), dict):
            return None, None
        layers = candidate_layers(stack)
        for layer in layers:
            for key in ("canary", *_NOT_MERGED):
                if place := layer.key_place((key,)):
                    message = f'"{key}" cannot be set for a candidate alone'
                    self.faults.append(place.fault(Code.MISPLACED_KEY, message))
        full = stack.over(*layers).resolve(
            {**self._context, "name": name}, verbatim=(("canary",),), literal=_LITERAL
        )
        data = {key: value for key, value in full.data.items() if key != "canary"}
        origins = {path: places for path, places in full.origins.items() if path[0] != "canary"}
        merged = Merged(data, origins, full.layers, full.faults, full.broken)
        settings, faults = validate_settings(Model, merged, "a model", home)
        self.faults += [*merged.faults, *faults]
        return settings, merged

    def _resolve_profiles(self, document: Document) -> tuple[tuple[str, ...], bool]:
        """The profiles that a model lists and that exist; False where one of them does not."""
        listed = document.data.get("profiles", [])
        if listed is None or not isinstance(listed, list):
            place = document.value_places[("profiles",)]
            message = "profiles must be a list of names, such as [cpu-small]"
            self.faults.append(place.fault(Code.UNKNOWN_PROFILE, message))
            return (), False
        found: list[str] = []
        for index, name in enumerate(listed):
            message = ""
            if not isinstance(name, str) or name not in self._files.profiles:
                message = (
                    f'no profile is called "{name}"{_nearest(str(name), self._files.profiles)}'
                )
            elif name in found:
                message = f'the profile "{name}" is listed twice; keep one'
            if message:
                place = document.value_places[("profiles", index)]
                self.faults.append(place.fault(Code.UNKNOWN_PROFILE, message))
            else:
                found.append(name)
        self._used.update(found)
        return tuple(found), len(found) == len(listed)

    def _report_stray(self, name: str) -> None:
        hint = _nearest(name, self._files.models)
        message = f'no model is called "{name}"{hint}'
        self.faults.append(Fault(self._own.overlays[name], 1, 1, Code.UNKNOWN_MODEL, message))


def candidate_layers(stack: Stack) -> tuple[Layer, ...]:
    """Each layer's part of `canary.candidate`, in order; a null over it drops the parts below."""
    parts: list[Layer] = []
    for layer in stack.layers:
        data: Any = layer.written
        for key in _CANDIDATE:
            if not isinstance(data, dict) or key not in data:
                break
            data = data[key]
            if data is None:
                parts.clear()
        else:
            if isinstance(data, dict):
                prefix = (*layer.prefix, *_CANDIDATE)
                parts.append(Layer(layer.document, prefix, frozenset({"canary", *_NOT_MERGED})))
    return tuple(parts)


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    if near := get_close_matches(name, list(known), n=1):
        return f'; did you mean "{near[0]}"?'
    return f"; known: {', '.join(known) or 'none'}"
