"""What can be planned of an environment that has faults: the models whose files have none.

Kept apart from the survey, to which an environment is sound or not: deploying a part of one would
be wrong, and only a comparison goes on with it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from framework.core.diagnostics import Code, Diagnostic
from framework.core.errors import ConfigError
from framework.files import find_catalog
from framework.plan.manifest import ModelPlan, StackPlan
from framework.plan.survey import load_plan, read_known

if TYPE_CHECKING:
    from framework.catalog import Catalog


@dataclass(frozen=True)
class PartialPlan:
    """`plan` is None where what all models share has faults; else `unplanned` names the models
    that it lacks. A fault of what is planned, as of a policy or of capacity, is told all the
    same."""

    plan: StackPlan | None
    unplanned: frozenset[str] = frozenset()
    diagnostics: tuple[Diagnostic, ...] = ()


def load_partial(
    root: Path, environment: str, *, only: Collection[str] | None = None
) -> PartialPlan:
    """As `load_plan`, but a fault costs no more than its models. Errors: UnknownNameError."""
    try:
        return PartialPlan(load_plan(root, environment, only=only))
    except ConfigError as error:
        plan, unplanned = _plan_sound(root, environment, only)
        return PartialPlan(plan, unplanned, error.diagnostics)


def _plan_sound(
    root: Path, environment: str, only: Collection[str] | None
) -> tuple[StackPlan | None, frozenset[str]]:
    # Only here: what has no faults is read back without them.
    from framework.catalog import read_catalog
    from framework.plan.stack import build_stack

    known = read_known(root, environment, only)
    names = {name for name in find_catalog(root).models if only is None or name in only}
    if known is not None:
        names -= {*known.disabled, *(model.name for model in known.models)}
    try:
        catalog = read_catalog(root, environment, only=names)
    except ConfigError:
        return None, frozenset()
    broken = _find_broken(catalog, names)
    if broken is None:
        return None, frozenset()
    plans, disabled = _build(catalog, broken), set(catalog.disabled) - broken
    unplanned = names - plans.keys() - disabled
    models, off = [*plans.values()], disabled
    if known is not None:
        models, off = [*known.models, *models], {*known.disabled, *disabled}
    return build_stack(catalog.environment, environment, models, off), frozenset(unplanned)


def _build(catalog: Catalog, broken: Collection[str]) -> dict[str, ModelPlan]:
    """The plans of models without a fault that keeps their manifests from being what they say."""
    from framework.plan.stack import build_checked

    plans = {}
    for model in catalog.models:
        if model.name not in broken:
            plan, _, diagnostics = build_checked(model, catalog)
            if not any(diagnostic.code is Code.BAD_PATCH for diagnostic in diagnostics):
                plans[model.name] = plan
    return plans


def _find_broken(catalog: Catalog, names: Collection[str]) -> set[str] | None:
    """The models that are made from a file with a fault; None where all of them are."""
    environment = f"environments/{catalog.environment_name}"
    found = {diagnostic.model for diagnostic in catalog.diagnostics}
    files = {diagnostic.path for diagnostic in catalog.diagnostics if not diagnostic.model}
    if files & {"catalog/_defaults.yaml", f"{environment}/environment.yaml"}:
        return None
    for name in names:
        profiles = [catalog.profiles[one] for one in catalog.listed_profiles.get(name, ())]
        made_from = {f"catalog/{name}.yaml", f"{environment}/models/{name}.yaml", *profiles}
        if made_from & files:
            found.add(name)
    return found
