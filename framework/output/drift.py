"""Renders the drift check for a terminal: what differs, who wrote it, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from framework.core.changes import FieldChange, Op, Preview
from framework.core.commands import make_command
from framework.core.drift_rules import AcceptRule
from framework.core.suggestions import list_names
from framework.drift.grouping import Danger, FindingGroup, parse_time
from framework.drift.history import History
from framework.drift.report import DriftReport, Finding, FindingKind, RefreshVerdict, Verdict
from framework.drift.run import EXIT_CODES, DriftRun
from framework.kube.objects import group_of
from framework.kube.reading import NAMESPACED_KINDS
from framework.output.text import (
    MAX_NAMES,
    render_count,
    render_pending,
    render_table,
    render_visible,
    render_wrapped,
    screen_width,
    shorten_path,
)
from framework.output.values import has_text, render_apart, render_field, render_values

DANGER_NAMES = {
    Danger.SERVING: "serving path",
    Danger.BUDGET: "budgets",
    Danger.SETTING: "other settings",
    Danger.LABEL: "labels and annotations",
}
DELETES = "the files no longer have these, so the next `up` deletes them"
_MARGIN = " " * 10

Since = Mapping[str, datetime]


def render_drift(run: DriftRun, history: History | None = None, *, why: bool = False) -> str:
    """Renders the check of an environment.

    `history` adds the date of the check that first found each finding. `why` also lists
    every object of a group, with the line of the catalog behind the field.
    """
    blocks = _render_reports(run, history, why=why)
    blocks += [
        render_wrapped(f"NOT CHECKED  stack {failed.stack}: {failed.reason}", then="  ")
        for failed in run.failed
    ]
    blocks.append(_render_next(run))
    return render_visible("\n\n".join(filter(None, blocks)))


def _render_reports(run: DriftRun, history: History | None, *, why: bool) -> list[str]:
    blocks = []
    for report, groups in run.groups:
        since = history.find_first_checks(report.stack.name) if history else {}
        blocks += [
            render_wrapped(
                f"{report.stack}  {render_count(report.models, 'model')}, "
                f"{render_count(report.objects, 'object')}, "
                f"checked {report.checked:%H:%M:%S} UTC in {run.seconds:.1f} s",
                then="  ",
            ),
            *(_render_group(group, since, why=why) for group in groups),
            "\n".join(_list_notes(report)),
        ]
    return blocks


def render_before_refresh(run: DriftRun, *, why: bool = False) -> str:
    """Renders the check at the beginning of a refresh, without advice on the next command."""
    blocks = _render_reports(run, None, why=why)
    if not run.findings:
        blocks.append(_render_clean(run) if run.verdict is Verdict.CLEAN else "")
    return render_visible("\n\n".join(filter(None, blocks)))


def _render_group(group: FindingGroup, since: Since, *, why: bool) -> str:
    if group.is_shared:
        return "\n".join(_render_shared(group, since, why=why))
    first = group.findings[0]
    if first.kind is FindingKind.FOREIGN:
        note = first.note or "no stack owns it"
        line = f"FOREIGN  {first.label} {note}"
        return render_wrapped(_join(line, *_describe_end(first, since)), then="  ")
    title = f"DRIFT  {first.label}"
    notes = []
    for finding in group.findings:
        if finding.path:
            continue
        line = _join(finding.note or finding.kind, *_describe_end(finding, since))
        notes.append(render_wrapped(line, first="  ", then="    "))
    return "\n".join([title, *notes, *_render_fields(group.findings, since, why=why)])


def _render_fields(findings: Sequence[Finding], since: Since, *, why: bool) -> list[str]:
    findings = [finding for finding in findings if finding.path]
    changes = [build_change(finding) for finding in findings]
    rows = [
        [change.path, render_values(change), *_describe_end(finding, since)]
        for finding, change in zip(findings, changes, strict=True)
    ]
    lines = render_table(rows, indent="  ").splitlines()
    fits = all(len(line) <= screen_width() for line in lines) and not any(map(has_text, changes))
    result: list[str] = []
    for index, (finding, change) in enumerate(zip(findings, changes, strict=True)):
        if fits:
            result.append(lines[index].rstrip())
        else:
            result.append(render_field(change.path, change, first="  ", then="  "))
            end = _join(*_describe_end(finding, since))
            result.append(render_wrapped(end, first="    ", then="    "))
        # The files have changed since the last `up`. Otherwise this would repeat the desired value.
        is_changed = finding.kind is FindingKind.CHANGED
        if is_changed and finding.desired is None:
            result.append("    the files no longer set it")
        elif is_changed and finding.recorded not in (finding.desired, None):
            values = (finding.recorded, finding.desired, finding.live)
            recorded = render_apart(values, is_image=finding.path.endswith(".image"))[0]
            result.append(f"    recorded: {recorded}")
        if why and finding.source:
            result.append(f"    set at {finding.source}")
    return result


def build_change(finding: Finding) -> FieldChange:
    """Returns the change of a field, from its desired to its live value.

    If the files no longer set the field, from the recorded one: nobody added it.
    """
    is_dropped = finding.kind is FindingKind.CHANGED and finding.desired is None
    old = finding.recorded if is_dropped else finding.desired
    return FieldChange(finding.path, old, finding.live, finding.manager, finding.time)


def _render_shared(group: FindingGroup, since: Since, *, why: bool) -> Iterator[str]:
    """Yields one line for all objects, their names, and with `why` each of them."""
    word = "FOREIGN" if group.findings[0].kind is FindingKind.FOREIGN else "DRIFT"
    title = f"{word}  {render_objects(group)}: {render_change(group)}"
    yield render_wrapped(_join(title, render_cause(group)), then="  ")
    names = [name.rpartition("/")[2] for _, name in group.objects]
    if not why:
        text = f"{list_names(names, MAX_NAMES)}   (each with its id: WHY=1)"
        yield render_wrapped(text, first="  ", then="  ")
        return
    for finding in group.findings:
        values = render_values(build_change(finding)) if finding.path else ""
        source = f"set at {finding.source}" if finding.source else ""
        line = _join(finding.label, values, *_describe_end(finding, since), source)
        yield render_wrapped(line, first="  ", then="    ")


def render_objects(group: FindingGroup) -> str:
    """Returns the objects of a shared group: `14 Deployments of 14 models`."""
    kinds: dict[str, int] = {}
    for kind, _ in group.objects:
        kinds[kind] = kinds.get(kind, 0) + 1
    objects = ", ".join(render_count(count, kind) for kind, count in kinds.items())
    models = f" of {render_count(len(group.models), 'model')}" if group.models else ""
    return f"{objects}{models}"


def render_change(group: FindingGroup) -> str:
    """Returns the change that the findings of a group share, with the values if all are equal."""
    first = group.findings[0]
    if first.is_changed_pod:
        return (
            "somebody changed these Pods; `up` does not undo this; delete them, and their "
            "controllers create new ones"
        )
    if first.kind is FindingKind.FOREIGN:
        return "no stack owns them"
    change = shorten_path(group.change)
    same = {(repr(finding.desired), repr(finding.live)) for finding in group.findings}
    if first.path and len(same) == 1 and len({f.path for f in group.findings}) == 1:
        values = render_values(build_change(first))
        return f"{shorten_path(first.path)} {values}"
    return change


def render_cause(group: FindingGroup) -> str:
    """Returns `by kubectl-set, 2026-11-22 17:40`, "" if nothing is known."""
    first, last = render_time(group.first), render_time(group.last)
    time = first if first == last else f"{first} to {last.removeprefix(first[:11])}"
    manager = group.manager
    if not group.is_shared and not manager:
        # Several managers changed one object; the time of each is with its field.
        manager = " and ".join(sorted({finding.manager for finding in group.findings} - {""}))
        time = time if not manager else ""
    cause = ", ".join(filter(None, (manager, time)))
    return f"by {cause}" if manager else cause


def render_time(text: str) -> str:
    """Returns `2026-11-22 17:40`, in UTC; a text that is not a time as it is."""
    time = parse_time(text)
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M}" if time else text


def render_writer(manager: str, time: str) -> str:
    """Returns `kubectl-edit, 2026-11-22 17:40`, without the parts that are unknown."""
    return ", ".join(filter(None, (manager, render_time(time))))


def _describe_end(finding: Finding, since: Since) -> tuple[str, str]:
    """Returns who wrote the difference and the date of its first check, then the finding's id."""
    # A note such as "was recreated by kubectl-replace" names the manager already.
    manager = finding.manager if finding.manager not in finding.note else ""
    cause = render_writer(manager, finding.time)
    by = f"by {cause}" if manager else cause
    first = since.get(finding.id)
    found = f"(since {first:%Y-%m-%d})" if first else ""
    return " ".join(filter(None, (by, found))), f"[{finding.id}]" if finding.id else ""


