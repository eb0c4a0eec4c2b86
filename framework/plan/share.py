"""Finds out about some models of an environment, each by itself.

Kept apart from what all of them do together (findings.py), which needs every share, so that
several processes can each have one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from framework.catalog import Catalog, CatalogModel, CatalogReader, read_catalog
from framework.errors import ConfigError, Fault
from framework.plan.checks import ModelFacts, Usage, build_usage
from framework.plan.manifest import ModelPlan
from framework.plan.stack import build_checked


@dataclass(frozen=True)
class Entry:
    """What is known of one sound model: its plan and its facts, None where it is disabled, its
    part in the usage of files, the profiles it lists, and an overlay that changes nothing."""

    plan: ModelPlan | None
    facts: ModelFacts | None
    usage: Usage
    profiles: tuple[str, ...]
    idle_overlay: str = ""


class Checked(NamedTuple):
    """One model that has settings, and every fault of it alone."""

    plan: ModelPlan
    facts: ModelFacts
    faults: list[Fault]


@dataclass(frozen=True)
class Share:
    """What was found out about some models; `entries` are those of the sound ones, and `faults`
    what reading them found wrong, also in what all models share."""

    checked: tuple[Checked, ...]
    entries: Mapping[str, Entry]
    faults: tuple[Fault, ...]
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
    checked = {model.name: Checked(*build_checked(model, catalog)) for model in catalog.models}
    sound = [(m, checked[m.name]) for m in catalog.models if m.name in catalog.sound]
    return Share(
        checked=tuple(checked.values()),
        entries={**_disabled_entries(catalog), **_sound_entries(sound, catalog)},
        faults=catalog.faults,
        disabled=catalog.disabled,
        listed_profiles=catalog.listed_profiles,
        idle_overlays=catalog.idle_overlays,
    )


def _sound_entries(
    models: Iterable[tuple[CatalogModel, Checked]], catalog: Catalog
) -> dict[str, Entry]:
    entries = {}
    for model, (plan, facts, faults) in models:
        if not faults:
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
