"""One side of a comparison: an environment's manifests, and the settings they were made from.

Kept apart from comparing: this decides which code renders which tree, and how little has to be
read for it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from framework.catalog import (
    CatalogModel,
    read_catalog,
    read_environment,
)
from framework.core.diagnostics import Diagnostic, Position
from framework.files import find_catalog, find_environment, load_document
from framework.layers import Merged
from framework.plan import StackPlan, load_plan
from framework.plan.partial import load_partial
from framework.settings.environment import Environment

Manifests = tuple[dict[str, Any], ...]
# Stands for the environment itself, whose Namespace belongs to no model.
ITSELF = ""


@dataclass(frozen=True, eq=False)
class Side:
    """One environment in one tree; `present` is False where the tree has no such environment.

    `manifests` are by model, those of the environment itself under ITSELF. `rebuilt` is what the
    code in hand makes of the tree where other code made the manifests, {} where it cannot read
    it. `prefix` stands before this tree's paths: `main:`. `only` names the models that were looked
    at, None for all. Where there are `faults`, `unplanned` names the models that are not here
    because of them, and where `usable` is False there is nothing to compare at all; `failure` says
    why if it is no fault of a file.
    """

    root: Path
    environment: str
    manifests: Mapping[str, Manifests] = field(default_factory=dict)
    rebuilt: Mapping[str, Manifests] | None = None
    prefix: str = ""
    present: bool = True
    only: frozenset[str] | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    unplanned: frozenset[str] = frozenset()
    usable: bool = True
    failure: str = ""

    @property
    def models(self) -> frozenset[str]:
        """The names of the models that run here."""
        return frozenset(self.manifests) - {ITSELF}

    @property
    def readable(self) -> bool:
        """Whether the code in hand can tell the settings."""
        return self.present and self.rebuilt != {}

    def load_models(self, names: Collection[str]) -> dict[str, CatalogModel]:
        """The settings of some models that run here."""
        if not self.readable or not names:
            return {}
        # Its faults, if there are any, are told already, and none of them is in these models.
        catalog = read_catalog(self.root, self.environment, only=names)
        return {model.name: model for model in catalog.models}

    @cached_property
    def settings(self) -> tuple[Environment | None, Merged]:
        """The environment's own settings, None where they cannot be told."""
        if not self.readable:
            return None, Merged({}, {})
        return read_environment(self.root, self.environment)


def load_side(root: Path, environment: str, *, only: frozenset[str] | None = None) -> Side:
    """An environment as the code in hand renders it. Errors: UnknownNameError, ConfigError."""
    plan = load_plan(root, environment, only=only)
    return Side(root, environment, _list_manifests(plan), only=only)


def load_partial_side(root: Path, environment: str, *, only: frozenset[str] | None = None) -> Side:
    """As `load_side`, without the models that have faults. Errors: UnknownNameError."""
    found = load_partial(root, environment, only=only)
    side = Side(
        root, environment, only=only, diagnostics=found.diagnostics, unplanned=found.unplanned
    )
    if found.plan is None:
        return replace(side, usable=False)
    return replace(side, manifests=_list_manifests(found.plan))


def _list_manifests(plan: StackPlan) -> dict[str, Manifests]:
    models = {model.name: tuple(m.object for m in model.manifests) for model in plan.models}
    return {ITSELF: (plan.namespace.object,), **models}


def find_owner(path: str) -> str:
    """The model whose own file or overlay this is; "" for a file of several models."""
    match path.split("/"):
        case ["catalog", file] if not file.startswith("_"):
            return file.removesuffix(".yaml")
        case ["environments", _, "models", file]:
            return file.removesuffix(".yaml")
    return ""


def list_diagnostics(old: Side, new: Side, names: Collection[str] | None) -> tuple[Diagnostic, ...]:
    """The faults of both sides, without those of models that nobody asked about; what stands on
    both is told as the new one has it."""
    gone = sorted(set(old.diagnostics) - set(new.diagnostics))
    found = [*new.diagnostics, *(replace(one, path=f"{old.prefix}{one.path}") for one in gone)]
    return tuple(diagnostic for diagnostic in found if _concerns(diagnostic, old.prefix, names))


def _concerns(diagnostic: Diagnostic, prefix: str, names: Collection[str] | None) -> bool:
    owner = diagnostic.model or find_owner(diagnostic.path.removeprefix(prefix))
    return names is None or not owner or owner in names


def find_switch(root: Path, environment: str, model: str) -> Position | None:
    """Where a model is said to run or not in an environment: the strongest layer's word."""
    files, own = find_catalog(root), find_environment(root, environment)
    home = files.models.get(model)
    listed = load_document(root, home)[0].data.get("profiles") if home else None
    profiles = [files.profiles.get(str(name)) for name in listed or () if isinstance(listed, list)]
    layers: list[tuple[str | None, tuple[str, ...]]] = [
        (own.overlays.get(model), ()),
        (own.environment, ("overrides",)),
        (home, ()),
        *((profile, ()) for profile in reversed(profiles)),
        (own.environment, ("defaults",)),
        (files.defaults, ()),
    ]
    for path, prefix in layers:
        positions = load_document(root, path)[0].value_positions if path else {}
        if position := positions.get((*prefix, "enabled")):
            return position
    return None