def _join(*parts: str) -> str:
    return "   ".join(filter(None, parts))


def _list_notes(report: DriftReport) -> Iterator[str]:
    """Yields what is not drift: accepted findings, pending models; then what was not checked."""
    rules: dict[AcceptRule | None, int] = {}
    for finding in report.accepted:
        rules[finding.accepted_by] = rules.get(finding.accepted_by, 0) + 1
    for rule, count in rules.items():
        yield render_wrapped(f"accepted  {count} ({render_rule(rule)})", then=_MARGIN)
    if report.pending:
        yield render_pending(report.pending, report.stack.environment)
    if report.deletions:
        names = list_names(report.deletions, MAX_NAMES)
        yield render_wrapped(f"deletes   {DELETES}: {names}", then=_MARGIN)
    if report.refresh:
        first, *reasons = describe_refresh(report.refresh)
        yield render_wrapped(f"pulumi    {first}", then=_MARGIN)
        yield from (render_wrapped(reason, first=_MARGIN, then=_MARGIN) for reason in reasons)
    yield from list_messages(report)


def list_messages(report: DriftReport) -> Iterator[str]:
    """Yields what could not be checked, and the warnings of the check."""
    for problem in report.problems:
        yield render_wrapped(f"NOT CHECKED  {problem}", then="  ")
    for warning in report.list_warnings():
        yield render_wrapped(warning, then="  ")


