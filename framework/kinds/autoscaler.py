"""HorizontalPodAutoscaler: sizes the stable track."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from framework.core.kind_rules import KindRules
from framework.kinds.kind import SELECTOR, Kind, Manifest, TrackInput, computed


def build(track: TrackInput) -> Iterator[Manifest]:
    """Builds the autoscaler where the settings ask for one."""
    autoscaling = track.settings.autoscaling
    if autoscaling is None or autoscaling.external:
        return
    targets = (("cpu", autoscaling.cpu), ("memory", autoscaling.memory))
    metrics = [
        {
            "type": "Resource",
            "resource": {
                "name": resource,
                "target": {"type": "Utilization", "averageUtilization": utilization},
            },
        }
        for resource, utilization in targets
        if utilization is not None
    ]
    spec: dict[str, Any] = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": track.model},
        "minReplicas": autoscaling.min_replicas,
        "maxReplicas": autoscaling.max_replicas,
        "metrics": metrics + [autoscaling.metrics[name] for name in sorted(autoscaling.metrics)],
    }
    behavior = autoscaling.behavior.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    if behavior:
        spec["behavior"] = behavior
    yield Manifest(
        track.model,
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": track.build_metadata(),
            "spec": spec,
        },
    )


KIND = Kind(
    rules=KindRules("autoscaling", "HorizontalPodAutoscaler", propagation="Background"),
    build=build,
    enabled_by="set autoscaling",
    protected={
        "spec.scaleTargetRef": SELECTOR,
        "spec.minReplicas": computed("autoscaling.minReplicas"),
        "spec.maxReplicas": computed("autoscaling.maxReplicas"),
    },
)
