"""The settings of `drift`: accepted differences, and injectors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from framework.core.diagnostics import SettingDiagnostic
from framework.settings.base import Checked, Settings
from framework.settings.values import IsoDate

Pattern = Annotated[str, Field(min_length=1)]
# The values of FindingKind and Danger in framework/drift, which is above the settings.
Change = Literal["changed", "added", "missing", "recreated", "foreign"]
DangerLimit = Literal["label", "setting", "budget", "serving"]


def _require_one(settings: Settings, *keys: str) -> Iterator[SettingDiagnostic]:
    if all(getattr(settings, key) is None for key in keys):
        names = ", ".join(keys[:-1])
        yield SettingDiagnostic((), f"covers everything; expected at least {names} or {keys[-1]}")


class AcceptedDrift(Checked):
    """Differences that the drift report lists as accepted. Every key that is given must match. In
    patterns `*` stands for any text and `?` for one character."""

    kind: Pattern | None = None
    """Pattern of the object's kind, such as `Deployment`."""
    model: Pattern | None = None
    """Pattern of the model's name."""
    object: Pattern | None = None
    """Pattern of the object, as the report writes it: `ml-prod/sentiment`."""
    path: Pattern | None = None
    """Pattern of the field, which covers everything below it as well. `spec.template.spec.` may be
    left out: `containers[model].env[DEBUG]`."""
    change: Change | None = None
    """Kind of difference. `foreign` covers an object only until the stack owns it, and `missing`
    only until the object exists again. Without it, the rule covers every kind of difference."""
    danger: DangerLimit | None = None
    """Worst danger that the rule covers, as in `danger` of a finding in report.json. For example, a
    rule with `budget` covers 9 replicas, but not 0. Without it, the rule covers every danger, and a
    check warns if it covers a finding with `serving`."""
    live: str | None = None
    """Live value that the rule covers: a text as it is, anything else as JSON in quotes, such as
    `"9"`; `"null"` for a field that somebody removed. Without it, the rule covers every value."""
    reason: str = Field(min_length=1)
    """Reason why the difference is accepted."""
    until: IsoDate | None = None
    """Last day of the rule in UTC: `"2026-12-31"`, quoted. After it, the difference is drift."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Reports a rule that covers every difference."""
        yield from _require_one(self, "kind", "model", "object", "path")


class InjectorRule(Checked):
    """Additions that controllers or webhooks may make: they do not count as drift, and `up` leaves
    them. Every key that is given must match. In patterns `*` stands for any text and `?` for one
    character."""

    manager: Pattern | None = None
    """Pattern of the field manager that adds the fields, as the drift report names it."""
    path: Pattern | None = None
    """Pattern of the added field, which covers everything below it as well. `spec.template.spec.`
    may be left out: `containers[istio-proxy]`."""
    kind: Pattern | None = None
    """Pattern of the object's kind."""
    reason: str = ""
    """Reason for the entry."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Reports an entry that covers every addition."""
        yield from _require_one(self, "manager", "path")


class Drift(Settings):
    """Differences that the drift check accepts, and additions that `up` leaves in place."""

    accept: tuple[AcceptedDrift, ...] = Field(default=(), strict=False)
    """Rules for differences that are accepted, permanently or until a date."""
    injectors: tuple[InjectorRule, ...] = Field(default=(), strict=False)
    """Controllers and webhooks that may add to the environment's objects, such as a sidecar."""
