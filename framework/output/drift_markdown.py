"""Renders a drift check as Markdown, for an issue or a chat: the causes, then each finding.

Names and values of a cluster are escaped. The text stays below the limit of a GitHub issue, and
lists what was cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from framework.core.suggestions import list_names
from framework.drift.grouping import FindingGroup, describe_change
from framework.drift.history import History
from framework.drift.report import DriftReport, Finding, Verdict
from framework.drift.run import DriftRun
from framework.output.drift import (
    DANGER_NAMES,
    DELETES,
    Since,
    build_change,
    describe_refresh,
    list_commands,
    render_cause,
    render_change,
    render_objects,
    render_rule,
)
from framework.output.markdown import escape_cell, escape_markdown, fence
from framework.output.text import render_count, render_visible
from framework.output.values import render_apart, render_values

# GitHub accepts 65,536 characters. The rest is for what a workflow adds around the report.
_MAX_BYTES = 60_000
_MAX_ROWS = 50
# The most bytes of what is before the tables, and of what is behind them.
_MAX_BYTES_AROUND = 15_000
# Kept for the heads of the tables, the commands, and the notes about what was cut.
_RESERVED = 4_000
_MAX_PENDING = 50
_MAX_RESOLVED = 10


def render_drift_markdown(run: DriftRun, history: History | None = None) -> str:
    """Renders the check; `history` adds the date of the check that first found each finding."""
    history = history or History()
    head = [f"### {escape_markdown(run.environment)}: {render_verdict(run)}", ""]
    head += _limit(list(_render_stacks(run)))
    # What does not count as drift, what was resolved, and the next commands.
    tail = _limit(list(_list_notes(run, history)))
    if commands := [f"{command}   # {what}" for what, command in list_commands(run)]:
        tail += ["", *fence(commands, "sh")]
    causes, details = list[str](), list[str]()
    for report, groups in run.groups:
        since = history.find_first_checks(report.stack.name)
        causes += _list_causes(groups, since)
        details += _list_details(report, since)
    room = _MAX_BYTES - _size([*head, *tail]) - _RESERVED
    shown_causes = _fit(causes[:_MAX_ROWS], room)
    shown = _fit(details, room - _size(shown_causes))
    lines = [*head]
    if shown_causes:
        lines += ["", "| endangers | object | change | by | since |", "|---|---|---|---|---|"]
        lines += shown_causes
        if len(shown_causes) < len(causes):
            lines.append(f"\n{_render_cut(len(causes) - len(shown_causes), 'row')}")
    if shown:
        lines += ["", f"<details><summary>{render_count(len(details), 'finding')}</summary>", ""]
        lines += ["| id | object | field | desired | recorded | live | set at |"]
        lines += ["|---|---|---|---|---|---|---|", *shown, "", "</details>"]
    if len(shown) < len(details):
        lines.append(f"\n{_render_cut(len(details) - len(shown), 'finding')}")
    return "\n".join([*lines, *tail]) + "\n"


def render_verdict(run: DriftRun) -> str:
    """Returns the verdict in a few words: `12 differences`, `clean`, `not fully checked`."""
    count = render_count(len(run.findings), "difference") if run.findings else ""
    uncompared = sum(len(report.uncompared) for report in run.reports)
    parts = [
        "not everything could be checked" if run.verdict is Verdict.FAILED else "",
        count or ("clean" if run.verdict is Verdict.CLEAN else ""),
        f"{render_count(uncompared, 'resource')} not compared" if uncompared else "",
    ]
    return ", ".join(filter(None, parts))


def _render_stacks(run: DriftRun) -> Iterator[str]:
    for report in run.reports:
        yield escape_markdown(
            f"{report.stack}: {render_count(report.models, 'model')}, "
            f"{render_count(report.objects, 'object')}, checked "
            f"{report.checked:%Y-%m-%d %H:%M} UTC"
        )
        yield from (f"\n**Not checked:** {_text(problem)}" for problem in report.problems)
        yield from (f"\n> {_text(warning)}" for warning in report.list_warnings())
    for failed in run.failed:
        yield f"\n**Not checked:** stack {_text(str(failed.stack))}: {_text(failed.reason)}"


def _list_causes(groups: Sequence[FindingGroup], since: Since) -> Iterator[str]:
    for group in groups:
        first = group.findings[0]
        objects = render_objects(group) if group.is_shared else first.label
        changes = [render_change(group)] if group.is_shared else [*map(_short, group.findings)]
        times = [since[f.id] for f in group.findings if f.id in since]
        cause = render_cause(group).removeprefix("by ")
        stood = f"{min(times):%Y-%m-%d}" if times else ""
        cells = [DANGER_NAMES[group.danger], objects, "; ".join(changes), cause, stood]
        yield _row(cells)


def _list_details(report: DriftReport, since: Since) -> Iterator[str]:
    for finding in report.findings:
        yield _row(
            [
                f"{finding.id}",
                finding.label,
                finding.path or finding.note or finding.kind,
                *render_apart((finding.desired, finding.recorded, finding.live), missing=""),
                str(finding.source or ""),
            ]
        )


def _list_notes(run: DriftRun, history: History) -> Iterator[str]:
    for report in run.reports:
        for finding in report.accepted:
            text = f"{finding.label} {_short(finding)} ({render_rule(finding.accepted_by)})"
            yield f"\n- accepted: {_text(text)}"
        if report.pending:
            names = list_names(report.pending, _MAX_PENDING)
            yield f"\n- pending, changed in the catalog and not applied: {_text(names)}"
        if report.deletions:
            names = list_names(report.deletions, _MAX_PENDING)
            yield f"\n- {_text(f'{DELETES}: {names}')}"
        if report.refresh:
            yield f"\n- pulumi {_text('; '.join(describe_refresh(report.refresh)))}"
        if resolved := history.find_resolved(report):
            names = list_names([past.title for past in resolved], _MAX_RESOLVED)
            yield f"\n- resolved since the previous check: {_text(names)}"


def _limit(lines: Sequence[str]) -> list[str]:
    """Returns the first lines that fit beside the tables, and how many do not."""
    shown = _fit(lines, _MAX_BYTES_AROUND)
    left_out = len(lines) - len(shown)
    return [*shown, f"\n{_render_cut(left_out, 'line')}"] if left_out else shown


def _render_cut(count: int, noun: str) -> str:
    return f"_{render_count(count, noun)} left out here; report.html and report.json have all._"


def _short(finding: Finding) -> str:
    if not finding.path:
        return finding.note or describe_change(finding)
    return f"{finding.path} {render_values(build_change(finding))}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(escape_cell(render_visible(cell)) for cell in cells)} |"


def _text(text: str) -> str:
    return escape_markdown(render_visible(text))


def _size(lines: Sequence[str]) -> int:
    # In bytes: how GitHub counts a character outside ASCII is not documented.
    return sum(len(line.encode()) + 1 for line in lines)


def _fit(rows: Sequence[str], room: int) -> list[str]:
    """Returns the first rows that fit into so many bytes."""
    shown: list[str] = []
    for row in rows:
        room -= len(row.encode()) + 1
        if room < 0:
            break
        shown.append(row)
    return shown
