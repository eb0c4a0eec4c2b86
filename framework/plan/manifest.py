"""The plan as plain data: the ordered manifests of one stack.

Kept apart from what builds it, so that reports, the program and tests read it without pydantic,
Pulumi or a cluster.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from framework.core.rolling_update import Budget
from framework.core.stack import Stack
from framework.kinds.kind import Manifest
from framework.kinds.naming import Track


@dataclass(frozen=True)
class TrackPlan:
    """One Deployment of a model and its rolling update; `seconds` is the worst case."""

    track: Track
    deployment: str
    image: str
    budget: Budget
    seconds: int
    autoscaled: bool = False
    """The budget's replicas are then the most that the autoscaler may make."""


@dataclass(frozen=True)
class ModelPlan:
    """Everything generated for one model, in the order it is registered."""

    name: str
    labels: dict[str, str]
    tracks: tuple[TrackPlan, ...]
    manifests: tuple[Manifest, ...]
    image_position: str
    """`file:line` of the setting that decides the image."""
    profiles: tuple[str, ...] = ()
    patched: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Fields that `patch` set or took away, by `Kind/name` of the object; what no setting says."""

    def find(self, kind: str) -> Manifest | None:
        """The stable track's manifest of a kind, if there is one."""
        return next((m for m in self.manifests if m.kind == kind), None)

    def find_track(self, track: Track) -> TrackPlan | None:
        """One track's plan; None where the model has no canary."""
        return next((one for one in self.tracks if one.track == track), None)


@dataclass(frozen=True)
class ClusterTarget:
    """Which cluster a stack is deployed to; `kubeconfig` is a path, never its content."""

    kubeconfig: str
    context: str
    local: bool


@dataclass(frozen=True)
class StackPlan:
    """One stack: its cluster, its Namespace, and its models sorted by name."""

    stack: Stack
    cluster: ClusterTarget
    protect: bool
    namespace: Manifest
    models: tuple[ModelPlan, ...]
    disabled: tuple[str, ...] = field(default=())

    @property
    def manifests(self) -> tuple[Manifest, ...]:
        """Every manifest in order of registration."""
        return (self.namespace, *(m for model in self.models for m in model.manifests))
