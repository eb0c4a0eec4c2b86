"""The JSON of `drift`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import with_config

from framework.core.changes import Op
from framework.drift.grouping import Danger
from framework.drift.report import FindingKind, Verdict
from framework.output.catalog_documents import CONFIG
from framework.output.stack_documents import FieldChangeItem


@dataclass(frozen=True)
class DriftedField(FieldChangeItem):
    """A field that differs: `old` is the desired value, `new` the live one.

    Who wrote it may be unknown.
    """

    manager: str | None
    time: str | None


@dataclass(frozen=True)
class DriftedObject:
    """An object with drift, with all its fields that differ."""

    op: Op
    urn: str
    kind: str
    object: str
    model: str | None
    fields: tuple[DriftedField, ...]
    note: str


@dataclass(frozen=True)
class AcceptingRule:
    """The rule of `drift.accept` that covers a finding; `until` is its last day."""

    reason: str
    until: str | None
    position: str | None


@dataclass(frozen=True)
class DriftFinding:
    """One difference: a field of an object, or a whole object if `path` is null.

    `id` is the fingerprint, the same in every night and on every machine. `source` is the position
    of the setting behind the field. `since` is the first check that found it. `new` is true if the
    check before did not report it as drift, or with a smaller danger. Both are null without OUT=.
    """

    id: str
    change: FindingKind
    danger: Danger
    kind: str
    type: str
    object: str
    urn: str | None
    model: str | None
    path: str | None
    desired: Any
    recorded: Any
    live: Any
    manager: str | None
    time: str | None
    source: str | None
    note: str
    since: str | None
    new: bool | None
    accepted_by: AcceptingRule | None


@dataclass(frozen=True)
class DriftGroup:
    """Findings with one cause, by their ids. `change` is null for those of a single object."""

    danger: Danger
    change: str | None
    manager: str | None
    first: str | None
    last: str | None
    objects: int
    models: tuple[str, ...]
    findings: tuple[str, ...]


@dataclass(frozen=True)
class ResolvedFinding:
    """A finding of the check before that is gone, and the first check that found it."""

    id: str
    title: str
    since: str


@dataclass(frozen=True)
class RefreshReason:
    """The reason why only one of both checks counts these objects."""

    reason: str
    objects: tuple[str, ...]


@dataclass(frozen=True)
class PulumiRefresh:
    """The verdict of `pulumi refresh --preview-only`: the objects whose record it would change."""

    clean: bool
    objects: tuple[str, ...]
    differences: tuple[RefreshReason, ...]


@dataclass(frozen=True)
class DriftedStack:
    """The check of one stack. `groups` are sorted by what they endanger, the worst first.

    `pending` are models whose files changed since the last `up`, `deletions` the objects that the
    files no longer have, `problems` what could not be checked. `uncompared` are resources that only
    the pulumi CLI can read, and did not read. `refresh` is null with the embedded engine.
    """

    stack: str
    verdict: Verdict
    models: int
    objects: int
    checked: str | None
    findings: tuple[DriftFinding, ...]
    groups: tuple[DriftGroup, ...]
    accepted: tuple[DriftFinding, ...]
    resolved: tuple[ResolvedFinding, ...]
    pending: tuple[str, ...]
    deletions: tuple[str, ...]
    warnings: tuple[str, ...]
    problems: tuple[str, ...]
    uncompared: tuple[str, ...]
    refresh: PulumiRefresh | None


@with_config(CONFIG)
@dataclass(frozen=True)
class Drift:
    """The differences between desired state, recorded state and cluster.

    `stacks` has everything. `stack`, `clean`, `changes` and `messages` are a summary by object.
    """

    environment: str
    verdict: Verdict
    exit_code: int
    checked: str
    seconds: float
    stacks: tuple[DriftedStack, ...]
    stack: str
    clean: bool
    changes: tuple[DriftedObject, ...]
    messages: tuple[str, ...]
