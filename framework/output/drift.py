"""The drift report: what differs between the cluster and the recorded state, and who wrote it."""

from __future__ import annotations

from datetime import UTC, datetime

from framework.core.changes import Change, FieldChange, Op, Preview
from framework.output.changes import is_shown
from framework.output.text import (
    WIDTH,
    has_text,
    render_count,
    render_field,
    render_table,
    render_values,
)
from framework.plan import StackPlan


def render_drift(drift: Preview, plan: StackPlan, seconds: float) -> str:
    """The whole report, readable at 03:00."""
    shown = [change for change in drift.changes if is_shown(change)]
    found = [change for change in shown if change.op is not Op.SAME]
    recorded = {change.component for change in shown} - {""}
    clock = datetime.now(UTC).strftime("%H:%M:%S UTC")
    blocks = [
        f"{plan.stack}  {render_count(len(recorded), 'model')}, "
        f"{render_count(len(shown), 'object')}, checked {clock} in {seconds:.1f} s"
    ]
    blocks += [_render_object(change) for change in found]
    if not found:
        return f"{blocks[0]}\n\nNo differences."
    count = sum(max(1, len(change.fields)) for change in found)
    models = sorted({change.component for change in found if change.component})
    narrowed = f" MODEL={models[0]}" if len(models) == 1 else ""
    blocks.append(
        f"{render_count(count, 'difference')}.   "
        f"put back: make up ENV={plan.stack.environment}{narrowed}"
    )
    return "\n\n".join(blocks)


def _render_object(change: Change) -> str:
    title = f"DRIFT  {change.kind} {change.object}"
    if change.op is Op.DELETE:
        return f"{title}\n  {change.note or 'is gone from the cluster'}"
    if change.note:
        title = f"{title}\n  {change.note}"
    rows = [[field.path, render_values(field), _render_writer(field)] for field in change.fields]
    lines = render_table(rows, indent="  ").splitlines()
    if any(len(line) > WIDTH for line in lines) or any(map(has_text, change.fields)):
        lines = []
        for field in change.fields:
            lines.append(render_field(field.path, field, first="  ", then="  "))
            lines.append(f"    {_render_writer(field)}")
    return "\n".join([title, *(line.rstrip() for line in lines if line.strip())])


def _render_writer(field: FieldChange) -> str:
    said = ", ".join(part for part in (field.manager, field.time) if part)
    return f"by {said}" if said else ""
