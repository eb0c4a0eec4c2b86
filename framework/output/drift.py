"""Renders the drift report: what differs between cluster and recorded state, and who wrote it."""

from __future__ import annotations

from collections.abc import Sequence

from framework.core.changes import FieldChange
from framework.drift import DriftReport, Finding
from framework.output.text import (
    has_text,
    render_count,
    render_field,
    render_table,
    render_values,
    screen_width,
)


def render_drift(report: DriftReport, seconds: float) -> str:
    """Renders the report; `seconds` is how long the comparison took."""
    clock = report.checked.strftime("%H:%M:%S UTC")
    header = (
        f"{report.stack}  {render_count(report.models, 'model')}, "
        f"{render_count(report.objects, 'object')}, checked {clock} in {seconds:.1f} s"
    )
    if not report.findings:
        return f"{header}\n\nNo differences."
    models = sorted({finding.model for finding in report.findings if finding.model})
    narrowed = f" MODEL={models[0]}" if len(models) == 1 else ""
    next_step = (
        f"{render_count(report.differences, 'difference')}.   "
        f"put back: make up ENV={report.stack.environment}{narrowed}"
    )
    objects: dict[tuple[str, str], list[Finding]] = {}
    for finding in report.findings:
        objects.setdefault((finding.type, finding.object), []).append(finding)
    return "\n\n".join([header, *map(_render_object, objects.values()), next_step])


def _render_object(findings: Sequence[Finding]) -> str:
    title = f"DRIFT  {findings[0].object_kind} {findings[0].object}"
    notes = [f"  {finding.note}" for finding in findings if finding.note]
    fields = [FieldChange(f.path, f.desired, f.live, f.manager, f.time) for f in findings if f.path]
    rows = [[field.path, render_values(field), _render_writer(field)] for field in fields]
    lines = render_table(rows, indent="  ").splitlines()
    if any(len(line) > screen_width() for line in lines) or any(map(has_text, fields)):
        lines = []
        for field in fields:
            lines.append(render_field(field.path, field, first="  ", then="  "))
            lines.append(f"    {_render_writer(field)}")
    return "\n".join([title, *notes, *(line.rstrip() for line in lines if line.strip())])


def _render_writer(field: FieldChange) -> str:
    writer = ", ".join(part for part in (field.manager, field.time) if part)
    return f"by {writer}" if writer else ""
