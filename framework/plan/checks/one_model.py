"""Everything that is checked of one model, and what of it counts when all are checked together.

Kept apart from the checks over all models, so that a model's part of them is small plain data: it
can be kept, and handed between processes, without the model's settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from framework.catalog import Catalog, CatalogModel
from framework.core.diagnostics import Diagnostic
from framework.plan.checks.capacity import find_peak_diagnostics, resolve_needs
from framework.plan.checks.clashes import Claim, list_claims
from framework.plan.checks.policy import find_broken_rules
from framework.plan.checks.rollout import find_rollout_diagnostics
from framework.plan.checks.tracks import list_tracks
from framework.plan.checks.waivers import HeldWaiver, resolve_waivers
from framework.plan.manifest import ModelPlan
from framework.settings.messages import redact_diagnostic


@dataclass(frozen=True)
class ModelFacts:
    """One model's part in the checks over all: needs at rest, names and routes, waivers."""

    name: str
    needs: Mapping[str, int]
    claims: tuple[Claim, ...]
    waivers: tuple[HeldWaiver, ...]


def check_model(
    model: CatalogModel, plan: ModelPlan, catalog: Catalog
) -> tuple[list[Diagnostic], ModelFacts]:
    """Every fault of a model by itself, whatever the day, and its facts; `plan` is its own."""
    environment, tracks = catalog.environment, list_tracks(model, plan)
    diagnostics, held = resolve_waivers(model, find_broken_rules(tracks, catalog))
    for track in tracks:
        diagnostics += find_rollout_diagnostics(track, environment.cluster)
    diagnostics += find_peak_diagnostics(tracks, catalog)
    for track in tracks:
        diagnostics = [redact_diagnostic(diagnostic, track.merged) for diagnostic in diagnostics]
    needs = resolve_needs(tracks, environment.capacity)
    return diagnostics, ModelFacts(model.name, needs, list_claims(model, plan), held)
