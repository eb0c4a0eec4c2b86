"""Builds the plan of one stack from the catalog: pure, ordered, and refused when it cannot work.

Kept apart from the manifests' shapes: this decides which objects a model has and how many Pods.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from framework.catalog import Catalog, CatalogModel
from framework.core.diagnostics import Diagnostic, distinct_diagnostics
from framework.core.errors import ConfigError, FrameworkError
from framework.core.rolling_update import resolve_budget, resolve_canary_size, worst_case_seconds
from framework.core.stack import Stack
from framework.kinds import build_manifests
from framework.kinds.kind import TrackInput
from framework.kinds.namespace import build_namespace
from framework.kinds.naming import Track, track_name
from framework.plan.checks import ModelFacts, check_model, find_position, find_shared_diagnostics
from framework.plan.manifest import ClusterTarget, ModelPlan, StackPlan, TrackPlan
from framework.plan.patch import patch_plan
from framework.settings.environment import Environment
from framework.settings.model import Model

# What `build_model` may meet in settings that were never checked as a whole; pydantic's own error
# is a ValueError.
UNPLANNABLE = (FrameworkError, AssertionError, AttributeError, KeyError, TypeError, ValueError)


@dataclass(frozen=True)
class CheckedCatalog:
    """The plan and the facts of every model that has settings, and every fault, sorted."""

    models: tuple[ModelPlan, ...]
    facts: tuple[ModelFacts, ...]
    diagnostics: tuple[Diagnostic, ...]


def check_catalog(catalog: Catalog, *, today: date | None = None) -> CheckedCatalog:
    """Build every model and check it, by itself and with the others; the catalog's own faults are
    among those found."""
    diagnostics, models, facts = [*catalog.diagnostics], [], []
    for model in catalog.models:
        plan, fact, of_model = build_checked(model, catalog)
        models.append(plan)
        facts.append(fact)
        diagnostics += of_model
    diagnostics += find_shared_diagnostics(facts, catalog, today)
    return CheckedCatalog(tuple(models), tuple(facts), distinct_diagnostics(diagnostics))


def build_checked(
    model: CatalogModel, catalog: Catalog
) -> tuple[ModelPlan, ModelFacts, list[Diagnostic]]:
    """One model's plan, its part in the checks over all, and every fault of it alone."""
    plan, of_patch = patch_plan(_build_unpatched(model, catalog.environment), model)
    diagnostics, facts = check_model(model, plan, catalog)
    return plan, facts, [*of_patch, *diagnostics]


def build_plan(catalog: Catalog, *, today: date | None = None) -> StackPlan:
    """Everything the stack is made of. Errors: ConfigError with every fault of the catalog, and
    what cannot work of the models that have none."""
    checked = check_catalog(catalog, today=today)
    if checked.diagnostics:
        raise ConfigError(checked.diagnostics)
    return build_stack(
        catalog.environment, catalog.environment_name, checked.models, catalog.disabled
    )


def build_stack(
    environment: Environment, name: str, models: Iterable[ModelPlan], disabled: Iterable[str]
) -> StackPlan:
    """The plan of the stack called as its environment, of models that were planned already."""
    cluster = environment.cluster
    return StackPlan(
        stack=Stack.of(name),
        cluster=ClusterTarget(cluster.kubeconfig_path, cluster.context, cluster.local),
        protect=environment.protect,
        namespace=build_namespace(environment.namespace, name),
        models=tuple(sorted(models, key=lambda model: model.name)),
        disabled=tuple(sorted(disabled)),
    )


def build_model(model: CatalogModel, environment: Environment) -> ModelPlan:
    """Everything one model is made of; what cannot work is not looked for."""
    return patch_plan(_build_unpatched(model, environment), model)[0]


def _build_unpatched(model: CatalogModel, environment: Environment) -> ModelPlan:
    settings: dict[Track, Model] = {"stable": model.settings}
    if model.candidate:
        settings["canary"] = model.candidate
    tracks = [_build_track(model.name, track, settings[track], model) for track in settings]
    inputs = [
        TrackInput(
            model=model.name,
            namespace=environment.namespace,
            track=track.track,
            settings=settings[track.track],
            replicas=track.budget.replicas,
            timeout_seconds=track.seconds,
        )
        for track in tracks
    ]
    return ModelPlan(
        name=model.name,
        labels=dict(model.labels),
        tracks=tuple(tracks),
        manifests=tuple(build_manifests(inputs)),
        image_position=find_position(model, ("image", "tag")).short,
        profiles=model.profiles,
    )


def _build_track(name: str, track: Track, settings: Model, model: CatalogModel) -> TrackPlan:
    rollout = settings.rollout
    replicas = resolve_replicas(model, track)
    budget = resolve_budget(replicas, rollout.max_surge, rollout.max_unavailable)
    seconds = worst_case_seconds(
        budget,
        startup_seconds=settings.startup_seconds,
        min_ready_seconds=rollout.min_ready_seconds,
        progress_deadline_seconds=rollout.progress_deadline_seconds,
    )
    deployment = track_name(name, track)
    scaled = track == "stable" and settings.autoscaling is not None
    return TrackPlan(track, deployment, settings.image.reference, budget, seconds, scaled)


def resolve_replicas(model: CatalogModel, track: Track) -> int:
    """Pods of one track: with an autoscaler the most it may make, and `within` a canary takes its
    Pods from the stable track."""
    settings = model.settings
    scaling = settings.autoscaling
    total = scaling.max_replicas if scaling else settings.replicas
    # A percentage is one of the Pods that are there for certain.
    canary = resolve_canary_size(
        settings.canary.size, scaling.min_replicas if scaling else settings.replicas
    )
    if track == "canary":
        return canary
    within = model.candidate is not None and settings.canary.mode == "within"
    # A canary that leaves no stable Pod is a fault; until it is told there are none, not minus one.
    return max(0, total - canary) if within else total
