"""Renders a drift check as one HTML page, which on-call opens at night.

The page needs no network and no script, and follows the browser's light or dark theme. Its order is
that of the questions at night: is it serious, what to do, who did it, since when.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from framework.core.changes import FieldChange
from framework.core.suggestions import list_names
from framework.drift.grouping import Danger, FindingGroup
from framework.drift.history import History
from framework.drift.report import Finding, FindingKind, Verdict
from framework.drift.run import DriftRun
from framework.output.drift import (
    DANGER_NAMES,
    DELETES,
    Since,
    describe_refresh,
    list_commands,
    render_cause,
    render_change,
    render_objects,
    render_rule,
    render_time,
    render_writer,
)
from framework.output.drift_chart import render_chart
from framework.output.drift_markdown import render_verdict
from framework.output.html import Html, element, join, table
from framework.output.text import render_count, shorten_path
from framework.output.values import list_changed_lines, render_apart

# A page stays readable, and below 1 MB; report.json has everything.
_MAX_FINDINGS = 1_000
_MAX_CHARACTERS = 1_000
_MAX_LINE = 200
# The classes of the lines of a diff by their first character.
_LINE_KINDS = {"+": "add", "-": "del"}
_NOT_SET = "not set"
_MAX_DIFF_LINES = 40
_MAX_RESOLVED = 50
# Groups that are open at first. On a bad night, a list of causes is more useful than a long page.
_MAX_OPEN = 8

# Nothing may be loaded, so a value that slipped through could not call home either.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'"


@dataclass(frozen=True)
class Neighbour:
    """The last check of another environment, whose page is in a folder beside this one."""

    environment: str
    verdict: str
    checked: str
    differences: int
    page: str


def render_drift_html(
    run: DriftRun, history: History | None = None, neighbours: Sequence[Neighbour] = ()
) -> str:
    """Renders the page. `history` includes the check; `neighbours` are other environments."""
    history = history or History()
    title = f"{run.environment}: {render_verdict(run)}"
    head = element(
        "head",
        Html('<meta charset="utf-8">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        element("title", f"Drift in {title}"),
        element("style", Html(Path(__file__).with_name("drift.css").read_text(encoding="utf-8"))),
    )
    body = element(
        "body", _render_header(run), element("main", *_list_sections(run, history, neighbours))
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _render_header(run: DriftRun) -> Html:
    when = f"checked {run.checked:%Y-%m-%d %H:%M} UTC in {run.seconds:.1f} s"
    return element(
        "header",
        element("h1", f"Drift in {run.environment}"),
        element("span", render_verdict(run), kind=f"verdict {run.verdict}"),
        element("span", when, kind="soft"),
    )


def _list_sections(
    run: DriftRun, history: History, neighbours: Sequence[Neighbour]
) -> Iterator[Html]:
    problems = [
        *((report.stack.name, text) for report in run.reports for text in report.problems),
        *((failed.stack.name, failed.reason) for failed in run.failed),
    ]
    if problems:
        items = [element("p", element("strong", name), ": ", text) for name, text in problems]
        yield _section("Not checked", element("div", *items, kind="card alert"))
    yield _section("At a glance", _render_overview(run, neighbours))
    commands = list_commands(run)
    if commands:
        pairs = [
            element("dt", name) + element("dd", element("code", command))
            for name, command in commands
        ]
        yield _section("Next", element("dl", *map(Html, pairs), kind="card commands"))
    yield from _list_causes(run, history)
    yield from _list_others(run)
    yield from _list_history(run, history)


def _section(title: str, *content: Html) -> Html:
    return element("section", element("h2", title), *content)


def _render_overview(run: DriftRun, neighbours: Sequence[Neighbour]) -> Html:
    heads = [
        _head("stack"),
        _head("result"),
        *(_head(DANGER_NAMES[danger], "number wide") for danger in Danger),
        _head("accepted", "number"),
        _head("pending", "number"),
        _head("objects", "number wide"),
    ]
    rows = []
    for report, groups in run.groups:
        verdict = report.verdict
        counts = [sum(len(g.findings) for g in groups if g.danger is danger) for danger in Danger]
        words = {Verdict.CLEAN: "clean", Verdict.FAILED: "not fully checked"}.get(verdict, "")
        words = words or render_count(len(report.findings), "difference")
        rows.append(
            element(
                "tr",
                element("th", report.stack.name, scope="row"),
                element("td", element("strong", words, kind=verdict.value)),
                *(
                    element(
                        "td", str(count), kind=f"number wide {danger if count else ''}".rstrip()
                    )
                    for danger, count in zip(Danger, counts, strict=True)
                ),
                element("td", str(len(report.accepted)), kind="number"),
                element("td", str(len(report.pending)), kind="number"),
                element("td", str(report.objects), kind="number wide"),
            )
        )
    for failed in run.failed:
        rows.append(_render_row_of_words(failed.stack.name, "not checked", "failed", len(heads)))
    for other in neighbours:
        link = element("a", other.environment, href=other.page)
        count = render_count(other.differences, "difference")
        words = "not fully checked" if other.verdict == "failed" else other.verdict
        words = count if other.verdict == "drift" else words
        text = f"{words}, checked {render_time(other.checked)}"
        kind = other.verdict if other.verdict in [*Verdict] else "failed"
        rows.append(_render_row_of_words(link, text, kind, len(heads)))
    return element("div", table(heads, rows), kind="card scroll")


def _render_row_of_words(name: str | Html, words: str, kind: str, columns: int) -> Html:
    cell = element("td", element("strong", words, kind=kind), colspan=str(columns - 1))
    return element("tr", element("th", name, scope="row"), cell)


def _head(text: str, kind: str = "") -> Html:
    return element("th", text, kind=kind, scope="col")


def _list_causes(run: DriftRun, history: History) -> Iterator[Html]:
    """Yields the groups under a heading for each danger, the worst first."""
    room, opened = _MAX_FINDINGS, 0
    blocks: list[Html] = []
    for danger in Danger:
        groups = [
            (report, group)
            for report, groups in run.groups
            for group in groups
            if group.danger is danger
        ]
        if not groups:
            continue
        count = sum(len(group.findings) for _, group in groups)
        blocks.append(
            element("h3", f"{DANGER_NAMES[danger].capitalize()} ({count})", kind=danger.value)
        )
        for report, group in groups:
            opened += 1
            is_open = opened <= _MAX_OPEN and len(group.findings) <= _MAX_OPEN
            stack = report.stack.name if len(run.groups) > 1 else ""
            shown, since = group.findings[:room], history.find_first_checks(report.stack.name)
            room -= len(shown)
            blocks.append(_render_group(group, shown, since, run.checked, stack, is_open))
    if blocks:
        left_out = len(run.findings) - _MAX_FINDINGS
        if left_out > 0:
            text = f"{render_count(left_out, 'finding')} left out here; report.json has all."
            blocks.append(element("p", text, kind="soft"))
        yield _section("Causes", *blocks)


def _render_group(
    group: FindingGroup,
    shown: Sequence[Finding],
    since: Since,
    checked: datetime,
    stack: str,
    is_open: bool,
) -> Html:
    first = group.findings[0]
    if group.is_shared:
        title = f"{render_objects(group)}: {render_change(group)}"
        body = _render_shared(group, shown, since)
    else:
        title = f"{first.label}: {_summarize(group.findings)}"
        # For a whole object, the title of the group already has everything.
        named = len(group.findings) > 1 or bool(first.path)
        body = join(_render_finding(finding, since, checked, named) for finding in shown)
    by = " · ".join(filter(None, (render_cause(group), stack)))
    if len(shown) < len(group.findings):
        more = f"and {len(group.findings) - len(shown)} more (report.json)"
        body = join((body, element("p", more, kind="soft")))
    attributes = {"open": "open"} if is_open else {}
    return element(
        "details",
        element("summary", element("strong", title), element("span", by, kind="by")),
        element("div", body, kind="body"),
        kind=f"card group {group.danger}",
        **attributes,
    )


def _summarize(findings: Sequence[Finding]) -> str:
    """Returns the changes of one object in a line."""
    words = [
        finding.note or finding.kind.value
        if not finding.path
        else f"{shorten_path(finding.path)} {_change_word(finding)}"
        for finding in findings
    ]
    return list_names(words, 3)


def _change_word(finding: Finding) -> str:
    if finding.kind is FindingKind.ADDED:
        return "added"
    if finding.live is None:
        return "removed"
    short = render_apart((finding.desired, finding.live), missing=_NOT_SET)
    if all(len(text) <= 16 for text in short):
        return " → ".join(short)
    return "changed"


def _render_shared(group: FindingGroup, shown: Sequence[Finding], since: Since) -> Html:
    """Renders the values once if all objects have the same, and a row for each object."""
    first = group.findings[0]
    same = len({repr((f.desired, f.recorded, f.live)) for f in group.findings}) == 1
    has_values = bool(first.path) and not same
    values = _render_values(first) if first.path and same else Html("")
    heads = [_head("object"), *([_head("desired"), _head("live")] if has_values else [])]
    heads += [_head("set at", "wide"), _head("since", "wide"), _head("id")]
    rows = [
        element(
            "tr",
            element("td", finding.label),
            *(
                element("td", element("code", text))
                for text in (_render_pair(finding) if has_values else ())
            ),
            element("td", str(finding.source or ""), kind="wide"),
            element(
                "td", f"{since[finding.id]:%Y-%m-%d}" if finding.id in since else "", kind="wide"
            ),
            element("td", element("code", finding.id, kind="id")),
            id=f"f-{finding.id}",
        )
        for finding in shown
    ]
    caption = render_count(len(group.objects), "object")
    shown_table = table(heads, rows, caption=caption, kind="objects")
    return join((values, element("div", shown_table, kind="scroll")))


def _render_pair(finding: Finding) -> list[str]:
    return render_apart((finding.desired, finding.live), missing=_NOT_SET, max_length=_MAX_LINE)


def _render_finding(finding: Finding, since: Since, checked: datetime, named: bool) -> Html:
    title: tuple[str | Html, ...] = (finding.note or finding.kind.value,)
    if finding.path:
        title = (element("code", finding.path), f" {finding.kind}")
    stood = ""
    if first := since.get(finding.id):
        nights = (checked.date() - first.date()).days
        stood = f"since {first:%Y-%m-%d}"
        stood += f" ({render_count(nights, 'night')})" if nights else ""
    cause = render_writer(finding.manager, finding.time)
    facts: list[str | Html] = [
        f"by {cause}" if finding.manager else cause or "by whom is unknown",
        stood,
        f"set at {finding.source}" if finding.source else "",
        f"model {finding.model}" if finding.model else "",
        join(("id ", element("code", finding.id, kind="id"))),
    ]
    return element(
        "article",
        element("h4", *title) if named else Html(""),
        _render_values(finding) if finding.path else Html(""),
        element("p", join(filter(None, facts), " · ")),
        id=f"f-{finding.id}",
    )


def _render_values(finding: Finding) -> Html:
    """Renders the three values; of long texts also the lines that differ."""
    rows = []
    values = (finding.desired, finding.recorded, finding.live)
    is_text = any(isinstance(value, str) and "\n" in value.strip() for value in values)
    texts = render_apart(values, max_length=_MAX_CHARACTERS, missing=_NOT_SET, keep_lines=is_text)
    for name, value, text in zip(("desired", "recorded", "live"), values, texts, strict=True):
        if value is None:
            shown = element("span", text, kind="soft")
        else:
            shown = element("pre" if is_text else "code", text)
        rows.append(element("tr", element("th", name, scope="row"), element("td", shown)))
    three = element("table", *rows, kind="values")
    if diff := _render_diff(finding):
        return join((diff, element("details", element("summary", "the three values"), three)))
    return three


def _render_diff(finding: Finding) -> Html:
    old, new = finding.desired, finding.live
    if not (isinstance(old, str) and isinstance(new, str)) or "\n" not in old.strip() + new.strip():
        return Html("")
    lines = list_changed_lines(FieldChange(finding.path, old, new), max_lines=None)
    shown = [
        element("span", line, kind=_LINE_KINDS.get(line[0], "soft"))
        for line in lines[:_MAX_DIFF_LINES]
    ]
    more = len(lines) - len(shown)
    if more > 0:
        shown.append(element("span", f"and {more} more lines", kind="soft"))
    return element("pre", join(shown, "\n")) if shown else Html("")


def _list_others(run: DriftRun) -> Iterator[Html]:
    """Yields what does not count as drift: accepted findings, pending models, warnings."""
    accepted = [finding for report in run.reports for finding in report.accepted]
    if accepted:
        heads = [_head("finding"), _head("live"), _head("rule"), _head("id", "wide")]
        rows = [
            element(
                "tr",
                element("td", f"{finding.label} {finding.path}".rstrip()),
                element("td", _render_pair(finding)[1] if finding.path else finding.kind),
                element("td", render_rule(finding.accepted_by)),
                element("td", element("code", finding.id, kind="id"), kind="wide"),
            )
            for finding in accepted[:_MAX_FINDINGS]
        ]
        more = len(accepted) - len(rows)
        note = element("p", f"and {more} more (report.json)", kind="soft") if more > 0 else Html("")
        shown = table(heads, rows, kind="objects")
        yield _section("Accepted", element("div", shown, note, kind="card scroll"))
    for report in run.reports:
        pending, deletions = ", ".join(report.pending), ", ".join(report.deletions)
        changed = f"{report.stack}: {pending}. The catalog changed and `up` has not run."
        for title, lines in (
            ("Pending", [changed] if pending else []),
            ("Deletions", [f"{report.stack}: {DELETES}: {deletions}"] if deletions else []),
            ("pulumi refresh", [*describe_refresh(report.refresh)] if report.refresh else []),
            ("Warnings", report.list_warnings()),
        ):
            if lines:
                texts = [element("p", line) for line in lines]
                yield _section(title, element("div", *texts, kind="card"))


def _list_history(run: DriftRun, history: History) -> Iterator[Html]:
    """Yields the chart and what was resolved, for each stack that has a history."""
    charts: list[Html] = []
    for name in [*(r.stack.name for r in run.reports), *(f.stack.name for f in run.failed)]:
        entries = history.list_checks(name)
        if entries:
            charts.append(element("div", render_chart(name, entries), kind="card"))
    if charts:
        yield _section("History", *charts)
    resolved = [past for report in run.reports for past in history.find_resolved(report)]
    if resolved:
        items = [
            element("li", f"{past.title}, first found {past.since:%Y-%m-%d}")
            for past in resolved[:_MAX_RESOLVED]
        ]
        more = len(resolved) - len(items)
        if more > 0:
            items.append(element("li", f"and {more} more (report.json)"))
        yield _section(
            "Resolved since the previous check", element("div", element("ul", *items), kind="card")
        )
