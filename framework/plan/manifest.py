"""The plan as plain data: the ordered manifests of one stack.

Kept apart from what builds it, so that reports, the program and tests read it without pydantic,
Pulumi or a cluster.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from framework.core.rolling_update import Budget
from framework.core.stack import Stack
from framework.plan.names import Track


@dataclass(frozen=True)
class Manifest:
    """One Kubernetes object and how it is registered.

    `logical_name` is Pulumi's name of it, constant where `metadata.name` holds a hash.
    `timeout_seconds` bounds the wait for it; `ignore_changes` are paths another controller owns.
    `initial_replicas` is how many Pods a new Deployment starts with where an autoscaler decides
    later on: the API server's own default is one Pod, whatever the autoscaler's minimum.
    """

    logical_name: str
    object: dict[str, Any]
    timeout_seconds: int | None = None
    ignore_changes: tuple[str, ...] = ()
    initial_replicas: int | None = None

    @property
    def kind(self) -> str:
        """The object's kind: `Deployment`."""
        return str(self.object["kind"])

    @property
    def name(self) -> str:
        """The object's own name."""
        return str(self.object["metadata"]["name"])

    @property
    def type_token(self) -> str:
        """Pulumi's type: `kubernetes:core/v1:Service`; the core group is spelled out."""
        version = str(self.object["apiVersion"])
        group = version if "/" in version else f"core/{version}"
        return f"kubernetes:{group}:{self.kind}"


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
