"""Data types of the registry: a kind, the settings it is built from, and the manifest it yields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from framework.core.kind_rules import SKIP_AWAIT, KindRules
from framework.kinds.naming import RESERVED_LABELS, Track, build_labels, track_name
from framework.kube.objects import object_name

if TYPE_CHECKING:
    from framework.settings.model import Model

# The provider would wait ten seconds for the endpoints of each Service, and until the timeout for
# an Ingress without a controller. The wait for the Deployment already covers the Pods.
NOT_AWAITED = {SKIP_AWAIT: "true"}

# Reasons why a field may not be patched, shared by several kinds.
_IDENTITY = "it identifies the object"
_WRITTEN = "the API server writes it"
SELECTOR = "selectors and the labels they use never change"


def computed(setting: str) -> str:
    """Returns the reason why a patch may not set a field that a setting decides."""
    return f"the framework computes with it; set {setting}"


def protected_labels(metadata: str) -> dict[str, str]:
    """Returns the protected fields for the labels that selectors use, in the metadata at a path."""
    return {f'{metadata}.labels["{label}"]': SELECTOR for label in sorted(RESERVED_LABELS)}


def written_metadata(metadata: str) -> dict[str, str]:
    """Returns the protected fields for the part of metadata that only the API server writes."""
    names = (
        "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation",
        "managedFields", "resourceVersion", "selfLink", "uid",
    )  # fmt: skip
    return {f"{metadata}.{name}": _WRITTEN for name in names}


# Fields of every kind that `patch` may not set, each with the reason.
PROTECTED_EVERYWHERE = {
    "apiVersion": _IDENTITY,
    "kind": _IDENTITY,
    "metadata.name": _IDENTITY,
    "metadata.generateName": _IDENTITY,
    "metadata.namespace": _IDENTITY,
    "status": _WRITTEN,
    **written_metadata("metadata"),
    **protected_labels("metadata"),
}


def without_empty(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields that have a value.

    Our field manager would own an empty field, and `drift` would compare it.
    """
    return {key: value for key, value in fields.items() if value not in ([], {}, None)}


def build_type_token(obj: Mapping[str, Any]) -> str:
    """Returns Pulumi's type of an object, such as `kubernetes:core/v1:Service`.

    The core group has a name in it, although `apiVersion: v1` has none.
    """
    version = str(obj["apiVersion"])
    group = version if "/" in version else f"core/{version}"
    return f"kubernetes:{group}:{obj['kind']}"


@dataclass(frozen=True)
class Manifest:
    """One Kubernetes object, and how it is registered with Pulumi."""

    logical_name: str
    """Pulumi's name of the resource. Constant where `metadata.name` contains a hash."""
    object: dict[str, Any]
    timeout_seconds: int | None = None
    """Limit of the wait for the object."""
    ignore_changes: tuple[str, ...] = ()
    """Paths of fields that another controller owns."""
    initial_replicas: int | None = None
    """Replicas of a new Deployment under an autoscaler. Without it the API server would start one
    Pod, whatever the autoscaler's minimum is."""
    external_range: tuple[int, int] | None = None
    """Smallest and largest number of Pods, where something outside the catalog sets it."""
    used_by_pods: bool = False
    """True for an object that Pods refer to, so that it must exist before their Deployment."""
    retain: bool = False
    """True for an object that stays in the cluster when it leaves the plan (`retainOnDelete`)."""
    track: Track = "stable"
    """Track of an object of which each track has its own."""
    part: str = ""
    """Key of the setting that one of several objects of a kind is built from, such as `public` for
    `services.public`."""
    object_key: str = ""
    """Key of the object in the setting `objects`; "" for an object built from other settings."""
    former_urn: str = ""
    """URN that the object is recorded under, "" if it is the one that the program gives it."""

    @property
    def kind(self) -> str:
        """The object's kind: `Deployment`."""
        return str(self.object["kind"])

    @property
    def name(self) -> str:
        """The object's own name."""
        return str(self.object["metadata"]["name"])

    @property
    def id(self) -> str:
        """Pulumi's id of the object: `namespace/name`, or `name` without a Namespace."""
        return object_name(self.object["metadata"])

    @property
    def type_token(self) -> str:
        """Pulumi's type: `kubernetes:core/v1:Service`."""
        return build_type_token(self.object)

    def build_inputs(self) -> dict[str, Any]:
        """Builds the inputs that the program registers.

        `initial_replicas` are used when a Deployment is created. Later updates skip them
        (`ignore_changes`), because the autoscaler sets the replicas.
        """
        if self.initial_replicas is None:
            return self.object
        return {**self.object, "spec": {**self.object["spec"], "replicas": self.initial_replicas}}


@dataclass(frozen=True)
class TrackInput:
    """The settings of one track of a model, from which its objects are built."""

    model: str
    namespace: str
    track: Track
    settings: Model
    replicas: int
    """Replicas of the track. Under an autoscaler: the most it may make."""
    candidate: Model | None = None
    """Settings of the candidate, only in the input of the stable track."""
    cluster_scoped_kinds: tuple[str, ...] = ()
    """Kinds in no Namespace that the environment's policy allows in `objects`."""

    @property
    def name(self) -> str:
        """The name of the track's Deployment."""
        return track_name(self.model, self.track)

    def build_metadata(
        self, annotations: Mapping[str, str] | None = None, name: str = ""
    ) -> dict[str, Any]:
        """Builds the metadata of an object, named after the model unless `name` is given."""
        metadata: dict[str, Any] = {
            "name": name or self.model,
            "namespace": self.namespace,
            "labels": build_labels(self.model, self.settings),
        }
        return {**metadata, "annotations": dict(annotations)} if annotations else metadata


@dataclass(frozen=True)
class Kind:
    """One kind of Kubernetes object that a model can have."""

    rules: KindRules
    build: Callable[[TrackInput], Iterable[Manifest]]
    """Builds the objects that the settings ask for: none, one or several. A kind that both tracks
    share is built once, from the stable track."""
    enabled_by: str = ""
    """Setting that gives a model an object of this kind, as an instruction: "set ingress". Empty
    where every model has one."""
    per_track: bool = False
    """True where each track has an object of its own."""
    protected: Mapping[str, str] = field(default_factory=dict)
    """Field paths that `patch` may not set, each with the reason."""

    @property
    def name(self) -> str:
        """The kind as the API spells it: `Deployment`."""
        return self.rules.kind
