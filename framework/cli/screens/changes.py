"""The change list: what happens to every model, with the forecast of each rollout.

Kept apart from the engines: whichever ran, the list reads the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from framework.changes import Change, FieldChange, Op, Preview
from framework.cli.screens.text import render_count, render_duration, render_image, render_value
from framework.plan import StackPlan, TrackPlan

_MARKS = {Op.CREATE: "+", Op.UPDATE: "~", Op.REPLACE: "±", Op.DELETE: "-", Op.SAME: " "}
_NAME_WIDTH = 16
_MOST_FIELDS = 12


def is_shown(change: Change) -> bool:
    """Components and the stack itself change only with what is in them."""
    return change.type.startswith(("kubernetes:", "pulumi:providers:"))


def needs_consent(change: Change, models: Iterable[str]) -> bool:
    """Whether a change takes something away that a person should agree to.

    Not asked about: the ConfigMap whose content-hashed name changed, and the canary track of a
    model that stays, since promoting or aborting its candidate was the decision.
    """
    if change.op not in (Op.DELETE, Op.REPLACE):
        return False
    stays = change.component in set(models)
    name = change.object.rpartition("/")[2]
    if change.kind == "ConfigMap":
        return not (stays and change.op is Op.REPLACE) and not (stays and "-canary-" in name)
    return not (stays and change.op is Op.DELETE and name == f"{change.component}-canary")


def render_changes(preview: Preview, plan: StackPlan | None) -> str:
    """The change list; a plan adds the forecast of each rollout."""
    shown = [change for change in preview.changes if is_shown(change)]
    moved = [change for change in shown if change.op is not Op.SAME]
    moved.sort(key=lambda change: (change.component != "", change.component))
    tracks = (
        {track.deployment: track for model in plan.models for track in model.tracks} if plan else {}
    )
    models = [model.name for model in plan.models] if plan else []
    lines: list[str] = []
    for component, group in groupby(moved, key=lambda change: change.component):
        lines += _render_component(component, list(group), tracks, models)
    unchanged = [c for c in shown if c.op is Op.SAME and c.type.startswith("kubernetes:")]
    lines.append(f"  {len(unchanged)} unchanged")
    # Said once: where a whole environment is new, the same holds for every object.
    notes = {change.note for change in moved if change.note and _is_grouped(change)}
    lines += [f"  {note}" for note in sorted(notes)]
    return "\n".join(lines)


def _is_grouped(change: Change) -> bool:
    return change.op in (Op.CREATE, Op.DELETE)


def _render_component(
    component: str, changes: list[Change], tracks: dict[str, TrackPlan], models: list[str]
) -> list[str]:
    lines = []
    for op in (Op.CREATE, Op.DELETE):
        same_op = [change for change in changes if change.op is op]
        if not same_op:
            continue
        kinds = ", ".join(_render_kind(change) for change in same_op)
        asks = any(needs_consent(change, models) for change in same_op)
        lines.append(_render_line(op, component or same_op[0].name, kinds, asks))
        lines += _render_forecasts(same_op, tracks) if op is Op.CREATE else []
    for change in changes:
        if not _is_grouped(change):
            lines += _render_change(component, change, models)
            lines += _render_forecasts([change], tracks) if _rolls(change) else []
    return lines


def _render_kind(change: Change) -> str:
    name = change.object.rpartition("/")[2]
    same = name in ("", change.component or change.name)
    return change.kind if same else f"{change.kind} {name}"


def _render_line(op: Op, name: str, text: str, asks: bool) -> str:
    consent = f"   {op}s: needs YES=1 or your yes" if asks else ""
    return f"  {_MARKS[op]} {name:<{_NAME_WIDTH}} {text}{consent}"


def _render_change(component: str, change: Change, models: list[str]) -> list[str]:
    asks = needs_consent(change, models)
    head = _render_line(change.op, component or change.name, _render_kind(change), asks)
    if len(change.fields) == 1:
        head = f"{head}  {_render_field(change.fields[0])}"
        fields = []
    else:
        fields = [_indent(_render_field(field)) for field in change.fields[:_MOST_FIELDS]]
    if len(change.fields) > _MOST_FIELDS:
        fields.append(_indent(f"and {len(change.fields) - _MOST_FIELDS} fields more (--json)"))
    return [head, *fields, *([_indent(change.note)] if change.note else [])]


def _render_field(field: FieldChange) -> str:
    path = field.path.removeprefix("spec.template.spec.")
    old, new = (_render_side(field.path, value) for value in (field.old, field.new))
    if field.old is None:
        return f"{path}  added {new}"
    return f"{path}  removed (was {old})" if field.new is None else f"{path}  {old} -> {new}"


def _render_side(path: str, value: Any) -> str:
    if path.endswith(".image") and isinstance(value, str):
        return render_image(value)
    return render_value(value)


def _rolls(change: Change) -> bool:
    return any(field.path.startswith("spec.template") for field in change.fields)


def _render_forecasts(changes: list[Change], tracks: dict[str, TrackPlan]) -> list[str]:
    names = [c.object.rpartition("/")[2] for c in changes if c.kind == "Deployment"]
    return [_indent(render_forecast(tracks[name])) for name in names if name in tracks]


def render_forecast(track: TrackPlan) -> str:
    """What the rolling update of one Deployment will do, in Pods and in time."""
    budget = track.budget
    return (
        f"{render_count(budget.replicas, 'replica')}, surge {budget.surge}, unavailable "
        f"{budget.unavailable}: {render_count(budget.waves, 'wave')}, peak "
        f"{render_count(budget.peak, 'Pod')}, never below {budget.minimum_available}, "
        f"at most {render_duration(track.seconds)}"
    )


def _indent(text: str) -> str:
    return f"    {'':<{_NAME_WIDTH}} {text}"
