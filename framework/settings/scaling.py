"""How many Pods there are, and how many an update or a drain may take: rollout, autoscaler, budget.

Kept apart because these bound each other, and none of them says what a Pod is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from framework.core.diagnostics import SettingDiagnostic
from framework.settings.base import Checked, Count, IntOrPercent, Positive, Settings
from framework.settings.names import ShortName


class Rollout(Settings):
    """The rolling-update budget, in the Deployment controller's own terms."""

    max_surge: IntOrPercent = "25%"
    """Pods above `replicas` during an update; a percentage rounds up."""
    max_unavailable: IntOrPercent = 0
    """Pods below `replicas` during an update; a percentage rounds down."""
    min_ready_seconds: Count = 0
    """Seconds a Pod must stay ready before it counts as available."""
    progress_deadline_seconds: Positive = 600
    """Seconds without progress until the rollout has failed."""
    revision_history_limit: Count = 5
    """Old ReplicaSets kept."""


class ScalingPolicy(Settings):
    """How far the autoscaler may go within one period."""

    type: Literal["Pods", "Percent"]
    """Whether `value` counts Pods, or percent of those there are."""
    value: Positive
    """So many at most."""
    period_seconds: Annotated[int, Field(ge=1, le=1800)]
    """Seconds within which it counts."""


class ScalingRules(Settings):
    """How fast the autoscaler goes in one direction."""

    stabilization_window_seconds: Annotated[int, Field(ge=0, le=3600)] | None = None
    """Seconds of past recommendations the most careful of which is taken."""
    select_policy: Literal["Max", "Min", "Disabled"] | None = None
    """Which of several policies counts; `Disabled` never scales in this direction."""
    policies: Annotated[tuple[ScalingPolicy, ...], Field(strict=False)] = ()
    """How far at once."""


class ScalingBehavior(Settings):
    """How fast the autoscaler goes; Kubernetes' own pace where it is not said."""

    scale_up: ScalingRules | None = None
    """To more Pods."""
    scale_down: ScalingRules | None = None
    """To fewer Pods."""


class Autoscaling(Checked):
    """A HorizontalPodAutoscaler; it owns `replicas` then."""

    min_replicas: Positive
    """Never fewer Pods."""
    max_replicas: Positive
    """Never more Pods."""
    cpu: Positive | None = None
    """Target use of the requested CPU, in percent."""
    memory: Positive | None = None
    """Target use of the requested memory, in percent."""
    metrics: dict[ShortName, dict[str, Any]] = {}
    """Further metrics as Kubernetes takes them, each by a name of your choice."""
    behavior: ScalingBehavior = ScalingBehavior.model_construct()
    """Scaling behaviour."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Limits that cross, and nothing to go by."""
        if self.min_replicas > self.max_replicas:
            yield SettingDiagnostic(
                ("minReplicas",),
                f"is {self.min_replicas}; expected at most maxReplicas, which is "
                f"{self.max_replicas}",
                others=(("maxReplicas",),),
            )
        if self.cpu is None and self.memory is None and not self.metrics:
            yield SettingDiagnostic(
                (), "has no target; give cpu or memory, in percent of the request"
            )


class DisruptionBudget(Checked):
    """A PodDisruptionBudget over both tracks; exactly one of the two."""

    max_unavailable: IntOrPercent | None = None
    """Pods that node drains may take away at once."""
    min_available: IntOrPercent | None = None
    """Pods that node drains must leave."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Not exactly one of the two."""
        if (self.max_unavailable is None) == (self.min_available is None):
            yield SettingDiagnostic(
                (),
                "has both maxUnavailable and minAvailable, or neither; give one of them: null "
                "removes an inherited one",
                others=(("maxUnavailable",), ("minAvailable",)),
            )
