"""Builds the plans of models from their settings. Pure: the same settings give the same plan.

This module checks nothing. Plans for users come from `PlanStore`, which also runs the checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from framework.catalog import CatalogModel
from framework.core.diagnostics import Diagnostic
from framework.core.drift_rules import AcceptRule, Injector
from framework.core.rolling_update import resolve_budget, worst_case_seconds
from framework.core.stack import Stack
from framework.kinds.kind import TrackInput
from framework.kinds.namespace import build_namespace
from framework.kinds.naming import Track, track_name
from framework.kinds.registry import build_manifests
from framework.layers import Merged
from framework.plan.interpolated import write_numbers_as_text
from framework.plan.manifest import ClusterTarget, ModelPlan, StackPlan, TrackPlan
from framework.plan.patch import patch_plan
from framework.plan.replicas import replica_range, resolve_replicas
from framework.plan.startup import count_seconds, list_startup_steps
from framework.settings.environment import Environment
from framework.settings.model import Model


def build_stack(stack: Stack, environment: Environment, merged: Merged) -> StackPlan:
    """Builds the part of a stack's plan that all models share: the plan without models.

    `merged` has the positions of the settings.
    """
    cluster = environment.cluster
    return StackPlan(
        stack=stack,
        cluster=ClusterTarget(
            cluster.kubeconfig_path, cluster.context, cluster.local, cluster.kubernetes_version
        ),
        protect=environment.protect,
        namespace=build_namespace(environment.namespace, stack.environment),
        models=(),
        accept=tuple(
            AcceptRule(
                rule.reason,
                kind=rule.kind or "",
                model=rule.model or "",
                object=rule.object or "",
                path=rule.path or "",
                change=rule.change or "",
                danger=rule.danger or "",
                live=rule.live,
                until=date.fromisoformat(rule.until) if rule.until else None,
                position=merged.origin(("drift", "accept", index)),
            )
            for index, rule in enumerate(environment.drift.accept)
        ),
        injectors=tuple(
            Injector(rule.manager or "", rule.path or "", rule.kind or "", rule.reason)
            for rule in environment.drift.injectors
        ),
    )


def build_model(model: CatalogModel, environment: Environment) -> ModelPlan:
    """Builds the manifests of one model, and applies those of its patches that have no errors."""
    return build_patched_model(write_numbers_as_text(model), environment)[0]


def build_patched_model(
    model: CatalogModel, environment: Environment
) -> tuple[ModelPlan, list[Diagnostic]]:
    """Builds the plan of one model, and returns the errors in its patches with it.

    `model` has its interpolated numbers as text already (`write_numbers_as_text`).
    """
    plan, errors = patch_plan(build_unpatched_model(model, environment), model)
    return _add_forecasts(plan, model), errors


def build_unpatched_model(model: CatalogModel, environment: Environment) -> ModelPlan:
    """Builds the manifests of one model from its settings, without patches and forecasts."""
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
            candidate=model.candidate if track.track == "stable" else None,
            cluster_scoped_kinds=environment.policy.cluster_scoped_kinds,
        )
        for track in tracks
    ]
    previous = model.settings.previous_name or ""
    return ModelPlan(
        name=model.name,
        labels=dict(model.labels),
        tracks=tuple(tracks),
        manifests=tuple(build_manifests(inputs)),
        image_position=model.position(("image", "tag")).short,
        profiles=model.profiles,
        previous_name=previous,
        renamed_at=str(model.position(("previousName",))) if previous else "",
    )


def _build_track(track: Track, settings: Model, model: CatalogModel) -> TrackPlan:
    rollout = settings.rollout
    recreate = rollout.strategy == "Recreate"
    replicas = resolve_replicas(model, track)
    budget = resolve_budget(replicas, rollout.max_surge, rollout.max_unavailable, recreate=recreate)
    autoscaled = track == "stable" and settings.autoscaling is not None
    return TrackPlan(
        track=track,
        deployment=track_name(model.name, track),
        image=settings.image.reference,
        budget=budget,
        fewest_replicas=replica_range(settings).fewest if autoscaled else replicas,
        autoscaled=autoscaled,
        recreate=recreate,
    )


def _add_forecasts(plan: ModelPlan, model: CatalogModel) -> ModelPlan:
    """Adds the times of each rollout, which depend on the Pods with all their patches."""
    tracks = []
    manifests = list(plan.manifests)
    for track in plan.tracks:
        settings, _ = model.tracks[track.track]
        for index, manifest in enumerate(manifests):
            if (manifest.kind, manifest.name) == ("Deployment", track.deployment):
                pod = manifest.object["spec"]["template"]["spec"]
                track = _forecast(track, settings, pod)
                manifests[index] = replace(manifest, timeout_seconds=track.seconds)
        tracks.append(track)
    return replace(plan, tracks=tuple(tracks), manifests=tuple(manifests))


def _forecast(track: TrackPlan, settings: Model, pod: Mapping[str, Any]) -> TrackPlan:
    startup = count_seconds(list_startup_steps(pod, settings.startup_seconds))
    budget, rollout = track.budget, settings.rollout
    goes_dark = budget.replicas > 0 and budget.minimum_available == 0
    # The new Pods of Recreate start when the old ones are gone. So does the new Pod of a budget
    # that takes all Pods away without a surge, where it needs what they hold, such as a GPU.
    waits = track.recreate or (goes_dark and budget.surge == 0)
    stopping = settings.termination_grace_period_seconds if waits else 0
    seconds = worst_case_seconds(
        budget,
        startup_seconds=startup + stopping,
        min_ready_seconds=rollout.min_ready_seconds,
        progress_deadline_seconds=rollout.progress_deadline_seconds,
    )
    # While a canary's Pods are replaced, those of the stable track serve.
    down = startup + stopping if goes_dark and track.track == "stable" else 0
    return replace(track, startup_seconds=startup, seconds=seconds, down_seconds=down)
