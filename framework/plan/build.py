"""Builds the plans of models from their settings. Pure: the same settings give the same plan.

This module checks nothing. Plans for users come from `PlanStore`, which also runs the checks.
"""

from __future__ import annotations

from framework.catalog import CatalogModel
from framework.core.rolling_update import resolve_budget, worst_case_seconds
from framework.core.stack import Stack
from framework.kinds.kind import TrackInput
from framework.kinds.namespace import build_namespace
from framework.kinds.naming import Track, track_name
from framework.kinds.registry import build_manifests
from framework.plan.manifest import ClusterTarget, ModelPlan, StackPlan, TrackPlan
from framework.plan.patch import patch_plan
from framework.plan.replicas import replica_range, resolve_replicas
from framework.settings.environment import Environment
from framework.settings.model import Model


def build_stack(stack: Stack, environment: Environment) -> StackPlan:
    """Builds the part of a stack's plan that all models share: the plan without models."""
    cluster = environment.cluster
    return StackPlan(
        stack=stack,
        cluster=ClusterTarget(cluster.kubeconfig_path, cluster.context, cluster.local),
        protect=environment.protect,
        namespace=build_namespace(environment.namespace, stack.environment),
        models=(),
    )


def build_model(model: CatalogModel, environment: Environment) -> ModelPlan:
    """Builds the manifests of one model, and applies those of its patches that have no errors."""
    return patch_plan(build_unpatched_model(model, environment), model)[0]


def build_unpatched_model(model: CatalogModel, environment: Environment) -> ModelPlan:
    """Builds the manifests of one model from its settings, without its patches."""
    settings: dict[Track, Model] = {"stable": model.settings}
    if model.candidate:
        settings["canary"] = model.candidate
    tracks = [_build_track(track, settings[track], model) for track in settings]
    inputs = [
        TrackInput(
            model=model.name,
            namespace=environment.namespace,
            track=track.track,
            settings=settings[track.track],
            replicas=track.budget.replicas,
            timeout_seconds=track.seconds,
            candidate=model.candidate if track.track == "stable" else None,
        )
        for track in tracks
    ]
    return ModelPlan(
        name=model.name,
        labels=dict(model.labels),
        tracks=tuple(tracks),
        manifests=tuple(build_manifests(inputs)),
        image_position=model.position(("image", "tag")).short,
        profiles=model.profiles,
    )


def _build_track(track: Track, settings: Model, model: CatalogModel) -> TrackPlan:
    rollout = settings.rollout
    budget = resolve_budget(
        resolve_replicas(model, track), rollout.max_surge, rollout.max_unavailable
    )
    seconds = worst_case_seconds(
        budget,
        startup_seconds=settings.startup_seconds,
        min_ready_seconds=rollout.min_ready_seconds,
        progress_deadline_seconds=rollout.progress_deadline_seconds,
    )
    autoscaled = track == "stable" and settings.autoscaling is not None
    return TrackPlan(
        track=track,
        deployment=track_name(model.name, track),
        image=settings.image.reference,
        budget=budget,
        seconds=seconds,
        fewest_replicas=replica_range(settings).fewest if autoscaled else budget.replicas,
        autoscaled=autoscaled,
    )
