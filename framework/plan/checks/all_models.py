"""What is checked over all models of one environment: capacity, clashes, waivers.

Kept apart from the checks of one model, whose facts it adds up: one pass over them, however many.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from framework.catalog import Catalog
from framework.core.diagnostics import Diagnostic
from framework.plan.checks.capacity import find_overcommitment
from framework.plan.checks.clashes import find_clashes
from framework.plan.checks.one_model import ModelFacts
from framework.plan.checks.waivers import find_expired, find_useless


def find_shared_diagnostics(
    facts: Iterable[ModelFacts], catalog: Catalog, today: date | None = None
) -> list[Diagnostic]:
    """What the models break together. `today` None: no waiver is held against a day."""
    listed = sorted(facts, key=lambda one: one.name)
    diagnostics = list(find_overcommitment({one.name: one.needs for one in listed}, catalog))
    diagnostics += find_clashes({one.name: one.claims for one in listed})
    if today is not None:
        diagnostics += [f for one in listed for f in find_expired(one.name, one.waivers, today)]
    if catalog.complete and not catalog.diagnostics:
        # A model that is not here may be the one that a waiver is for.
        folder = f"environments/{catalog.environment_name}/"
        diagnostics += find_useless((held for one in listed for held in one.waivers), folder)
    return diagnostics
