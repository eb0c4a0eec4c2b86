"""What every engine does, and the words it answers in.

Kept apart from the engines so that the screens read one change list, one progress stream and one
result, whichever engine ran.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol


class Op(StrEnum):
    """What happens to one resource; the words are Pulumi's."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    SAME = "same"


@dataclass(frozen=True)
class FieldChange:
    """One field that changes: dotted path, list items by key (`containers[model].image`).

    `old` is None where the field is added, `new` is None where it goes. A secret's value is
    always the text "[secret]". `manager` and `time` (drift only) tell who wrote the live value.
    """

    path: str
    old: Any
    new: Any
    manager: str = ""
    time: str = ""


@dataclass(frozen=True)
class Change:
    """What happens to one resource.

    `object` is `namespace/name` or `name` as the cluster has it, "" for components and providers.
    `component` is the logical name of the nearest parent component (the model), "" for none.
    `note` is one sentence for the reader, such as "not validated by the server: its Namespace does
    not exist yet".
    """

    urn: str
    type: str
    name: str
    op: Op
    object: str = ""
    component: str = ""
    fields: tuple[FieldChange, ...] = ()
    note: str = ""

    @property
    def kind(self) -> str:
        """The last part of the type token: `Deployment`."""
        return self.type.rpartition(":")[2]


@dataclass(frozen=True)
class Preview:
    """The change list of a stack in registration order, deletions last, and the outputs to come."""

    changes: tuple[Change, ...]
    outputs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """True when nothing changes."""
        return all(change.op is Op.SAME for change in self.changes)


@dataclass(frozen=True)
class Failure:
    """One resource that failed: the reason names the Pod where there is one."""

    change: Change
    reason: str
    rollout: bool = False


@dataclass(frozen=True)
class Result:
    """What an `up`, `refresh` or `destroy` did. `seconds` maps a component to its wall time."""

    changes: tuple[Change, ...]
    failures: tuple[Failure, ...] = ()
    outputs: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress:
    """One step of a running operation, as it happens.

    `state` is one of `started`, `rolling` (a Deployment's counts changed), `done`, `failed`,
    `skipped`. The counts are of Pods; `desired` is 0 for what is no Deployment.
    """

    change: Change
    state: str
    updated: int = 0
    ready: int = 0
    available: int = 0
    desired: int = 0
    message: str = ""


@dataclass(frozen=True)
class Request:
    """Which stack an engine is asked to work on.

    `root` is the folder of Pulumi.yaml. `components` narrows to the components of these logical
    names and their children; None means the whole stack.
    """

    root: Path
    stack: str
    components: frozenset[str] | None = None


Confirm = Callable[[Preview], bool]
OnProgress = Callable[[Progress], None]


class Engine(Protocol):
    """One way to bring a stack to what its program says. Errors: EngineError, StateError,
    ClusterError; a rollout that fails is no error but a Failure of the Result."""

    name: str

    def preview(self, request: Request) -> Preview:
        """What `up` would change; writes nothing."""

    def up(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """Preview, ask `confirm` (not when nothing changes), apply. None when `confirm` refused."""

    def refresh(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """Bring the recorded state to what the cluster has; the cluster is not written."""

    def drift(self, request: Request) -> Preview:
        """Live objects against recorded state: `old` is recorded, `new` is live. Writes nothing."""

    def destroy(self, request: Request, confirm: Confirm, on_progress: OnProgress) -> Result | None:
        """Delete everything of the stack, in reverse order; refused while anything is protected."""

    def outputs(self, request: Request) -> Mapping[str, Any]:
        """The stack's recorded outputs; needs neither the program nor the cluster."""
