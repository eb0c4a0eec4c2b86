"""The JSON of the verbs that work on a stack or a cluster: status, preview, the file of PLAN=."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import with_config

from framework.cluster import ClusterStatus
from framework.core.changes import Op, PlanInputs, Severity
from framework.output.catalog_documents import CONFIG
from framework.output.models import TrackStatus


@with_config(CONFIG)
@dataclass(frozen=True)
class Status:
    """The tracks that run, and those of the plan that do not.

    `pending` are the models whose files changed since the last `up`; null if the recorded state is
    not in a folder, is empty or cannot be read, or if environment.yaml has errors.
    """

    stack: str
    tracks: tuple[TrackStatus, ...]
    pending: tuple[str, ...] | None


@dataclass(frozen=True)
class FieldChangeItem:
    """A field that changes. A side that lacks it is null; a secret is "[secret]"."""

    path: str
    old: Any
    new: Any


@dataclass(frozen=True)
class ChangeItem:
    """A resource of the change list. `model` is null for what belongs to no model."""

    op: Op
    urn: str
    kind: str
    object: str
    model: str | None
    fields: tuple[FieldChangeItem, ...]
    note: str


@dataclass(frozen=True)
class Forecast:
    """The update of one Deployment, in Pods; the last two are in seconds.

    `down_seconds` is how long no Pod may serve; 0 where some always do. Where a renamed Deployment
    replaces the old one, `surge` are the Pods of the old one: both run until the new one is ready.
    """

    replicas: int
    surge: int
    unavailable: int
    waves: int
    peak: int
    minimum_available: int
    worst_case_seconds: int
    down_seconds: int


@dataclass(frozen=True)
class ProblemItem:
    """A reason why `up` would fail or hang. With an error, `up` writes nothing.

    `position` is the `file:line:column` of the setting behind it, `fields` the fields of the
    object that cause it. `next` is what the user can do.
    """

    severity: Severity
    model: str | None
    object: str | None
    message: str
    fields: tuple[str, ...]
    position: str | None
    next: str | None


@with_config(CONFIG)
@dataclass(frozen=True)
class PreviewDocument:
    """The changes of the next `up`. `forecasts` has every Deployment of the plan by its name."""

    stack: str
    engine: str
    clean: bool
    changes: tuple[ChangeItem, ...]
    forecasts: dict[str, Forecast]
    outputs: dict[str, Any]
    messages: tuple[str, ...]
    problems: tuple[ProblemItem, ...]


@dataclass(frozen=True)
class PlannedChange(ChangeItem):
    """A change of a plan. `type` is Pulumi's.

    `takes_over` is true for an object that exists and that `up` takes over: an object of others, or
    one of this stack that its state does not have.
    """

    type: str
    takes_over: bool


@with_config(CONFIG)
@dataclass(frozen=True)
class PlanDocument:
    """The file of `preview` with PLAN=. `up` with PLAN= applies exactly this, or refuses.

    `models` are those that `model`, the option MODEL, selected; null for the whole stack. `inputs`
    are digests of what the plan was computed from. `checksum` covers all other keys. `changes` has
    no unchanged objects.
    """

    format: int
    checksum: str
    created: str
    stack: str
    environment: str
    model: str | None
    models: tuple[str, ...] | None
    engine: str
    clean: bool
    changes: tuple[PlannedChange, ...]
    unchanged: int
    forecasts: dict[str, Forecast]
    outputs: dict[str, Any]
    messages: tuple[str, ...]
    inputs: PlanInputs


@with_config(CONFIG)
@dataclass(frozen=True)
class ClusterStatusDocument(ClusterStatus):
    """The local cluster: its processes and nodes."""
