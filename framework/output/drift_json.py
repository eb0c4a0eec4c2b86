"""Builds the JSON document of a drift check."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from framework.core.changes import Op
from framework.drift.grouping import FindingGroup, find_danger
from framework.drift.history import History
from framework.drift.report import DriftReport, Finding, FindingKind, Verdict
from framework.drift.run import EXIT_CODES, DriftRun, FailedStack
from framework.output.drift import Since
from framework.output.drift_documents import (
    AcceptingRule,
    Drift,
    DriftedField,
    DriftedObject,
    DriftedStack,
    DriftFinding,
    DriftGroup,
    PulumiRefresh,
    RefreshReason,
    ResolvedFinding,
)


def build_drift(run: DriftRun, history: History | None = None) -> Drift:
    """Returns the check of an environment; `history` adds since when and what was resolved."""
    history = history or History()
    objects: dict[tuple[str, str], list[Finding]] = {}
    for finding in run.findings:
        objects.setdefault((finding.type, finding.object), []).append(finding)
    stacks = [
        *(_build_stack(report, groups, history) for report, groups in run.groups),
        *map(_build_failed, run.failed),
    ]
    return Drift(
        environment=run.environment,
        verdict=run.verdict,
        exit_code=EXIT_CODES[run.verdict],
        checked=_write_time(run.checked),
        seconds=round(run.seconds, 3),
        stacks=tuple(stacks),
        stack=stacks[0].stack if len(stacks) == 1 else run.environment,
        clean=run.verdict is Verdict.CLEAN,
        changes=tuple(map(_build_object, objects.values())),
        messages=tuple(warning for report in run.reports for warning in report.list_warnings()),
    )


def _build_stack(
    report: DriftReport, groups: Sequence[FindingGroup], history: History
) -> DriftedStack:
    name = report.stack.name
    since, new_ids = history.find_first_checks(name), history.find_new(report)
    resolved = tuple(
        ResolvedFinding(past.id, past.title, _write_time(past.since))
        for past in history.find_resolved(report)
    )
    refresh = None
    if verdict := report.refresh:
        reasons = tuple(RefreshReason(reason, names) for reason, names in verdict.reasons)
        refresh = PulumiRefresh(verdict.clean, verdict.objects, reasons)
    return DriftedStack(
        stack=name,
        verdict=report.verdict,
        models=report.models,
        objects=report.objects,
        checked=_write_time(report.checked),
        findings=tuple(_build_finding(finding, since, new_ids) for finding in report.findings),
        groups=tuple(map(_build_group, groups)),
        accepted=tuple(_build_finding(finding, since, new_ids) for finding in report.accepted),
        resolved=resolved,
        pending=report.pending,
        deletions=report.deletions,
        warnings=report.list_warnings(),
        problems=report.problems,
        uncompared=tuple(finding.label for finding in report.uncompared),
        refresh=refresh,
    )


def _build_failed(failed: FailedStack) -> DriftedStack:
    report = DriftReport(failed.stack, (), problems=(failed.reason,))
    return replace(_build_stack(report, (), History()), checked=None)


def _build_finding(finding: Finding, since: Since, new_ids: Collection[str] | None) -> DriftFinding:
    rule = finding.accepted_by
    first = since.get(finding.id)
    return DriftFinding(
        id=finding.id,
        change=finding.kind,
        danger=find_danger(finding),
        kind=finding.object_kind,
        type=finding.type,
        object=finding.object,
        urn=finding.urn or None,
        model=finding.model or None,
        path=finding.path or None,
        desired=finding.desired,
        recorded=finding.recorded,
        live=finding.live,
        manager=finding.manager or None,
        time=finding.time or None,
        source=str(finding.source) if finding.source else None,
        note=finding.note,
        since=_write_time(first) if first else None,
        new=None if new_ids is None else finding.id in new_ids,
        accepted_by=AcceptingRule(
            rule.reason,
            rule.until.isoformat() if rule.until else None,
            str(rule.position) if rule.position else None,
        )
        if rule
        else None,
    )


def _build_group(group: FindingGroup) -> DriftGroup:
    return DriftGroup(
        danger=group.danger,
        change=group.change or None,
        manager=group.manager or None,
        first=group.first or None,
        last=group.last or None,
        objects=len(group.objects),
        models=group.models,
        findings=tuple(finding.id for finding in group.findings),
    )


def _build_object(findings: Sequence[Finding]) -> DriftedObject:
    first = findings[0]
    return DriftedObject(
        op=Op.DELETE if first.kind is FindingKind.MISSING else Op.UPDATE,
        urn=first.urn,
        kind=first.object_kind,
        object=first.object,
        model=first.model or None,
        fields=tuple(
            DriftedField(f.path, f.desired, f.live, f.manager or None, f.time or None)
            for f in findings
            if f.path
        ),
        note=first.note,
    )


def _write_time(time: datetime) -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")
