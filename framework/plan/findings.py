"""Finds out about environments: each model that is not known yet, and what all of them do.

Kept apart from reading back what was found out before (survey.py), and from the checks, of which
this only decides the order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from framework.catalog import Catalog, CatalogReader, read_catalog
from framework.errors import ConfigError, Fault, distinct_faults
from framework.plan.checks import (
    Usage,
    add_usages,
    find_environment_clashes,
    find_shared_faults,
    find_shared_warnings,
    find_warnings,
)
from framework.plan.manifest import StackPlan
from framework.plan.share import Entry, Share, find_shares
from framework.plan.stack import build_stack
from framework.plan.survey import Survey
from framework.plan.workers import Workers


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
            findings[environment] = Findings(Survey(None, error.faults), (), None, {}, None)
            continue
        of_environment = [share[environment] for share in shares if environment in share]
        findings[environment] = _judge(bare, entries, of_environment, today)
    return findings


def _judge(
    bare: Catalog, known: Mapping[str, Entry], shares: Iterable[Share], today: date | None
) -> Findings:
    """What the models of one environment do together; `bare` is the catalog without them."""
    shares = list(shares)
    entries = {name: entry for share in shares for name, entry in share.entries.items()}
    checked = [one for share in shares for one in share.checked]
    every = {**known, **entries}
    whole = _complete(bare, every, shares)
    facts = [entry.facts for entry in known.values() if entry.facts]
    facts += [one.facts for one in checked]
    found = [*whole.faults, *find_shared_faults(facts, whole, today)]
    faults = distinct_faults([*found, *(fault for one in checked for fault in one.faults)])
    plans = [entry.plan for entry in known.values() if entry.plan]
    plans += [one.plan for one in checked]
    environment = bare.environment, bare.environment_name
    plan = None if faults else build_stack(*environment, plans, whole.disabled)
    parts = [every[name].usage for name in sorted(every)]
    usage = add_usages(bare.environment_name, parts, complete=not faults)
    warnings = tuple(find_warnings(whole, usage))
    shared = build_stack(*environment, (), ()) if bare.layers_sound else None
    return Findings(Survey(plan, faults), warnings, usage, entries, shared)


def _complete(bare: Catalog, every: Mapping[str, Entry], shares: Iterable[Share]) -> Catalog:
    """What is said of the whole catalog, whoever read its models."""
    disabled = {name for name, entry in every.items() if not entry.plan}
    listed = {name: entry.profiles for name, entry in every.items()}
    idle = {entry.idle_overlay for entry in every.values()} - {""}
    faults = [*bare.faults]
    for share in shares:
        disabled.update(share.disabled)
        listed.update(share.listed_profiles)
        idle.update(share.idle_overlays)
        faults += share.faults
    return replace(
        bare,
        complete=True,
        faults=tuple(faults),
        disabled=tuple(sorted(disabled)),
        listed_profiles=listed,
        idle_overlays=tuple(sorted(idle)),
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
