"""Builds the plan of one stack from the catalog: pure, ordered, and refused when it cannot work.

Kept apart from the manifests' shapes: this decides which objects a model has and how many Pods.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from framework.catalog import Catalog, CatalogModel, read_catalog
from framework.errors import ConfigError
from framework.plan import objects
from framework.plan.checks import find_faults, find_place
from framework.plan.manifest import ClusterTarget, Manifest, ModelPlan, StackPlan, TrackPlan
from framework.plan.names import Track, track_name
from framework.rollout import resolve_budget, resolve_canary_size, worst_case_seconds
from framework.schema.model import Model


def load_plan(root: Path, stack: str, *, only: Collection[str] | None = None) -> StackPlan:
    """The plan of a stack. Errors: UnknownNameError, ConfigError with every fault found.

    A stack is an environment of the same name; whatever maps several stacks to one environment
    belongs here. `only` names the models to plan; no file of another one is read.
    """
    return build_plan(read_catalog(root, stack, only=only), stack)


def build_plan(catalog: Catalog, stack: str) -> StackPlan:
    """Everything the stack is made of. Errors: ConfigError with every fault of the catalog, and
    what cannot work of the models that have none."""
    faults = [
        *catalog.faults,
        *(f for model in catalog.models for f in find_faults(model, catalog.environment)),
    ]
    if faults:
        raise ConfigError(faults)
    environment = catalog.environment
    cluster = environment.cluster
    namespace = objects.build_namespace(environment.namespace, catalog.environment_name)
    return StackPlan(
        stack=stack,
        environment=catalog.environment_name,
        cluster=ClusterTarget(cluster.kubeconfig_path, cluster.context, cluster.local),
        protect=environment.protect,
        namespace=Manifest(environment.namespace, namespace),
        models=tuple(_build_model(model, environment.namespace) for model in catalog.models),
        disabled=catalog.disabled,
    )


def _build_model(model: CatalogModel, namespace: str) -> ModelPlan:
    name, settings = model.name, model.settings
    tracks = [_build_track(name, "stable", settings, model)]
    manifests = _build_shared(name, settings, namespace)
    manifests += _build_track_manifests(name, tracks[0], settings, namespace)
    if model.candidate:
        tracks.append(_build_track(name, "canary", model.candidate, model))
        manifests += _build_track_manifests(name, tracks[1], model.candidate, namespace)
    if settings.autoscaling:
        autoscaler = objects.build_autoscaler(name, settings, namespace, settings.autoscaling)
        manifests.append(Manifest(name, autoscaler))
    return ModelPlan(
        name=name,
        labels=dict(model.labels),
        tracks=tuple(tracks),
        manifests=tuple(manifests),
        image_place=find_place(model, "image.tag").short,
    )


def _build_shared(name: str, settings: Model, namespace: str) -> list[Manifest]:
    manifests = []
    if settings.service_account.name is None:
        manifests.append(objects.build_service_account(name, settings, namespace))
    if settings.service.enabled:
        manifests.append(objects.build_service(name, settings, namespace))
    if settings.disruption_budget:
        manifests.append(objects.build_disruption_budget(name, settings, namespace))
    if settings.ingress:
        manifests.append(objects.build_ingress(name, settings, namespace, settings.ingress))
    return [Manifest(name, manifest) for manifest in manifests]


def _build_track_manifests(
    model: str, track: TrackPlan, settings: Model, namespace: str
) -> list[Manifest]:
    manifests = []
    config = objects.config_map_name(track.deployment, settings)
    if config and settings.config:
        data = objects.build_config_map(model, settings, namespace, config, settings.config.files)
        manifests.append(Manifest(f"{track.deployment}-config", data))
    scaled = track.track == "stable" and settings.autoscaling is not None
    deployment = objects.build_deployment(
        model, track.track, settings, namespace, None if scaled else track.budget.replicas
    )
    ignored = ("spec.replicas",) if scaled else ()
    manifests.append(Manifest(track.deployment, deployment, track.seconds, ignored))
    return manifests


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
    return TrackPlan(track, deployment, settings.image.reference, budget, seconds)


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
    return total - canary if within else total