def describe_refresh(refresh: RefreshVerdict) -> Iterator[str]:
    """Yields the verdict of `pulumi refresh` beside that of the check, then why they differ."""
    count = render_count(len(refresh.objects), "object") if refresh.objects else "no object"
    verb = "differ" if len(refresh.objects) > 1 else "differs"
    yield f"refresh --preview-only: {count} {verb}; this check: {refresh.compared or 'none'}"
    for reason, names in refresh.reasons:
        yield f"{list_names(names, MAX_NAMES)}: {reason}"


def render_recording(preview: Preview, verdict: RefreshVerdict) -> str:
    """Renders what a refresh writes to the state, and where that differs from the check."""
    gone = [change for change in preview.changes if change.op is Op.DELETE]
    kept = [change for change in preview.changes if change.op not in (Op.DELETE, Op.SAME)]
    lines = []
    for changes, effect in ((kept, "takes the live values of"), (gone, "forgets")):
        if changes:
            names = list_names([f"{c.kind} {c.object or c.name}" for c in changes], MAX_NAMES)
            # A resource that is not of Kubernetes, such as a password, is not called an object.
            are_objects = all(change.object for change in changes)
            count = render_count(len(changes), "object" if are_objects else "resource")
            lines.append(f"The state {effect} {count}: {names}")
    lines += [f"{list_names(names, MAX_NAMES)}: {reason}" for reason, names in verdict.reasons]
    lines.append(
        "The files and the cluster stay as they are, so the next check still reports what differs "
        "from the files."
    )
    return render_visible("\n".join(render_wrapped(line, then="  ") for line in lines))


