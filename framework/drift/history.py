"""The history of drift checks: when each finding was first found, and which were resolved.

`history.jsonl` has a line for each check of a stack, in the order of the checks. Only the newest
lines of a stack name its findings; the older ones keep the counts, so that the file stays small.

A line that cannot be read is never dropped: it moves to `history.damaged.jsonl`, with a
warning. A finding that only such a line named counts as new.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from framework.drift.grouping import Danger, find_danger
from framework.drift.report import DriftReport, Finding, FindingKind, Verdict
from framework.drift.run import DriftRun

HISTORY, DAMAGED = "history.jsonl", "history.damaged.jsonl"
_MAX_CHECKS = 400
"""Checks of one stack that are kept: more than a year of nights."""
_MAX_RESOLVED = 200
# Two jobs at once differ by less.
_MAX_SKEW = timedelta(hours=1)
# The line before the last names the findings too, in case the last one is damaged.
_NAMING = 2


@dataclass(frozen=True)
class PastFinding:
    """A finding of an earlier check. `since` is the time of the first check that found it.

    `change` and `danger` are None in older files.
    """

    id: str
    title: str
    since: AwareDatetime
    change: FindingKind | None = None
    danger: Danger | None = None
    accepted: bool = False

    @property
    def object_kind(self) -> str:
        """The kind of the object, with which the title begins."""
        return self.title.partition(" ")[0]

    @property
    def object(self) -> str:
        """The name of the object, which has no space: `namespace/name`, or `name`."""
        return self.title.partition(" ")[2].partition(" ")[0]

    @property
    def field(self) -> str:
        """The path of the field, with which the title ends; of a whole object, the change."""
        return self.title.partition(" ")[2].partition(" ")[2]

    def is_new_or_worse(self, before: PastFinding | None) -> bool:
        """Returns True if the check before did not find this drift, had it accepted, or found less
        danger."""
        if self.accepted or (before and not before.accepted and before.danger is None):
            return False
        if before is None or before.accepted or before.danger is None or self.danger is None:
            return True
        return self.danger.is_worse_than(before.danger)


@dataclass(frozen=True)
class HistoryEntry:
    """One check of one stack.

    `dangers` counts the findings by what they endanger. `open_findings` are all findings, accepted
    ones too (`standing` in the file); None in older lines. `resolved` are those of the check before
    that are gone. A finding whose object could not be read stays open, and so do all findings of a
    stack that could not be checked at all. `new_ids` are the ids of the findings that are new, no
    longer accepted, or worse than before (`news` in the file).
    """

    stack: str
    checked: AwareDatetime
    verdict: Verdict
    differences: int
    accepted: int = 0
    pending: int = 0
    dangers: dict[str, int] | None = None
    open_findings: Annotated[tuple[PastFinding, ...] | None, Field(alias="standing")] = None
    resolved: tuple[PastFinding, ...] = ()
    new_ids: Annotated[tuple[str, ...], Field(alias="news")] = ()


@dataclass(frozen=True)
class History:
    """All checks, oldest first. `damaged` are lines that cannot be read, `problems` say why."""

    entries: tuple[HistoryEntry, ...] = ()
    damaged: tuple[bytes, ...] = ()
    problems: tuple[str, ...] = ()

    def list_checks(self, stack: str) -> tuple[HistoryEntry, ...]:
        """Returns the checks of one stack."""
        return tuple(entry for entry in self.entries if entry.stack == stack)

    def find_first_checks(self, stack: str) -> Mapping[str, datetime]:
        """Returns the time of the first check that found each open finding, by its id."""
        return {past.id: past.since for past in self.find_open(stack)}

    def find_open(self, stack: str) -> tuple[PastFinding, ...]:
        """Returns the open findings of a stack, with those that the last check could not read."""
        checks = reversed(self.list_checks(stack))
        return next((e.open_findings for e in checks if e.open_findings is not None), ())

    def find_last_complete(self, stack: str) -> datetime | None:
        """Returns the time of the last complete check of a stack, None if there was none."""
        checks = reversed(self.list_checks(stack))
        return next((e.checked for e in checks if e.verdict is not Verdict.FAILED), None)

    def find_new(self, report: DriftReport) -> frozenset[str] | None:
        """Returns the ids of findings that are new, no longer accepted, or worse than before."""
        entry = self._find_entry(report)
        return frozenset(entry.new_ids) if entry else None

    def find_resolved(self, report: DriftReport) -> tuple[PastFinding, ...]:
        """Returns the findings of the check before that this one did not find; () without OUT=."""
        entry = self._find_entry(report)
        return entry.resolved if entry else ()

    def _find_entry(self, report: DriftReport) -> HistoryEntry | None:
        """Returns the entry of a check; None without OUT=, where the history has none."""
        entries = self.list_checks(report.stack.name)
        return entries[-1] if entries and entries[-1].checked == report.checked else None

    def add(self, run: DriftRun) -> History:
        """Returns the history with the checks of a run."""
        before = replace(self, entries=tuple(_correct_clocks(self.entries, run.checked)))
        entries = [*before.entries, *(before._build_entry(report) for report in run.reports)]
        for failed in run.failed:
            name = failed.stack.name
            still_open = before.find_open(name)
            entry = HistoryEntry(name, run.checked, Verdict.FAILED, 0, open_findings=still_open)
            entries.append(entry)
        return replace(self, entries=tuple(_trim(entries)))

    def with_other_stacks(self, current: History, run: DriftRun) -> History:
        """Returns the history with what `current` has about the stacks that the run did not check.

        Another environment may have written its check into the same file in the meantime.
        """
        own = {report.stack.name for report in run.reports}
        own |= {failed.stack.name for failed in run.failed}
        entries = [entry for entry in self.entries if entry.stack in own]
        entries += [entry for entry in current.entries if entry.stack not in own]
        return replace(self, entries=tuple(sorted(entries, key=lambda entry: entry.checked)))

    def _build_entry(self, report: DriftReport) -> HistoryEntry:
        before = {past.id: past for past in self.find_open(report.stack.name)}
        # Accepted findings too: one whose rule expires was found long ago.
        found = [*report.findings, *report.accepted]
        open_findings = {
            finding.id: _build_past(finding, before.get(finding.id), report.checked)
            for finding in found
        }
        new_ids = [
            past.id for past in open_findings.values() if past.is_new_or_worse(before.get(past.id))
        ]
        gone = [past for past in before.values() if past.id not in open_findings]
        # What was not looked at may still be there.
        hidden = [
            past
            for past in gone
            if any(
                part.hides(past.object_kind, past.object, past.change, past.field)
                for part in report.unread
            )
        ]
        open_findings |= {past.id: past for past in hidden}
        gone = [past for past in gone if past not in hidden]
        dangers: dict[str, int] = {}
        for finding in report.findings:
            danger = find_danger(finding)
            dangers[danger] = dangers.get(danger, 0) + 1
        return HistoryEntry(
            report.stack.name,
            report.checked,
            report.verdict,
            differences=len(report.findings),
            accepted=len(report.accepted),
            pending=len(report.pending),
            dangers=dangers,
            open_findings=tuple(open_findings.values()),
            resolved=tuple(gone[:_MAX_RESOLVED]),
            new_ids=tuple(new_ids),
        )

    def render(self) -> str:
        """Returns the text of `history.jsonl`."""
        return "".join(
            f"{_ADAPTER.dump_json(entry, by_alias=True).decode()}\n" for entry in self.entries
        )


_ADAPTER = TypeAdapter(HistoryEntry)


def _build_past(finding: Finding, before: PastFinding | None, checked: datetime) -> PastFinding:
    return PastFinding(
        finding.id,
        describe_finding(finding),
        before.since if before else checked,
        change=finding.kind,
        danger=find_danger(finding),
        accepted=finding.accepted_by is not None,
    )


def describe_finding(finding: Finding) -> str:
    """Returns the object and the field of a finding: `Deployment ml/churn spec.replicas`."""
    kind = "" if finding.path else f" {finding.kind}"
    return f"{finding.label} {finding.path}".rstrip() + kind


def load_history(folder: Path) -> History:
    """Reads the history of a folder; an empty one if there is none yet.

    Raises OSError if the file exists and cannot be read.
    """
    try:
        content = (folder / HISTORY).read_bytes()
    except FileNotFoundError:
        return History()
    entries, damaged, problems = [], [], []
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            entries.append(_mark_accepted(_ADAPTER.validate_json(line)))
        except ValidationError as error:
            damaged.append(line)
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            problems.append(
                f"{folder / HISTORY}:{number}: is not a check ({where + ': ' if where else ''}"
                f"{first['msg']}); the line moves to {DAMAGED}, and findings that only it named "
                "count as new"
            )
    # Two jobs may have written the folder in turn.
    entries.sort(key=lambda entry: entry.checked)
    return History(tuple(entries), tuple(damaged), tuple(problems))


def _mark_accepted(entry: HistoryEntry) -> HistoryEntry:
    """Returns the entry of an older version with the findings that can only be accepted ones.

    Such a line does not say which findings a rule covered, but it counts those that are drift. If
    none is, and the next check fails, no alert may begin.
    """
    past = entry.open_findings or ()
    is_older = all(finding.danger is None for finding in past)
    if not past or not is_older or entry.verdict is Verdict.FAILED or entry.differences:
        return entry
    return replace(entry, open_findings=tuple(replace(p, accepted=True) for p in past))


def _correct_clocks(entries: Sequence[HistoryEntry], checked: datetime) -> list[HistoryEntry]:
    """Returns the entries with no time later than the check that follows them.

    A clock that was once too fast would otherwise leave an entry that stays the newest for years:
    each night, all findings would be compared with it. If most entries are later than this check,
    its own clock is the wrong one, and they stay as they are.
    """
    late = sum(entry.checked > checked + _MAX_SKEW for entry in entries)
    if late * 2 > len(entries) > 1:
        return list(entries)
    return [_not_after(entry, checked) for entry in entries]


def _not_after(entry: HistoryEntry, checked: datetime) -> HistoryEntry:
    if entry.checked > checked + _MAX_SKEW:
        entry = replace(entry, checked=checked)
    if entry.open_findings and any(past.since > entry.checked for past in entry.open_findings):
        open_findings = (replace(p, since=min(p.since, entry.checked)) for p in entry.open_findings)
        entry = replace(entry, open_findings=tuple(open_findings))
    return entry


def _trim(entries: Iterable[HistoryEntry]) -> list[HistoryEntry]:
    """Returns the entries without the oldest, and with named findings only in the newest."""
    kept: list[HistoryEntry] = []
    seen: dict[str, int] = {}
    # The newest first, because the limits count from the newest check of each stack.
    for entry in sorted(entries, key=lambda entry: entry.checked, reverse=True):
        count = seen.get(entry.stack, 0)
        seen[entry.stack] = count + 1
        if count < _MAX_CHECKS:
            kept.append(
                entry if count < _NAMING else replace(entry, open_findings=None, new_ids=())
            )
    return kept[::-1]
