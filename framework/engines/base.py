"""The interface of the engines, and the types and the order of changes that they share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from framework.core.changes import Change, FieldChange, Op, Preview, Progress, Result
from framework.core.drift_rules import Injector
from framework.core.errors import EngineError
from framework.core.stack import Stack
from framework.engines.urns import PROVIDER_TYPE, STACK_TYPE
from framework.kube.objects import ObjectState

if TYPE_CHECKING:
    from framework.engines.live_objects import Basis
    from framework.plan import StackPlan

# Up to this many models are read object by object, which takes fewer calls than all pages of the
# lists.
_MAX_READ_ONE_BY_ONE = 5


class RefreshLocksError(EngineError):
    """The CLI is too old to run a refresh without the lock of the state."""

    def __init__(self, version: str) -> None:
        super().__init__(
            f"pulumi {version} locks the state for it, which a check must not; expected v3.229 or "
            "later; update it, or build it with `make setup-pulumi`"
        )


@dataclass(frozen=True)
class RefreshedRecord:
    """Describes what a refresh would do to a record: SAME, UPDATE or DELETE.

    `fields` are those that an UPDATE changes, as far as the provider names them; no secrets.
    """

    op: Op
    fields: tuple[FieldChange, ...] = ()


@dataclass(frozen=True)
class NamedCluster:
    """The cluster that an environment names: the path of a kubeconfig, and a context in it."""

    kubeconfig: str
    context: str


@dataclass(frozen=True)
class Request:
    """The stack that an engine is to work on.

    `root` is the folder of Pulumi.yaml. `components` limits `preview` and `up` to the components
    with these logical names and their children; None means the whole stack. `cluster` is the
    cluster that environment.yaml names now; with None, the program and the state alone name the
    cluster. `plan` is the stack's plan, if the caller has loaded it. Both engines pass it to the
    program; the embedded engine passes only what `components` names. With None, the program loads
    the plan itself.
    `review` is called with each preview and what it was computed from. In `up` that is before
    anything is written and under the stack's lock, also where nothing changes; an error that it
    raises ends the command.
    With `adopts`, `up` takes over objects that others created, with `forced` also those that
    another tool manages. Only the embedded engine does that; its state serves both engines.
    """

    root: Path
    stack: Stack
    components: frozenset[str] | None = None
    cluster: NamedCluster | None = None
    plan: StackPlan | None = None
    review: Callable[[Preview, Basis], None] | None = None
    adopts: bool = False
    forced: bool = False

    @property
    def former_components(self) -> frozenset[str]:
        """The names that the models of `components` had before a rename (`previousName`)."""
        models = self.plan.models if self.plan and self.components is not None else ()
        return frozenset(
            model.previous_name
            for model in models
            if model.previous_name and model.name in (self.components or ())
        )

    @property
    def injectors(self) -> tuple[Injector, ...]:
        """The injectors of the environment; () without a plan."""
        return self.plan.injectors if self.plan else ()

    @property
    def reads_one_by_one(self) -> bool:
        """True if the operation is limited to so few models that lists would read much more."""
        return self.components is not None and len(self.components) <= _MAX_READ_ONE_BY_ONE


@dataclass(frozen=True)
class StateSummary:
    """A summary of a stack's recorded state: the names of its components, the number of its
    Kubernetes objects, and the inputs of its providers by URN."""

    components: frozenset[str]
    objects: int
    providers: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class RecordedObject:
    """One Kubernetes object as the state records it, with its secrets decrypted.

    `id` is `namespace/name`, or `name` without a Namespace. `component` is the name of the nearest
    component (the model), "" for none. `inputs` are those that the program registered. `outputs`
    are the object as the server returned it after the last write, and the fields that the provider
    adds (`__inputs`, `__fieldManager`). `secrets` are the texts that must be redacted wherever the
    object is shown. `init_errors` are the reasons why it is not ready. `protect` and
    `retain_on_delete` decide whether it may be deleted, and whether it then stays in the cluster.
    `external` is an object of others that the program only reads, with `get`.
    """

    urn: str
    type: str
    id: str
    component: str
    provider_urn: str
    field_manager: str
    ignore_changes: tuple[str, ...]
    inputs: Mapping[str, Any] = field(repr=False)
    outputs: Mapping[str, Any] = field(repr=False)
    secrets: frozenset[str] = field(repr=False, default=frozenset())
    init_errors: tuple[str, ...] = ()
    protect: bool = False
    retain_on_delete: bool = False
    external: bool = False

    @property
    def kind(self) -> str:
        """The last part of the type token: `Deployment`."""
        return self.type.rpartition(":")[2]

    @property
    def needs_cli(self) -> bool:
        """True for what only the CLI can read: the inputs of a Helm Release are no object."""
        return not self.inputs.get("kind")

    @property
    def state(self) -> ObjectState:
        """A copy in the form that the provider of a cluster takes."""
        return ObjectState(self.id, dict(self.inputs), dict(self.outputs))


@dataclass(frozen=True)
class RecordedObjects:
    """The Kubernetes objects of a stack in the order of its state, and the inputs of its providers
    by URN, both decrypted. An old object that a replacement has still to delete is not included.

    `messages` are warnings about interrupted commands, in the form of `Preview.messages`.
    `pending_deletions` are the types and ids of those old objects. `revision` identifies the state
    that they were read from; "" for a state in a folder, whose locks show who works on it. `others`
    are the URNs of the resources that are not of Kubernetes and not external, each with its nearest
    component.
    """

    objects: tuple[RecordedObject, ...]
    providers: Mapping[str, Mapping[str, Any]]
    messages: tuple[str, ...] = ()
    pending_deletions: frozenset[tuple[str, str]] = frozenset()
    revision: str = ""
    others: Mapping[str, str] = field(default_factory=dict)

    @property
    def own(self) -> tuple[RecordedObject, ...]:
        """The objects without those that the program only reads."""
        return tuple(obj for obj in self.objects if not obj.external)

    @property
    def secrets(self) -> frozenset[str]:
        """The marked secrets of all objects."""
        return frozenset[str]().union(*(obj.secrets for obj in self.objects))


Confirm = Callable[[Preview], bool]
OnProgress = Callable[[Progress], None]


class Engine(Protocol):
    """Deploys the program of a stack.

    Every method may raise EngineError, StateError or ClusterError. A rollout that fails raises
    nothing: it is a Failure of the Result.
    """

    name: str

    def preview(self, request: Request) -> Preview:
        """Returns what `up` would change; writes nothing."""

    def up(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """Previews, calls `confirm` unless nothing changes, then applies.

        Returns None when `confirm` refused."""

    def refresh(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """Updates the recorded state from the live objects; does not write to the cluster."""

    def destroy(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """Deletes the stack's resources, dependents first; refuses if any of them is protected."""

    def outputs(self, request: Request) -> Mapping[str, Any]:
        """Returns the recorded outputs, secrets redacted. Needs no program and no cluster."""

    def summarize(self, request: Request) -> StateSummary:
        """Returns a summary of the recorded state. Needs no program, cluster or passphrase."""

    def check_refresh(self, request: Request) -> Mapping[str, RefreshedRecord] | None:
        """Returns what `pulumi refresh` would do to each record that it reads, by URN. Writes
        nothing.

        None from an engine that cannot run it."""
        return None

    def read_revision(self, request: Request) -> str:
        """Returns the `revision` of the recorded objects as it is now; "" for a state in a folder.

        Looks at the state alone, not at the cluster."""
        return ""

    def recorded_objects(
        self, request: Request, *, accepts_recreated: bool = False
    ) -> RecordedObjects:
        """Returns the recorded Kubernetes objects of the request's components. Writes nothing.

        Those that an interrupted command created are looked up and included; with
        `accepts_recreated` also on a cluster that is not the recorded one. Needs no program.
        UnknownNameError for a component that the stack does not have."""


# Resources that all others need come first.
_RANKS = {STACK_TYPE: 0, PROVIDER_TYPE: 1, "kubernetes:core/v1:Namespace": 2}
_OUTSIDE_COMPONENTS, _IN_COMPONENT = 3, 4


def order_changes(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Returns the changes in one order, which does not depend on the engine and its threads.

    The Stack, providers and Namespaces come first, then each component; deletions come last.
    """

    def build_key(change: Change) -> tuple[bool, int, str, bool, str, str, str]:
        default = _IN_COMPONENT if change.component else _OUTSIDE_COMPONENTS
        rank = _RANKS.get(change.type, default)
        is_component = not change.object and rank == _IN_COMPONENT
        is_deletion = change.op is Op.DELETE
        return (
            is_deletion,
            # The ranks are an order of creation, which deletions do not have.
            0 if is_deletion else rank,
            change.component,
            not is_component,
            change.kind,
            change.name,
            change.urn,
        )

    return tuple(sorted(changes, key=build_key))