def render_rule(rule: AcceptRule | None) -> str:
    """Returns where an accepting rule is written, its last day and its reason."""
    if rule is None:
        return "by a rule"
    until = f"until {rule.until}" if rule.until else ""
    return ", ".join(
        filter(None, (rule.position.short if rule.position else "", until, rule.reason))
    )


def _render_next(run: DriftRun) -> str:
    """Returns the number of differences, the next commands, and the exit code."""
    if run.verdict is Verdict.CLEAN:
        return _render_clean(run)
    lines = []
    if run.findings:
        lines.append(f"{render_count(len(run.findings), 'difference')}.")
    if run.verdict is Verdict.FAILED:
        lines.append("Not everything could be checked, so this is not clean.")
    (name, command), *others = list_commands(run) or [("", "")]
    first = f"   {name}: {command}" if name else ""
    lines[-1] = f"{lines[-1]}{first}      exit {EXIT_CODES[run.verdict]}"
    return "\n".join([*lines, *(f"{name}: {command}" for name, command in others)])


def _render_clean(run: DriftRun) -> str:
    is_limited = any(report.uncompared for report in run.reports)
    return f"No differences{' in what was compared' if is_limited else ''}."


def _build_kubectl_delete(run: DriftRun, finding: Finding) -> str:
    """Returns the command that deletes a foreign object, in the cluster where it was found."""
    report = next(report for report in run.reports if finding in report.findings)
    namespace, _, name = finding.object.rpartition("/")
    words = ["kubectl", *report.kubectl_options, "delete", _name_resource(finding), name]
    return shlex.join([*words, *(["-n", namespace] if namespace else [])])


def _name_resource(finding: Finding) -> str:
    """Returns the kind for kubectl, with its group unless that is one of Kubernetes: a Service of
    Knative is another object than the Service of the same name."""
    version = finding.type.split(":")[1]
    kind = finding.object_kind
    is_plain = NAMESPACED_KINDS.get(kind) == version.removeprefix("core/")
    group = group_of(version.removeprefix("core/"))
    return kind.lower() if is_plain or not group else f"{kind.lower()}.{group}"


def list_commands(run: DriftRun) -> list[tuple[str, str]]:
    """Returns the commands that answer drift, each with what it does."""
    environment = run.environment
    own = [finding for finding in run.findings if finding.kind is not FindingKind.FOREIGN]
    foreign = [finding for finding in run.findings if finding.kind is FindingKind.FOREIGN]
    deleted = {name for report in run.reports for name in report.deletions}
    commands = []
    for name, verb, answered in (
        # `up` refuses everything while an object of others has the name of one of the stack.
        ("take over", "adopt", [finding for finding in own if finding.belongs_to_others]),
        ("put back", "up", [finding for finding in own if not finding.belongs_to_others]),
    ):
        if answered:
            models = {finding.model for finding in answered}
            # A model that was removed or renamed is no value of MODEL any more.
            is_planned = not any(f.label in deleted for f in answered)
            model = answered[0].model if len(models) == 1 and is_planned else ""
            commands.append((name, make_command(verb, environment, model)))
    # A whole object that is missing has no value that the files could take.
    fields = [finding for finding in own if finding.path]
    if fields:
        example = fields[0].id if len(fields) == 1 else "ID"
        commands.append(("keep", f"make take ENV={environment} FINDING={example}"))
    # `up` changes only what its stack owns. The data of a claim would be lost with it.
    deletable = [f for f in foreign if f.object_kind != "PersistentVolumeClaim"]
    # One command as an example: what belongs to others is deleted one by one, if at all.
    name = "delete" if len(deletable) == 1 else f"delete, 1 of {len(deletable)}"
    commands += [(name, _build_kubectl_delete(run, finding)) for finding in deletable[:1]]
    if run.findings:
        example = run.findings[0].id if len(run.findings) == 1 else "ID"
        accept = f"make accept ENV={environment} FINDING={example} REASON='...' UNTIL=YYYY-MM-DD"
        commands.append(("accept", accept))
    return commands
