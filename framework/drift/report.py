"""The drift report: one finding for each difference between a stack and its cluster."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Any

from framework.core.commands import make_command
from framework.core.diagnostics import Position
from framework.core.drift_rules import AcceptRule
from framework.core.stack import Stack

ID_LENGTH = 12
"""Hexadecimal digits in the id of a finding."""


class FindingKind(StrEnum):
    """The kinds of difference between a stack and its cluster."""

    CHANGED = "changed"
    """A field that the stack sets has another value, or somebody removed it."""
    ADDED = "added"
    """Somebody added a field, or an item of a list, that the stack does not set."""
    MISSING = "missing"
    """The object is gone, or is being deleted, alone or with its Namespace."""
    RECREATED = "recreated"
    """Somebody deleted the object and created it again. Fields that differ are further findings.
    Without our labels the new object is that of others (`Finding.belongs_to_others`)."""
    FOREIGN = "foreign"
    """No stack owns the object, and it is in our Namespace or touches our Pods. So is a Pod of ours
    that somebody changed (`Finding.is_changed_pod`)."""


@dataclass(frozen=True)
class Finding:
    """One difference: a field of an object, or a whole object.

    A field has three values: `desired` by the files, `recorded` by the last `up`, and `live` in the
    cluster. None means that the field does not exist there. They are JSON values as the API server
    has them, with secrets redacted, and all None for a whole object.
    """

    kind: FindingKind
    type: str
    """Pulumi's token: `kubernetes:apps/v1:Deployment`."""
    object: str
    """`namespace/name`, or `name` for an object in no Namespace."""
    urn: str = ""
    """The URN of the resource, "" for a foreign object."""
    model: str = ""
    """The nearest component of the resource. For a foreign object, the model that it touches. ""
    for none."""
    path: str = ""
    """The path of the field, in the notation of core/field_paths.py; "" for a whole object."""
    desired: Any = None
    recorded: Any = None
    live: Any = None
    manager: str = ""
    """The field manager that wrote the live value, or the object, last; "" if unknown."""
    time: str = ""
    """The time of that write in RFC 3339, "" if unknown."""
    applied: str = ""
    """The time when the last `up` wrote the object in RFC 3339, "" if unknown."""
    source: Position | None = None
    """The setting behind the field, where one exists."""
    note: str = ""
    """One sentence for the reader, "" where the values say it all."""
    accepted_by: AcceptRule | None = None
    """The rule of `drift.accept` that covers the finding."""
    belongs_to_others: bool = False
    """The name belongs to an object of others now: `up` refuses it, `adopt` takes it over."""
    is_changed_pod: bool = False
    """A Pod of ours, foreign because somebody changed it: no record describes a single Pod."""
    touches_several: bool = False
    """A foreign object that touches several models, so that `model` names none of them."""
    list_differences: int = 0
    """The number of live differences of the list without keys that the field is in; 0 for none."""
    list_is_pending: bool = False
    """The files changed this list since the last `up`."""
    id: str = ""
    """See `build_id`."""

    @property
    def object_kind(self) -> str:
        """The last part of the type token: `Deployment`."""
        return self.type.rpartition(":")[2]

    @property
    def label(self) -> str:
        """The kind and the name of the object: `Deployment ml-prod/ranker`."""
        return f"{self.object_kind} {self.object}"


def build_id(stack: Stack, finding: Finding) -> str:
    """Returns the id of a finding: the same in every night and on every machine.

    Values, times and UIDs are left out, because the next night would change them: a field that
    somebody sets again is the same finding, and so is an object that is recreated again.
    """
    # As JSON, because a separator could be a part of a path.
    parts = [stack.name, finding.kind.value, finding.type, finding.object, finding.path]
    # Of 100,000 findings two are equal in so many digits with a probability of 2 in 100,000.
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:ID_LENGTH]


