"""Finds out about one environment: each model that is not known yet, and what all of them do.

Kept apart from reading back what was found out before (survey.py), and from the checks, of which
this only decides the order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import NamedTuple

from framework.catalog import Catalog, CatalogModel, CatalogReader, read_catalog
from framework.errors import ConfigError, Fault, distinct_faults
from framework.plan.checks import (
    ModelFacts,
    Usage,
    add_usages,
    build_usage,
    find_environment_clashes,
    find_shared_faults,
    find_shared_warnings,
    find_warnings,
)
from framework.plan.manifest import ModelPlan, StackPlan
from framework.plan.stack import build_checked, build_stack
from framework.plan.survey import Survey
from framework.sources import find_catalog


@dataclass(frozen=True)
class Entry:
    """What is known of one sound model: its plan and its facts, None where it is disabled, its
    part in the usage of files, the profiles it lists, and an overlay that changes nothing."""

    plan: ModelPlan | None
    facts: ModelFacts | None
    usage: Usage
    profiles: tuple[str, ...]
    idle_overlay: str = ""


@dataclass(frozen=True)
class Findings:
    """Everything about one environment; `entries` are those of sound models that are new. `bare` is
    the plan without its models, None where what they share has faults."""

    survey: Survey
    warnings: tuple[Fault, ...]
    usage: Usage | None
    entries: Mapping[str, Entry]
    bare: StackPlan | None


def find_out(
    root: Path,
    environment: str,
    known: Mapping[str, Entry],
    today: date | None,
    reader: CatalogReader,
) -> Findings:
    """Everything about one environment. `known` are models to be left out of the reading; there
    may be some only where what all models share was read before and has no fault."""
    only = find_catalog(root).models.keys() - known.keys() if known else None
    try:
        catalog = read_catalog(root, environment, only=only, reader=reader)
    except ConfigError as error:
        return Findings(Survey(None, error.faults), (), None, {}, None)
    checked = [_Checked(model, *build_checked(model, catalog)) for model in catalog.models]
    entries = {**_disabled_entries(catalog), **_sound_entries(checked, catalog)}
    every = {**known, **entries}
    whole = _with_known(catalog, every) if known else catalog
    facts = [entry.facts for entry in known.values() if entry.facts]
    facts += [one.facts for one in checked]
    found = [*catalog.faults, *find_shared_faults(facts, whole, today)]
    faults = distinct_faults([*found, *(fault for one in checked for fault in one.faults)])
    plans = [entry.plan for entry in known.values() if entry.plan]
    plans += [one.plan for one in checked]
    plan = None if faults else build_stack(whole.environment, environment, plans, whole.disabled)
    parts = [entry.usage for entry in every.values()]
    usage = add_usages(environment, parts, complete=not faults)
    warnings = tuple(find_warnings(whole, usage))
    bare = build_stack(catalog.environment, environment, (), ()) if catalog.layers_sound else None
    return Findings(Survey(plan, faults), warnings, usage, entries, bare)


class _Checked(NamedTuple):
    model: CatalogModel
    plan: ModelPlan
    facts: ModelFacts
    faults: list[Fault]


def _sound_entries(checked: Iterable[_Checked], catalog: Catalog) -> dict[str, Entry]:
    entries = {}
    for model, plan, facts, faults in checked:
        if model.name in catalog.sound and not faults:
            alone = replace(catalog, models=(model,), faults=())
            usage = build_usage(alone, (facts,))
            entries[model.name] = Entry(plan, facts, usage, model.profiles)
    return entries


def _disabled_entries(catalog: Catalog) -> dict[str, Entry]:
    """Of disabled models; which profiles they list is known to the catalog alone."""
    nothing = build_usage(replace(catalog, models=(), faults=()), ())
    idle = {Path(path).stem: path for path in catalog.idle_overlays}
    return {
        name: Entry(None, None, nothing, catalog.listed_profiles[name], idle.get(name, ""))
        for name in catalog.disabled
        if name in catalog.sound
    }


def _with_known(catalog: Catalog, every: Mapping[str, Entry]) -> Catalog:
    """The catalog as if all its models had been read now."""
    listed = {name: entry.profiles for name, entry in every.items()}
    idle = {entry.idle_overlay for entry in every.values()} - {""}
    return replace(
        catalog,
        complete=True,
        disabled=tuple(sorted({*catalog.disabled, *(n for n, e in every.items() if not e.plan)})),
        listed_profiles={**catalog.listed_profiles, **listed},
        idle_overlays=tuple(sorted({*catalog.idle_overlays, *idle})),
    )


def list_faults(root: Path, found: Sequence[Findings], *, together: bool) -> tuple[Fault, ...]:
    """Every fault and warning of environments; `together` where they are all there are."""
    faults = [fault for one in found for fault in (*one.survey.faults, *one.warnings)]
    if together:
        faults += find_environment_clashes(root)
        usages = [one.usage for one in found]
        if None not in usages:
            faults += find_shared_warnings(usage for usage in usages if usage)
    return distinct_faults(faults)
