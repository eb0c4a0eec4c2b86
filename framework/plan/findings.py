"""Finds out about environments: each model that is not known yet, and what all of them do.

Kept apart from reading back what was found out before (survey.py), and from the checks, of which
this only decides the order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from framework.catalog import Catalog, CatalogReader, read_catalog
from framework.core.diagnostics import Diagnostic, distinct_diagnostics
from framework.core.errors import ConfigError
from framework.plan.checks import (
    Usage,
    add_usages,
    find_environment_clashes,
    find_shared_diagnostics,
    find_shared_warnings,
    find_warnings,
)
from framework.plan.manifest import ModelPlan, StackPlan
from framework.plan.share import Entry, Share, find_shares
from framework.plan.stack import build_stack
from framework.plan.workers import Workers


@dataclass(frozen=True)
class Findings:
    """Everything about one environment. `plans` and `entries` are of models that were not known,
    these of the sound ones. `bare` is the plan without its models, None where what they share has
    faults."""

    diagnostics: tuple[Diagnostic, ...]
    warnings: tuple[Diagnostic, ...] = ()
    usage: Usage | None = None
    plans: Mapping[str, ModelPlan] = field(default_factory=dict)
    entries: Mapping[str, Entry] = field(default_factory=dict)
    bare: StackPlan | None = None


def find_out(
    root: Path, known: Mapping[str, Mapping[str, Entry]], today: date | None, workers: Workers
) -> dict[str, Findings]:
    """Everything about some environments. `known` are by environment the models that the workers
    leave out; there may be some only where what all models share was read before and has no
    fault."""
    reader = CatalogReader(root)
    shares = workers.gather(lambda part: find_shares(root, part, reader))
    findings = {}
    for environment, entries in known.items():
        try:
            bare = read_catalog(root, environment, only=(), reader=reader)
        except ConfigError as error:
            findings[environment] = Findings(error.diagnostics)
            continue
        of_environment = [share[environment] for share in shares if environment in share]
        findings[environment] = _judge(bare, entries, of_environment, today)
    return findings


def _judge(
    bare: Catalog, known: Mapping[str, Entry], shares: Sequence[Share], today: date | None
) -> Findings:
    """What the models of one environment do together; `bare` is the catalog without them."""
    plans = {name: plan for share in shares for name, plan in share.plans.items()}
    entries = {name: entry for share in shares for name, entry in share.entries.items()}
    every = {**known, **entries}
    whole = _complete(bare, every, shares)
    facts = [entry.facts for entry in known.values() if entry.facts]
    facts += [one for share in shares for one in share.facts]
    found = [*whole.diagnostics, *find_shared_diagnostics(facts, whole, today)]
    diagnostics = distinct_diagnostics(
        [*found, *(diagnostic for share in shares for diagnostic in share.diagnostics)]
    )
    parts = [every[name].usage for name in sorted(every)]
    usage = add_usages(bare.environment_name, parts, complete=not diagnostics)
    shared = None
    if bare.layers_sound:
        shared = build_stack(bare.environment, bare.environment_name, (), ())
    return Findings(diagnostics, tuple(find_warnings(whole, usage)), usage, plans, entries, shared)


def _complete(bare: Catalog, every: Mapping[str, Entry], shares: Iterable[Share]) -> Catalog:
    """What is said of the whole catalog, whoever read its models."""
    disabled = {name for name, entry in every.items() if not entry.facts}
    listed = {name: entry.profiles for name, entry in every.items()}
    idle = {entry.idle_overlay for entry in every.values()} - {""}
    diagnostics = [*bare.diagnostics]
    for share in shares:
        disabled.update(share.disabled)
        listed.update(share.listed_profiles)
        idle.update(share.idle_overlays)
        diagnostics += share.read_diagnostics
    return replace(
        bare,
        complete=True,
        diagnostics=tuple(diagnostics),
        disabled=tuple(sorted(disabled)),
        listed_profiles=listed,
        idle_overlays=tuple(sorted(idle)),
    )


def list_diagnostics(
    root: Path, found: Sequence[Findings], *, together: bool
) -> tuple[Diagnostic, ...]:
    """Every fault and warning of environments; `together` where they are all there are."""
    diagnostics = [diagnostic for one in found for diagnostic in (*one.diagnostics, *one.warnings)]
    if together:
        diagnostics += find_environment_clashes(root)
        usages = [one.usage for one in found]
        if None not in usages:
            diagnostics += find_shared_warnings(usage for usage in usages if usage)
    return distinct_diagnostics(diagnostics)
