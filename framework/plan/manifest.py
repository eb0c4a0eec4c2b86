"""The plan of a stack as plain data, readable without pydantic, Pulumi or a cluster."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

from framework.core.drift_rules import AcceptRule, Injector
from framework.core.rolling_update import Budget
from framework.core.stack import Stack
from framework.kinds.kind import Manifest
from framework.kinds.naming import Track

MODEL_TYPE = "modelcatalog:index:Model"
"""Pulumi's type of the component of a model."""
ObjectKey = tuple[str, str, str]
"""The model, type token and logical name of a resource."""


@dataclass(frozen=True)
class TrackPlan:
    """One Deployment of a model and its rolling update.

    `startup_seconds` is the longest that one Pod may take to become ready, and `seconds` the
    longest that the update may take. The budget is that of the most replicas: where the track is
    `autoscaled`, there may be as few as `fewest_replicas`. `down_seconds` is how long an update may
    leave no Pod serving, 0 where it never does.
    """

    track: Track
    deployment: str
    image: str
    budget: Budget
    fewest_replicas: int
    autoscaled: bool = False
    recreate: bool = False
    startup_seconds: int = 0
    seconds: int = 0
    down_seconds: int = 0


@dataclass(frozen=True)
class ModelPlan:
    """Every object of one model, in the order of registration.

    `previous_name` is the name that it may be recorded under, and `renamed_at` the position of this
    setting; "" for none. `image_position` is the `file:line` of the setting that decides the image.
    `patched` maps `Kind/name` of an object to the fields that `patch` wrote or removed.
    """

    name: str
    labels: dict[str, str]
    tracks: tuple[TrackPlan, ...]
    manifests: tuple[Manifest, ...]
    image_position: str
    profiles: tuple[str, ...] = ()
    patched: dict[str, tuple[str, ...]] = field(default_factory=dict)
    previous_name: str = ""
    renamed_at: str = ""

    def find(self, kind: str) -> Manifest | None:
        """Returns the stable track's manifest of a kind, not from `objects`; None without one."""
        return next((m for m in self.manifests if m.kind == kind and not m.object_key), None)

    def find_track(self, name: Track) -> TrackPlan | None:
        """Returns the plan of one track; None for the canary of a model that has none."""
        return next((track for track in self.tracks if track.track == name), None)


@dataclass(frozen=True)
class ClusterTarget:
    """The cluster that a stack is deployed to; `kubeconfig` is a path, never the content.

    `oldest_version` is the oldest server that the environment may meet, such as `1.33`.
    `identifier` is the recorded `clusterIdentifier` of the provider, "" for that of the context.
    """

    kubeconfig: str
    context: str
    local: bool
    oldest_version: str = ""
    identifier: str = ""


@dataclass(frozen=True)
class StackPlan:
    """One stack: its cluster, its Namespace, and its models in order of name.

    Plain data that can be pickled and handed to another process.
    """

    stack: Stack
    cluster: ClusterTarget
    protect: bool
    namespace: Manifest
    models: tuple[ModelPlan, ...]
    disabled: tuple[str, ...] = ()
    accept: tuple[AcceptRule, ...] = ()
    injectors: tuple[Injector, ...] = ()

    def narrowed_to(self, names: Collection[str]) -> StackPlan:
        """Returns the plan without the models that are not among `names`."""
        return replace(self, models=tuple(m for m in self.models if m.name in names))

    def list_manifests(
        self, names: Collection[str] | None = None
    ) -> Iterator[tuple[str, Manifest]]:
        """Yields each manifest with the name of its model, in the order of registration.

        The Namespace comes first, with "". With `names` only those of these models, without it.
        """
        if names is None:
            yield "", self.namespace
        for model in self.models:
            if names is None or model.name in names:
                yield from ((model.name, manifest) for manifest in model.manifests)

    def index_manifests(self) -> dict[ObjectKey, Manifest]:
        """Returns every manifest by its key."""
        return {
            (model, manifest.type_token, manifest.logical_name): manifest
            for model, manifest in self.list_manifests()
        }

    @property
    def manifests(self) -> tuple[Manifest, ...]:
        """Every manifest in the order of registration."""
        return tuple(manifest for _, manifest in self.list_manifests())
