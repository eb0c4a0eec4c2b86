"""What a merged model says that cannot work, each fault at the line that says it.

Kept apart from the schema, which knows one value at a time, and from the plan, which it guards.
"""

from __future__ import annotations

from collections.abc import Iterator

from framework.catalog import CatalogModel
from framework.codes import Code
from framework.errors import Fault
from framework.plan.names import RESERVED_LABELS
from framework.rollout import (
    Update,
    find_budget_faults,
    find_capacity_faults,
    resolve_amount,
    resolve_canary_size,
)
from framework.schema.environment import Environment
from framework.schema.model import Model
from framework.sources import Place


def find_place(model: CatalogModel, setting: str) -> Place:
    """Where a dotted setting was said last; where it was not, its nearest parent's place."""
    path = tuple(setting.split("."))
    for length in range(len(path), 0, -1):
        if origins := model.origins.get(path[:length]):
            return origins[-1]
    return Place(model.home, 1, 1)


def find_faults(model: CatalogModel, environment: Environment) -> Iterator[Fault]:
    """Every fault of one model in one environment."""
    settings = model.settings
    found = {
        Code.BUDGET: find_budget_faults(_build_update(settings)),
        Code.SURGE_CAPACITY: _find_surge(settings, environment),
        Code.CANARY: _find_canary(model),
        Code.SERVER_VERSION: _find_new_features(settings, environment),
        Code.RESERVED_LABEL: _find_reserved_labels(settings),
    }
    for code, faults in found.items():
        for setting, message in faults:
            yield find_place(model, setting).fault(code, message, model.name)


def _build_update(settings: Model) -> Update:
    scaling, budget = settings.autoscaling, settings.disruption_budget
    return Update(
        replicas=scaling.max_replicas if scaling else settings.replicas,
        max_surge=settings.rollout.max_surge,
        max_unavailable=settings.rollout.max_unavailable,
        startup_seconds=settings.startup_seconds,
        min_ready_seconds=settings.rollout.min_ready_seconds,
        progress_deadline_seconds=settings.rollout.progress_deadline_seconds,
        disruption_min_available=budget.min_available if budget else None,
        autoscaler_min_replicas=scaling.min_replicas if scaling else None,
    )


def _find_surge(settings: Model, environment: Environment) -> list[tuple[str, str]]:
    update = _build_update(settings)
    surge = resolve_amount(update.max_surge, update.replicas, round_up=True)
    units = {
        resource: int(amount) * (update.replicas + surge)
        for resource, amount in settings.resources.limits.items()
        if resource in environment.capacity and amount.isdecimal()
    }
    return find_capacity_faults(units, environment.capacity)


def _find_canary(model: CatalogModel) -> Iterator[tuple[str, str]]:
    settings = model.settings
    if model.candidate is None or settings.canary.mode == "additional":
        return
    if settings.autoscaling:
        yield (
            "canary.mode",
            "canary.mode is within, but an autoscaler owns replicas; expected additional",
        )
        return
    canary = resolve_canary_size(settings.canary.size, settings.replicas)
    if canary >= settings.replicas:
        yield (
            "canary.size",
            f"canary.size {settings.canary.size} within {settings.replicas} replicas leaves no "
            "stable Pod; expected a smaller size, mode additional, or more replicas",
        )


# What needs a newer server than 1.29, the oldest that knows native sidecars.
def _find_new_features(settings: Model, environment: Environment) -> Iterator[tuple[str, str]]:
    features = {
        "preStopSeconds": (settings.pre_stop_seconds > 0, 30, "native preStop sleep"),
        "volumes": (any(v.image for v in settings.volumes.values()), 33, "an image volume"),
    }
    for setting, (used, minor, feature) in features.items():
        if used and environment.cluster.minor_version < minor:
            yield (
                setting,
                f"{feature} needs Kubernetes 1.{minor}; the environment says it may meet "
                f"{environment.cluster.kubernetes_version} (cluster.kubernetesVersion)",
            )


def _find_reserved_labels(settings: Model) -> Iterator[tuple[str, str]]:
    for label in sorted(RESERVED_LABELS & settings.labels.keys()):
        yield ("labels", f'label "{label}" is set by the framework; expected another name')
