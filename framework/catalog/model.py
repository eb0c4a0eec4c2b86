"""One environment's catalog as data: its settings, its models, and what was found wrong.

Kept apart from loading, so that checks and reports name these without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from framework.core.diagnostics import Diagnostic, KeyPath, Position
from framework.layers import Merged
from framework.settings.environment import Environment
from framework.settings.model import Model

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
    def origins(self) -> Mapping[KeyPath, tuple[Position, ...]]:
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
    `profiles` are paths by name, `listed_profiles` names by model, disabled ones among them, and
    `idle_overlays` paths of overlays of models that another layer disables. `sound` are the models
    in which no fault was found, and `layers_sound` says that there is none in what they share.
    `disabled_at` is where each disabled model is disabled.
    """

    environment: Environment
    environment_name: str
    models: tuple[CatalogModel, ...]
    disabled: tuple[str, ...]
    diagnostics: tuple[Diagnostic, ...] = ()
    environment_merged: Merged = _NOTHING
    complete: bool = True
    profiles: Mapping[str, str] = field(default_factory=dict)
    idle_overlays: tuple[str, ...] = ()
    sound: frozenset[str] = frozenset()
    layers_sound: bool = False
    listed_profiles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    disabled_at: Mapping[str, Position] = field(default_factory=dict)

    @property
    def unused_profiles(self) -> tuple[str, ...]:
        """Paths of the profiles that no model lists; () where only some models were asked for."""
        if not self.complete:
            return ()
        used = {name for listed in self.listed_profiles.values() for name in listed}
        return tuple(path for name, path in self.profiles.items() if name not in used)

    def environment_position(self, path: KeyPath) -> Position:
        """Where the environment's own file says what is at `path`, or its nearest parent."""
        own = f"environments/{self.environment_name}/environment.yaml"
        return self.environment_merged.origin(path) or Position(own, 1, 1)