@dataclass(frozen=True)
class Unread:
    """Objects that a check could not read: what an earlier check found about them stays open.

    All other findings that are gone are resolved, also by a check that was not complete: otherwise
    one forbidden kind would keep every alert alive.
    """

    object_kind: str
    """`Deployment`; "" for every kind."""
    object: str
    """`namespace/name`, or `namespace/` for all objects in a Namespace."""
    is_foreign: bool = False
    """Only foreign objects of these are unknown."""
    path: str = ""
    """The only field that is unknown; "" for the whole object."""

    def hides(
        self, object_kind: str, object: str, change: FindingKind | None, path: str = ""
    ) -> bool:
        """Returns whether a finding of an earlier check may still be there. `change` is None if it
        is unknown, and `object` is `namespace/name`."""
        if self.is_foreign and change not in (None, FindingKind.FOREIGN):
            return False
        if self.path and path != self.path:
            return False
        is_object = object == self.object
        is_inside = self.object.endswith("/") and object.startswith(self.object)
        return self.object_kind in ("", object_kind) and (is_object or is_inside)


@dataclass(frozen=True)
class RefreshVerdict:
    """The verdict of `pulumi refresh --preview-only`, which the CLI engine runs beside the check.

    `objects` are those whose record a refresh would change, `compared` counts those where the check
    found drift. `reasons` are pairs of a reason and the objects that only one of the two
    checks counts.
    """

    objects: tuple[str, ...]
    compared: int
    reasons: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def clean(self) -> bool:
        """True when a refresh would change nothing."""
        return not self.objects


class Verdict(StrEnum):
    """The result of a check. A check that is not complete is never clean."""

    CLEAN = "clean"
    DRIFT = "drift"
    FAILED = "failed"


@dataclass(frozen=True)
class DriftReport:
    """The drift of one stack: Namespaces first, missing objects last, foreign ones at the end.

    `findings` are drift. `accepted` are those that a rule covers. `pending` are the models whose
    files changed since the last `up`. `deletions` are the objects that the files no longer have, so
    that the next `up` deletes them. `objects` and `models` count everything that was compared.
    `warnings` are about interrupted commands and rules without effect; `problems` name what could
    not be checked, so a report with any is never clean. `uncompared` has a finding for each
    resource that only the pulumi CLI can read, and did not read; `uses_cli` is True if it made the
    check. `unread` are the objects behind all of these, and those of custom kinds that the account
    may not list.
    """

    stack: Stack
    findings: tuple[Finding, ...]
    accepted: tuple[Finding, ...] = ()
    pending: tuple[str, ...] = ()
    deletions: tuple[str, ...] = ()
    objects: int = 0
    models: int = 0
    checked: datetime = field(default_factory=partial(datetime.now, UTC))
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    uncompared: tuple[Finding, ...] = ()
    uses_cli: bool = False
    unread: tuple[Unread, ...] = ()
    kubectl_options: tuple[str, ...] = ()
    """The options with which kubectl talks to the cluster that was checked."""
    refresh: RefreshVerdict | None = None
    """None with the embedded engine, which has no `pulumi refresh`."""

    @property
    def clean(self) -> bool:
        """True when nothing differs, and everything but what is `uncompared` was checked."""
        return self.verdict is Verdict.CLEAN

    @property
    def verdict(self) -> Verdict:
        """The result of the check of this stack."""
        if self.problems:
            return Verdict.FAILED
        return Verdict.DRIFT if self.findings else Verdict.CLEAN

    def list_warnings(self) -> tuple[str, ...]:
        """Returns the warnings, and one that names what was not compared."""
        if not self.uncompared:
            return self.warnings
        # Without a limit, because these names appear nowhere else in the report.
        names = ", ".join(finding.label for finding in self.uncompared)
        command = f"{make_command('drift', self.stack.environment)} ENGINE=cli"
        # The CLI engine has a problem or a warning about the refresh, with what to do.
        remedy = "" if self.uses_cli else f"; next: `{command}`"
        return (*self.warnings, f"warning: {names}: {self.explain_uncompared()}{remedy}")

    def explain_uncompared(self) -> str:
        """Returns why the resources of `uncompared` were not compared."""
        if self.uses_cli:
            return "not compared, because `pulumi refresh --preview-only` did not read it"
        return "not compared, because only the pulumi CLI can read it"
