"""Finds out about some models of an environment, each by itself.

Kept apart from what all of them do together (findings.py), which needs every share, so that
several processes can each have one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from framework.catalog import Catalog, CatalogModel, CatalogReader, read_catalog
from framework.core.diagnostics import Diagnostic
from framework.core.errors import ConfigError
from framework.plan.checks import ModelFacts, Usage, build_usage
from framework.plan.manifest import ModelPlan
from framework.plan.stack import build_checked


@dataclass(frozen=True)
class Entry:
    """What the checks know of one sound model: its facts, None where it is disabled, its part in
    the usage of files, the profiles it lists, and an overlay that changes nothing."""

    facts: ModelFacts | None
    usage: Usage
    profiles: tuple[str, ...]
    idle_overlay: str = ""


@dataclass(frozen=True)
class Share:
    """What was found out about some models. `plans` and `facts` are of all that have settings,
    `entries` of the sound ones. `read_faults` is what reading found wrong, also in what all models
    share, `faults` what each model breaks by itself."""

    plans: Mapping[str, ModelPlan]
    facts: tuple[ModelFacts, ...]
    entries: Mapping[str, Entry]
    read_diagnostics: tuple[Diagnostic, ...]
    diagnostics: tuple[Diagnostic, ...]
    disabled: tuple[str, ...]
    listed_profiles: Mapping[str, tuple[str, ...]]
    idle_overlays: tuple[str, ...]


def find_shares(
    root: Path, models: Mapping[str, Collection[str]], reader: CatalogReader | None = None
) -> dict[str, Share]:
    """The shares of some models by environment, without environments that cannot be used."""
    reader = reader or CatalogReader(root)
    shares = {}
    for environment, names in models.items():
        try:
            shares[environment] = _find_share(root, environment, names, reader)
        except ConfigError:
            continue
    return shares


def _find_share(
    root: Path, environment: str, names: Collection[str], reader: CatalogReader
) -> Share:
    catalog = read_catalog(root, environment, only=names, reader=reader)
    plans, facts, diagnostics, entries = {}, [], [], _disabled_entries(catalog)
    for model in catalog.models:
        plan, fact, of_model = build_checked(model, catalog)
        plans[model.name] = plan
        facts.append(fact)
        diagnostics += of_model
        if model.name in catalog.sound and not of_model:
            entries[model.name] = _sound_entry(model, fact, catalog)
    return Share(
        plans=plans,
        facts=tuple(facts),
        entries=entries,
        read_diagnostics=catalog.diagnostics,
        diagnostics=tuple(diagnostics),
        disabled=catalog.disabled,
        listed_profiles=catalog.listed_profiles,
        idle_overlays=catalog.idle_overlays,
    )


def _sound_entry(model: CatalogModel, facts: ModelFacts, catalog: Catalog) -> Entry:
    alone = replace(catalog, models=(model,), diagnostics=())
    return Entry(facts, build_usage(alone, (facts,)), model.profiles)


def _disabled_entries(catalog: Catalog) -> dict[str, Entry]:
    """Of disabled models; which profiles they list is known to the catalog alone."""
    nothing = build_usage(replace(catalog, models=(), diagnostics=()), ())
    idle = {Path(path).stem: path for path in catalog.idle_overlays}
    return {
        name: Entry(None, nothing, catalog.listed_profiles[name], idle.get(name, ""))
        for name in catalog.disabled
        if name in catalog.sound
    }
