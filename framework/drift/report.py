"""The drift report: one finding per object that differs from what was recorded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from framework.core.changes import FieldChange
from framework.core.stack import Stack


class FindingKind(StrEnum):
    """The difference between a recorded object and the live one."""

    CHANGED = "changed"
    """Fields differ."""
    MISSING = "missing"
    """The object is gone, or is being deleted, alone or with its Namespace."""
    RECREATED = "recreated"
    """Somebody deleted the object and created it again; fields may differ as well."""


@dataclass(frozen=True)
class DriftFinding:
    """One object that differs from what was recorded.

    `type` is Pulumi's token (`kubernetes:apps/v1:Deployment`), `object` is `namespace/name` or
    `name`, `model` is the nearest component, "" for none. Of each field `old` is the desired value
    and `new` the live one, with the manager that wrote it and the time. `note` is one sentence for
    the reader, "" where the fields say it all.
    """

    kind: FindingKind
    urn: str
    type: str
    object: str
    model: str
    fields: tuple[FieldChange, ...] = ()
    note: str = ""

    @property
    def object_kind(self) -> str:
        """The last part of the type token: `Deployment`."""
        return self.type.rpartition(":")[2]


@dataclass(frozen=True)
class DriftReport:
    """The drift of one stack, Namespaces first and missing objects last.

    `objects` and `models` count everything that was compared, with or without findings. `warnings`
    are about interrupted commands.
    """

    stack: Stack
    findings: tuple[DriftFinding, ...]
    objects: int
    models: int
    warnings: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """True when nothing differs."""
        return not self.findings

    @property
    def differences(self) -> int:
        """The number of fields that differ; an object without any counts as one."""
        return sum(max(1, len(finding.fields)) for finding in self.findings)
