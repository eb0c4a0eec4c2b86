"""Renders what an engine will change and has changed: change list, messages, result, outputs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import groupby
from typing import Any

from framework.core.changes import Change, Failure, Op, Preview, Problem, Result, Severity
from framework.core.commands import make_command
from framework.core.durations import render_elapsed
from framework.output.forecasts import build_rollout, render_forecast
from framework.output.text import (
    render_count,
    render_table,
    render_wrapped,
    screen_width,
    shorten_path,
)
from framework.output.values import render_field, render_image, render_value
from framework.plan import ModelPlan, StackPlan

_MARKS = {Op.CREATE: "+", Op.UPDATE: "~", Op.REPLACE: "±", Op.DELETE: "-", Op.SAME: " "}
_NAME_WIDTH, _WIDEST_NAME = 16, 24
_MAX_FIELDS = 12
_MAX_NAMES = 6
# Available and desired Pods, by `namespace/name` of a Deployment.
PodCounts = Mapping[str, tuple[int, int]]


def is_shown(change: Change) -> bool:
    """Returns True for Kubernetes objects and providers.

    Component resources and the stack itself are left out: they change only with their children.
    """
    return change.type.startswith(("kubernetes:", "pulumi:providers:"))


def render_changes(
    preview: Preview,
    plan: StackPlan | None,
    *,
    components: Collection[str] | None = None,
    needs_consent: Callable[[Change], bool] | None = None,
) -> str:
    """Renders the change list, grouped by model; a plan adds the forecast of each rollout.

    `components` are the models that the command was narrowed to. `needs_consent`
    marks the changes that need a yes; None marks no change.
    """
    shown = [change for change in preview.changes if is_shown(change)]
    changed = [change for change in shown if change.op is not Op.SAME]
    changed.sort(key=lambda change: (change.component != "", change.component))
    writer = _ChangeWriter(changed, plan, needs_consent or (lambda change: False))
    lines: list[str] = []
    others = list(preview.problems)
    for component, group in groupby(changed, key=lambda change: change.component):
        own = [problem for problem in others if component and problem.component == component]
        others = [problem for problem in others if problem not in own]
        lines += writer.render_component(list(group), own)
    lines.append(f"  {_render_unchanged(shown, plan, components)}")
    return "\n".join([*lines, *writer.render_notes(), *map(_render_problem, others)])


def _render_problem(problem: Problem) -> str:
    model = f"model {problem.component}: " if problem.component else ""
    first = f"  {problem.severity}: {model}"
    return render_wrapped(str(problem), first=first, then="    ")


def render_refusal(preview: Preview, verb: str, environment: str, model: str | None) -> str:
    """Renders the last lines of a command that problems stop: their number, and what to do next.

    `model` is the option MODEL as it was given.
    """
    errors = [p for p in preview.problems if p.severity is Severity.ERROR]
    taken = [problem for problem in errors if problem.belongs_to_others]
    lines = [f"{render_count(len(errors), 'error')}; nothing was changed."]
    # The Namespace, which is in no model, is taken over with the first model.
    owners = sorted({problem.component for problem in taken} - {""}) or ([""] if taken else [])
    lines += [f"to take over: {make_command('adopt', environment, owner)}" for owner in owners]
    if len(taken) < len(errors):
        verb = verb if verb in ("adopt", "destroy") else "preview"
        faults = "it" if len(errors) - len(taken) == 1 else "them"
        lines.append(f"next: fix {faults}, then run `{make_command(verb, environment, model)}`")
    return "\n".join(lines)


def _render_unchanged(
    shown: list[Change], plan: StackPlan | None, components: Collection[str] | None
) -> str:
    same = [
        change for change in shown if change.op is Op.SAME and change.type.startswith("kubernetes:")
    ]
    if components is None:
        return f"{len(same)} unchanged"
    examined = [change for change in same if change.component in components]
    # The change list has only what is recorded of the other models.
    known = {change.component for change in same} | {*components}
    models = plan.models if plan else ()
    unseen = sum(len(model.manifests) for model in models if model.name not in known)
    others = len(same) - len(examined) + unseen
    return f"{len(examined)} unchanged, {others} not looked at"


class _ChangeWriter:
    """Writes the lines of each component; its columns fit all of `changed`."""

    def __init__(
        self, changed: list[Change], plan: StackPlan | None, needs_consent: Callable[[Change], bool]
    ) -> None:
        models = plan.models if plan else ()
        self._tracks = {track.deployment: track for model in models for track in model.tracks}
        self._needs_consent = needs_consent
        self._changed = changed
        names = [min(len(_title(change)), _WIDEST_NAME) for change in changed]
        self._width = 6 + max([_NAME_WIDTH, *names])
        self._margin = " " * self._width

    def render_component(self, changes: list[Change], problems: list[Problem]) -> list[str]:
        """Renders creations on one line, deletions on one line, then each other change.

        A problem is shown below the change of its object, or below all of them.
        """
        lines, rest = [], list(problems)

        # Takes the problems out of `rest`, so that those of no shown object remain for the end.
        def take(group: list[Change]) -> list[str]:
            names = {f"{change.kind} {change.object or change.name}" for change in group}
            taken = [problem for problem in rest if problem.object in names]
            rest[:] = [problem for problem in rest if problem.object not in names]
            return [self._render_problem(problem) for problem in taken]

        for op in (Op.CREATE, Op.DELETE):
            if group := [change for change in changes if change.op is op]:
                kinds = ", ".join(sorted(map(_render_kind, group)))
                consent = _render_consent(f"{op}s", any(map(self._needs_consent, group)))
                first = self._start(op, _title(group[0]))
                lines.append(render_wrapped(kinds + consent, first=first, then=self._margin))
                lines += self._render_forecasts(group) if op is Op.CREATE else []
                lines += take(group)
        for change in changes:
            if change.op in (Op.CREATE, Op.DELETE):
                continue
            lines += self._render_change(change)
            # Only a change of the Pod template makes the Deployment roll, or another Deployment.
            rolls = any(field.path.startswith("spec.template") for field in change.fields)
            if rolls or change.op is Op.REPLACE:
                lines += self._render_forecasts([change])
            lines += take([change])
        return [*lines, *map(self._render_problem, rest)]

    def _start(self, op: Op, title: str) -> str:
        return f"  {_MARKS[op]} {title}  ".ljust(self._width)

    def _render_change(self, change: Change) -> list[str]:
        fields, margin = change.fields, self._margin
        verb = "takes over" if change.takes_over else f"{change.op}s"
        head = _render_kind(change) + _render_consent(verb, self._needs_consent(change))
        first = self._start(change.op, _title(change))
        path = f"{head}  {shorten_path(fields[0].path)}" if len(fields) == 1 else ""
        if path and len(first + path) <= screen_width():
            lines = [render_field(path, fields[0], first=first, then=margin)]
        else:
            lines = [first + head]
            lines += [
                render_field(shorten_path(field.path), field, first=margin, then=margin)
                for field in fields[:_MAX_FIELDS]
            ]
        if len(fields) > _MAX_FIELDS:
            lines.append(f"{margin}and {len(fields) - _MAX_FIELDS} more fields (--json)")
        if change.note:
            lines.append(render_wrapped(change.note, first=margin, then=margin))
        return lines

    def _render_forecasts(self, changes: list[Change]) -> list[str]:
        lines = []
        for change in changes:
            track = self._tracks.get(change.object.rpartition("/")[2])
            if track and change.kind == "Deployment":
                forecast = render_forecast(build_rollout(track, change))
                lines.append(render_wrapped(forecast, first=self._margin, then=self._margin))
        return lines

    def _render_problem(self, problem: Problem) -> str:
        first = f"{self._margin}{problem.severity}: "
        return render_wrapped(str(problem), first=first, then=f"{self._margin}  ")

    def render_notes(self) -> list[str]:
        """Renders each note of created and deleted objects once: often many share one."""
        notes: dict[str, list[str]] = {}
        for change in self._changed:
            if change.op in (Op.CREATE, Op.DELETE) and change.note:
                name = f"{change.kind} {change.object or change.name}"
                notes.setdefault(change.note, []).append(name)
        lines = []
        for note, names in sorted(notes.items()):
            objects = ", ".join(sorted(names))
            if len(names) > _MAX_NAMES:
                objects = f"{len(names)} objects"
            lines.append(render_wrapped(f"{objects}: {note}", first="  ", then="  "))
        return lines


def _title(change: Change) -> str:
    if change.type.startswith("pulumi:providers:"):
        return f"provider {change.name}"
    return change.component or change.name


def _render_consent(verb: str, needed: bool) -> str:
    return f"   {verb}: needs YES=1 or your yes" if needed else ""


def _render_kind(change: Change) -> str:
    name = change.object.rpartition("/")[2]
    is_own_name = name in ("", change.component or change.name)
    return change.kind if is_own_name else f"{change.kind} {name}"


def render_messages(messages: Iterable[str]) -> str:
    """Renders the warnings and errors that the program or its engine logged."""
    lines = [line for message in messages for line in message.splitlines()]
    return "\n".join(render_wrapped(line, first="  ", then="    ") for line in lines)


def render_result(result: Result, plan: StackPlan, seconds: float, counts: PodCounts) -> str:
    """Renders the summary of an `up`, `refresh` or `destroy`: counts, tracks, failures."""
    changed = {
        change.component
        for change in result.changes
        if change.op is not Op.SAME and change.type.startswith("kubernetes:") and change.component
    }
    failed = {failure.change.component or failure.change.name for failure in result.failures}
    models = {model.name: model for model in plan.models}
    blocks = [
        f"{render_count(len(changed - failed), 'model')} done in {render_elapsed(seconds)}, "
        f"{len(failed)} failed."
    ]
    rows = []
    for name in sorted(changed - failed):
        for track in models[name].tracks if name in models else ():
            deployment = f"{plan.namespace.name}/{track.deployment}"
            # Only tracks that rolled out in this run have counts.
            if deployment in counts:
                available, desired = counts[deployment]
                image = render_image(track.image)
                pods = f"{available}/{desired}"
                rows.append([track.deployment, f"Deployment {deployment}", image, pods])
    blocks += [render_table(rows)] if rows else []
    blocks += [_render_failure(failure, models, plan) for failure in result.failures]
    return "\n\n".join(blocks)


def _render_failure(failure: Failure, models: dict[str, ModelPlan], plan: StackPlan) -> str:
    change = failure.change
    model = models.get(change.component or change.name)
    if failure.rollout:
        # The reason of a failed rollout starts with the Deployment's name.
        text = failure.reason + (f"   {model.image_position}" if model else "")
    else:
        text = f"{change.kind} {change.object or change.name} failed: {failure.reason}"
    lines = [render_wrapped(line, then="  ") for line in text.splitlines()]
    command = make_command("up", plan.stack.environment, model.name if model else "")
    lines.append(f"next: fix it, then run `{command}`")
    return "\n".join(lines)


def render_outputs(outputs: Mapping[str, Any]) -> str:
    """Renders the stack's outputs: first plain values, then mappings as columns of one table."""
    mappings = {name: value for name, value in outputs.items() if isinstance(value, Mapping)}
    texts = [
        [name, render_value(value)]
        for name, value in sorted(outputs.items())
        if name not in mappings
    ]
    blocks = [render_table(texts, indent="  ")]
    if mappings:
        columns = sorted(mappings)
        table = [mappings[column] for column in columns]
        keys = sorted({key for row in table for key in row})
        rows = [
            [key, *(render_value(row[key]) if key in row else "" for row in table)] for key in keys
        ]
        blocks.append(render_table([["", *columns], *rows], indent="  "))
    return "\n".join(["outputs", *(block for block in blocks if block)])
