"""The drift report: what differs between the cluster and the recorded state, and who wrote it."""

from __future__ import annotations

from datetime import UTC, datetime

from framework.changes import Change, FieldChange, Op, Preview
from framework.cli.screens.changes import is_shown
from framework.cli.screens.text import render_count, render_table, render_value
from framework.plan import StackPlan


def render_drift(drift: Preview, plan: StackPlan, seconds: float) -> str:
    """The whole report, readable at 03:00."""
    shown = [change for change in drift.changes if is_shown(change)]
    found = [change for change in shown if change.op is not Op.SAME]
    clock = datetime.now(UTC).strftime("%H:%M:%S UTC")
    blocks = [
        f"{plan.stack}  {render_count(len(plan.models), 'model')}, "
        f"{render_count(len(shown), 'object')}, checked {clock} in {seconds:.1f} s"
    ]
    blocks += [_render_object(change) for change in found]
    if not found:
        return f"{blocks[0]}\n\nNo differences."
    count = sum(max(1, len(change.fields)) for change in found)
    models = sorted({change.component for change in found if change.component})
    narrowed = f" MODEL={models[0]}" if len(models) == 1 else ""
    blocks.append(
        f"{render_count(count, 'difference')}.   put back: make up ENV={plan.stack}{narrowed}"
    )
    return "\n\n".join(blocks)


def _render_object(change: Change) -> str:
    title = f"DRIFT  {change.kind} {change.object}"
    if change.op is Op.DELETE:
        return f"{title}\n  {change.note or 'is gone from the cluster'}"
    rows = [[field.path, _render_values(field), _render_writer(field)] for field in change.fields]
    return title + "\n" + "\n".join(f"  {line}" for line in render_table(rows).splitlines())


def _render_values(field: FieldChange) -> str:
    if field.old is None:
        return f"added {render_value(field.new)}"
    if field.new is None:
        return f"removed (was {render_value(field.old)})"
    return f"{render_value(field.old)} -> {render_value(field.new)}"


def _render_writer(field: FieldChange) -> str:
    said = ", ".join(part for part in (field.manager, field.time) if part)
    return f"by {said}" if said else ""
