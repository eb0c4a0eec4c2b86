"""The models of one stack as loaded: their settings, and the diagnostics of their files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from framework.core.diagnostics import Diagnostic, KeyPath, Position
from framework.core.field_paths import get_at
from framework.core.stack import Stack
from framework.files import environment_path
from framework.layers import Merged
from framework.settings.environment import Environment
from framework.settings.model import Model


@dataclass(frozen=True, eq=False)
class CatalogModel:
    """One model in one environment. `home` is the path of its own file, which lists its `profiles`.

    `settings.canary.candidate` is as written in the files. `candidate` has the settings that the
    canary runs with: the stable settings with the candidate merged over them, without `canary`. It
    is None without a canary.
    """

    name: str
    home: str
    settings: Model
    merged: Merged
    candidate: Model | None = None
    candidate_merged: Merged | None = None
    profiles: tuple[str, ...] = ()

    @property
    def origins(self) -> Mapping[KeyPath, tuple[Position, ...]]:
        """The positions that set each leaf, list and mapping, oldest first."""
        return self.merged.origins

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels by which `MODEL=label=value` selects: the model's own, and `owner`."""
        return {"owner": self.settings.owner, **self.settings.labels}

    @property
    def tracks(self) -> Mapping[str, tuple[Model, Merged]]:
        """The settings of the "stable" track, and of the "canary" if the model has one."""
        tracks = {"stable": (self.settings, self.merged)}
        if self.candidate and self.candidate_merged:
            tracks["canary"] = (self.candidate, self.candidate_merged)
        return tracks

    def sets_itself(self, path: KeyPath, merged: Merged | None = None) -> bool:
        """Returns True where a file of this model alone, or `--set`, gives a setting its value.

        A layer that all models share may give it the same value.
        """
        merged = merged or self.merged
        value = get_at(merged.data, path, None)
        # The paths end differently for an overlay of an environment and for one of a stack, so only
        # the ends are compared.
        own = (self.home, f"/models/{self.name}.yaml", "--set")
        return any(
            layer.document.path.endswith(own) and get_at(layer.data, path, None) == value
            for layer in merged.layers
        )

    def position(self, path: KeyPath, merged: Merged | None = None) -> Position:
        """Returns where a setting, or else its nearest parent, was last written.

        `merged` is `candidate_merged` for a setting of the canary. If no file has the setting or a
        parent, this is the first key of the model's own file.
        """
        return (merged or self.merged).origin(path) or self.merged.start_of(self.home)

    def locate(self, path: KeyPath, merged: Merged, *, at_key: bool) -> tuple[Position, ...]:
        """Returns the position of a value; for `at_key`, those of its key in each layer with it."""
        positions = merged.key_positions(path) if at_key else ()
        return positions or (self.position(path, merged),)


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """One model after its files were loaded, whether it runs here or not.

    `model` is None where the model is disabled or its settings are not valid. `diagnostics` are
    those of its own files and of its merged settings, not those of the files it shares with other
    models. `profiles` are the listed ones that exist. `disabled_at` is the position of the
    `enabled: false` that disables it, and `idle_overlay` the first key of an overlay that changes
    nothing because another layer disables the model.
    """

    name: str
    model: CatalogModel | None
    diagnostics: tuple[Diagnostic, ...]
    profiles: tuple[str, ...]
    disabled: bool = False
    disabled_at: Position | None = None
    idle_overlay: Position | None = None


@dataclass(frozen=True, eq=False)
class Catalog:
    """The settings of one environment, and the requested models, sorted by name.

    `shared_diagnostics` are about files that every model is merged from, `profile_diagnostics`
    about each profile. `complete` is False where only some models were requested.
    """

    stack: Stack
    environment: Environment
    environment_merged: Merged
    loaded: tuple[LoadedModel, ...]
    shared_diagnostics: tuple[Diagnostic, ...]
    profile_diagnostics: Mapping[str, tuple[Diagnostic, ...]]
    complete: bool = True

    @property
    def models(self) -> tuple[CatalogModel, ...]:
        """The models that run here and whose settings are valid.

        A model with diagnostics may be among them, so that the same run also reports what the
        checks that compare models find.
        """
        return tuple(loaded.model for loaded in self.loaded if loaded.model)

    @property
    def disabled(self) -> Mapping[str, Position | None]:
        """The models that do not run here, and the position that disables each."""
        return {loaded.name: loaded.disabled_at for loaded in self.loaded if loaded.disabled}

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Every error in the files of these models."""
        return (
            *self.shared_diagnostics,
            *collect_profile_diagnostics(
                self.profile_diagnostics,
                None if self.complete else [loaded.profiles for loaded in self.loaded],
            ),
            *(diagnostic for loaded in self.loaded for diagnostic in loaded.diagnostics),
        )

    def environment_position(self, path: KeyPath) -> Position:
        """Returns where environment.yaml sets `path` or its nearest parent."""
        home = environment_path(self.stack.environment)
        merged = self.environment_merged
        return merged.origin(path) or merged.start_of(home)


def collect_profile_diagnostics(
    by_profile: Mapping[str, tuple[Diagnostic, ...]], lists: Iterable[tuple[str, ...]] | None
) -> Iterator[Diagnostic]:
    """Yields the diagnostics of the profiles in these lists; of all profiles for None.

    A command that is narrowed to some models must not fail because of a profile that none of them
    uses. Where all models are loaded, an error in a profile that no model lists counts too.
    """
    used = None if lists is None else {name for names in lists for name in names}
    for name, diagnostics in by_profile.items():
        if used is None or name in used:
            yield from diagnostics
