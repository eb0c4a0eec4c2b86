"""Operations on the resources of a stack, with their changes, progress and results.

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
    """The change of one field.

    `path` is the text of a FieldPath, such as `containers[model].image`. `old` is None if the field
    is added, `new` is None if it is removed. The value of a secret is always REDACTED. In drift
    reports, `manager` is the field manager that wrote the live value, and `time` is when.
    """

    path: str
    old: Any
    new: Any
    manager: str = ""
    time: str = ""


@dataclass(frozen=True)
class Change:
    """The change of one resource.

    `object` is the object's `namespace/name`, or its `name` if it has no namespace; "" for
    components and providers. `component` is the logical name of the nearest parent component, which
    is the model; "" if there is none. `note` is one sentence for the reader, such as "not validated
    by the server: its Namespace does not exist yet". `takes_over` is True if
    the change adds an object to this stack and overwrites what is there: others created it, or
    created it again after it was recorded, or it is this stack's own and not in the state.
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


class Severity(StrEnum):
    """The weight of a problem: with an error `up` refuses; the others stop nothing."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, order=True)
class Problem:
    """A reason why `up` would fail or hang, found before the first write.

    `component` is the model, "" for none. `object` is the object that the problem is about, such as
    `Deployment ml-dev/churn`. `fields` are its fields that cause the problem, as paths in the
    manifest. `setting` is the path of a setting of environment.yaml instead, "" for none.
    `next_step` is what the user can do. `position` is the `file:line:column` of the setting behind
    the first field; "" while it is not looked up. With `belongs_to_others`, `adopt` can take
    the object over.
    """

    component: str
    object: str
    message: str
    severity: Severity = Severity.ERROR
    fields: tuple[str, ...] = ()
    setting: str = ""
    next_step: str = ""
    position: str = ""
    belongs_to_others: bool = False

    def __str__(self) -> str:
        where = f"{self.position}: " if self.position else ""
        return f"{where}{self.message}" + (f"; {self.next_step}" if self.next_step else "")


@dataclass(frozen=True)
class Preview:
    """The changes that `up` would make, in registration order with deletions last.

    `outputs` are the stack outputs after them. `messages` are the warnings and errors that the
    program or the engine has logged, such as "warning: no GPU nodes": sorted, without duplicates,
    with secrets redacted. `problems` are those of objects that the server refuses, and of what
    the objects need.
    """

    changes: tuple[Change, ...]
    outputs: Mapping[str, Any] = field(default_factory=dict)
    messages: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def clean(self) -> bool:
        """True if nothing changes."""
        return all(change.op is Op.SAME for change in self.changes)

    @property
    def refused(self) -> bool:
        """True if a problem is an error, so that `up` writes nothing."""
        return any(problem.severity is Severity.ERROR for problem in self.problems)


@dataclass(frozen=True)
class Failure:
    """One resource that failed.

    `reason` names the Pod if a Pod is the cause. `rollout` is True if the object was applied and
    its rollout failed.
    """

    change: Change
    reason: str
    rollout: bool = False


@dataclass(frozen=True)
class Result:
    """The result of `up`, `refresh` or `destroy`.

    `seconds` maps each component to its duration. `messages` are as in Preview.
    """

    changes: tuple[Change, ...]
    failures: tuple[Failure, ...] = ()
    outputs: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    messages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progress:
    """One progress event of a running operation.

    `state` is one of `started`, `rolling` (the counts of a Deployment have changed), `waiting` (a
    deletion takes long; `message` is the reason), `done`, `failed`, `skipped`. `updated`, `ready`,
    `available` and `desired` count Pods; `desired` is 0 for objects other than Deployments.
    """

    change: Change
    state: str
    updated: int = 0
    ready: int = 0
    available: int = 0
    desired: int = 0
    message: str = ""


@dataclass(frozen=True)
class PlanInputs:
    """The digests of everything that a preview was computed from.

    `catalog`, `state` and `live` have one for each object, by `type namespace/name`. `keyed` is
    True where they are keyed with the passphrase; without, secrets are left out. `cluster` is the
    UID of the kube-system Namespace. `project` and `backend`, which say where the state is, are
    plain text; "" in a plan of an earlier version.
    """

    salt: str
    keyed: bool
    cluster: str
    code: dict[str, str]
    catalog: dict[str, str]
    state: dict[str, str]
    live: dict[str, str]
    project: str = ""
    backend: str = ""


@dataclass(frozen=True)
class ReviewedChange:
    """The change of one object, in a plan or in a later preview."""

    op: Op
    fields: tuple[FieldChange, ...]
    takes_over: bool


@dataclass(frozen=True)
class Difference:
    """A difference between a plan and a later preview, in one object or in the code.

    `sources` are some of "code", "catalog", "state", "live object". `reviewed` and `now` are the
    two changes of the object; None for no change.
    """

    subject: str
    sources: tuple[str, ...]
    reviewed: ReviewedChange | None = None
    now: ReviewedChange | None = None
