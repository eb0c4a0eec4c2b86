"""What happens to the resources of a stack: operations, changes, progress and results.

Both engines report in these types, so that output is the same whichever engine ran.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

SHOWN_SEVERITIES = frozenset({"warning", "error"})
"""The severities of a program's messages that are printed; others are for its author."""


class Op(StrEnum):
    """The operation on one resource, in the words of Pulumi."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    SAME = "same"


@dataclass(frozen=True)
class FieldChange:
    """One field that changes: dotted path, list items by key (`containers[model].image`).

    `old` is None where the field is added, `new` is None where it is removed. The value of a secret
    is always REDACTED. `manager` and `time` (drift only) name the writer of the live value.
    """

    path: str
    old: Any
    new: Any
    manager: str = ""
    time: str = ""


@dataclass(frozen=True)
class Change:
    """The change of one resource.

    `object` is `namespace/name` or `name` as the cluster has it, "" for components and providers.
    `component` is the logical name of the nearest parent component (the model), "" for none.
    `note` is one sentence for the reader, such as "not validated by the server: its Namespace does
    not exist yet". `takes_over`: somebody made the object again since it was recorded, and the
    change makes it this stack's.
    """

    urn: str
    type: str
    name: str
    op: Op
    object: str = ""
    component: str = ""
    fields: tuple[FieldChange, ...] = ()
    note: str = ""
    takes_over: bool = False

    @property
    def kind(self) -> str:
        """The last part of the type token: `Deployment`."""
        return self.type.rpartition(":")[2]


@dataclass(frozen=True)
class Preview:
    """The change list of a stack in registration order, deletions last, and the outputs to come.

    `messages` are the warnings and errors the program or its engine logged, each once, such as
    "warning: no GPU nodes"; sorted, secrets masked.
    """

    changes: tuple[Change, ...]
    outputs: Mapping[str, Any] = field(default_factory=dict)
    messages: tuple[str, ...] = ()

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
    """The result of `up`, `refresh` or `destroy`. `seconds` maps a component to its wall time;
    `messages` are as those of a Preview."""

    changes: tuple[Change, ...]
    failures: tuple[Failure, ...] = ()
    outputs: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    messages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progress:
    """One step of a running operation, as it happens.

    `state` is one of `started`, `rolling` (a Deployment's counts changed), `waiting` (a deletion
    takes long; `message` says what holds it), `done`, `failed`, `skipped`. The counts are of Pods;
    `desired` is 0 for what is no Deployment.
    """

    change: Change
    state: str
    updated: int = 0
    ready: int = 0
    available: int = 0
    desired: int = 0
    message: str = ""
