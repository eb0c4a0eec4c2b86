"""The objects that make and size a model's Pods: Deployment, ServiceAccount, budget, autoscaler.

Kept apart from the Pod template: each function here builds one object of one model.
"""

from __future__ import annotations

from typing import Any

from framework.plan.metadata import build_metadata
from framework.plan.names import (
    NAME_LABEL,
    Track,
    build_selector,
    hashed_name,
    track_name,
)
from framework.plan.pods import build_pod_template
from framework.settings.model import Model
from framework.settings.scaling import Autoscaling


def build_deployment(
    model: str, track: Track, settings: Model, namespace: str, replicas: int | None
) -> dict[str, Any]:
    """One track's Deployment; `replicas` None leaves the number to an autoscaler."""
    rollout = settings.rollout
    name = track_name(model, track)
    annotations = dict(settings.annotations)
    if settings.description:
        annotations["modelcatalog/description"] = settings.description
    metadata = build_metadata(model, settings, namespace, annotations, name)
    metadata["labels"] = {**metadata["labels"], **build_selector(model, track)}
    spec: dict[str, Any] = {} if replicas is None else {"replicas": replicas}
    spec |= {
        "revisionHistoryLimit": rollout.revision_history_limit,
        "progressDeadlineSeconds": rollout.progress_deadline_seconds,
        "minReadySeconds": rollout.min_ready_seconds,
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {
                "maxSurge": rollout.max_surge,
                "maxUnavailable": rollout.max_unavailable,
            },
        },
        "selector": {"matchLabels": build_selector(model, track)},
        "template": build_pod_template(model, track, settings, config_map_name(name, settings)),
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def config_map_name(track: str, settings: Model) -> str | None:
    """The content-hashed name of a track's ConfigMap, or None where it has no files."""
    return hashed_name(f"{track}-config", settings.config.files) if settings.config else None


def build_config_map(
    model: str, settings: Model, namespace: str, name: str, files: dict[str, str]
) -> dict[str, Any]:
    """The files of one track."""
    metadata = build_metadata(model, settings, namespace, {}, name)
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(files)}


def build_service_account(model: str, settings: Model, namespace: str) -> dict[str, Any]:
    """The identity of the model's Pods."""
    annotations = dict(settings.service_account.annotations)
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": build_metadata(model, settings, namespace, annotations),
        "automountServiceAccountToken": settings.service_account.automount_token,
    }


def build_disruption_budget(model: str, settings: Model, namespace: str) -> dict[str, Any]:
    """One budget over both tracks: two that overlap would block every eviction."""
    assert settings.disruption_budget is not None
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": build_metadata(model, settings, namespace, {}),
        "spec": {
            **settings.disruption_budget.model_dump(by_alias=True, exclude_none=True),
            "selector": {"matchLabels": {NAME_LABEL: model}},
        },
    }


def build_autoscaler(
    model: str, settings: Model, namespace: str, autoscaling: Autoscaling
) -> dict[str, Any]:
    """The autoscaler of the stable track."""
    targets = (("cpu", autoscaling.cpu), ("memory", autoscaling.memory))
    spec: dict[str, Any] = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": model},
        "minReplicas": autoscaling.min_replicas,
        "maxReplicas": autoscaling.max_replicas,
        "metrics": [
            {
                "type": "Resource",
                "resource": {
                    "name": name,
                    "target": {"type": "Utilization", "averageUtilization": target},
                },
            }
            for name, target in targets
            if target is not None
        ]
        + [autoscaling.metrics[name] for name in sorted(autoscaling.metrics)],
    }
    behavior = autoscaling.behavior.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    if behavior:
        spec["behavior"] = behavior
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": build_metadata(model, settings, namespace, {}),
        "spec": spec,
    }


def build_namespace(name: str, environment: str) -> dict[str, Any]:
    """The environment's Namespace."""
    labels = {
        "app.kubernetes.io/part-of": "modelcatalog",
        "app.kubernetes.io/managed-by": "pulumi",
        "modelcatalog/environment": environment,
    }
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
