"""Numbers of Pods: rolling-update budget, autoscaler and disruption budget."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from framework.core.diagnostics import SettingDiagnostic
from framework.settings.base import Checked, Settings, find_not_one, one_of
from framework.settings.values import (
    Count,
    Definition,
    IntOrPercent,
    PartOfPods,
    Positive,
    ShortName,
)


class Rollout(Settings):
    """The rolling-update budget of the Deployment."""

    strategy: Literal["RollingUpdate", "Recreate"] = "RollingUpdate"
    """`Recreate` stops all Pods before it starts new ones, so the model is down in between. Use it
    if a new Pod cannot start beside the old one, for example because there is no spare GPU, or only
    one node can mount the volume. `maxSurge` and `maxUnavailable` then have no effect."""
    max_surge: IntOrPercent = "25%"
    """Pods that an update may add to `replicas`. A percentage is rounded up."""
    max_unavailable: PartOfPods = 0
    """Pods of `replicas` that may be unavailable during an update. A percentage is rounded down. A
    value that lets an update stop all Pods, such as 1 for one replica, is allowed only in the file
    that sets `replicas` for the model, or in a later layer."""
    min_ready_seconds: Count = 0
    """Seconds that a Pod must be ready before it counts as available."""
    progress_deadline_seconds: Positive = 600
    """Seconds without progress after which the rollout has failed."""
    revision_history_limit: Count = 5
    """Number of old ReplicaSets to keep."""


class ScalingPolicy(Settings):
    """The number of Pods that the autoscaler may add or remove within a period."""

    type: Literal["Pods", "Percent"]
    """`value` is a number of Pods, or a percentage of the current ones."""
    value: Positive
    """Largest change within the period."""
    period_seconds: Annotated[int, Field(ge=1, le=1800)]
    """Length of the period."""


class ScalingRules(Settings):
    """Limits on the speed of the autoscaler in one direction."""

    stabilization_window_seconds: Annotated[int, Field(ge=0, le=3600)] | None = None
    """Seconds for which earlier recommendations are kept. The one that changes the number of Pods
    least is used."""
    select_policy: Literal["Max", "Min", "Disabled"] | None = None
    """The policy to use where there are several. `Disabled` never scales in this direction."""
    policies: Annotated[tuple[ScalingPolicy, ...], Field(strict=False)] = ()
    """Limits of a change."""


class ScalingBehavior(Settings):
    """Limits on the speed of the autoscaler. The defaults are those of Kubernetes."""

    scale_up: ScalingRules | None = None
    """Rules for adding Pods."""
    scale_down: ScalingRules | None = None
    """Rules for removing Pods."""


class Autoscaling(Checked):
    """A HorizontalPodAutoscaler. It sets the number of Pods instead of `replicas`."""

    external: bool = False
    """Something else sets the number of Pods, within these limits: a ScaledObject of KEDA in
    `objects`, or a person. No HorizontalPodAutoscaler is made, and `replicas` is not applied."""

    min_replicas: Count
    """Smallest number of Pods. 0 needs a metric of type Object or External, and Kubernetes 1.37 or
    the feature gate HPAScaleToZero."""
    max_replicas: Positive
    """Largest number of Pods."""
    cpu: Positive | None = None
    """Target CPU usage, as a percentage of the request."""
    memory: Positive | None = None
    """Target memory usage, as a percentage of the request."""
    metrics: dict[ShortName, Annotated[dict[str, Any], Definition("MetricSpec")]] = {}
    """Further metrics in the form of Kubernetes, each by a name of your choice."""
    behavior: ScalingBehavior = ScalingBehavior.model_construct()
    """Limits on the speed of the autoscaler."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Reports a minimum above the maximum, and an autoscaler without a target."""
        if self.min_replicas > self.max_replicas:
            yield SettingDiagnostic(
                ("minReplicas",),
                f"is {self.min_replicas}; expected at most maxReplicas, which is "
                f"{self.max_replicas}",
                others=(("maxReplicas",),),
            )
        if self.external:
            for name in ("cpu", "memory", "metrics", "behavior"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    message = (
                        "has no effect, because external is true and so no HorizontalPodAutoscaler "
                        "is made; remove one of the two: null removes an inherited one"
                    )
                    yield SettingDiagnostic((name,), message, others=(("external",),))
            return
        if self.cpu is None and self.memory is None and not self.metrics:
            yield SettingDiagnostic(
                (), "has no target; give cpu or memory, in percent of the request"
            )
        # Metrics of Pods do not exist while there are no Pods, so the API server refuses this.
        types = {metric.get("type") for metric in self.metrics.values()}
        if self.min_replicas == 0 and not types & {"Object", "External"}:
            yield SettingDiagnostic(
                ("minReplicas",),
                "is 0, but cpu, memory and other metrics of Pods do not exist while there are no "
                "Pods; expected 1 or more, or a metric of type Object or External",
            )


class DisruptionBudget(Checked):
    """A PodDisruptionBudget for the Pods of both tracks: exactly one of the two settings."""

    replaces = one_of("maxUnavailable", "minAvailable")

    max_unavailable: PartOfPods | None = None
    """Pods that may be unavailable while nodes are drained."""
    min_available: PartOfPods | None = None
    """Pods that must stay available while nodes are drained."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Reports a budget with both settings, or neither."""
        yield from find_not_one(self, "max_unavailable", "min_available")
