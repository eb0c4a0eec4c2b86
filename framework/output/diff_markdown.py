"""Renders comparisons as Markdown: a short table, then each model's fields folded away.

Text of the catalog is escaped, so that it is not read as markup; no value that
differs is cut to a width.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from framework.output.diff import (
    Group,
    group_alike,
    render_causes,
    render_diagnostics,
    render_kinds,
    render_outcome,
    render_ref,
    render_uncompared,
    split_runs,
)
from framework.output.diff_environments import render_alone, render_difference_count
from framework.output.markdown import escape_cell, escape_markdown, fence
from framework.output.text import shorten_path
from framework.output.values import has_text, list_changed_lines, render_apart
from framework.reports.comparison import CommitComparison, Comparison, Difference

_MAX_ROWS = 50
_MAX_FIELDS = 3
_MAX_CHARACTERS = 40
# In a diff block the space keeps a changed object's line uncoloured.
_MARKS = {"added": "+", "removed": "-", "changed": " "}


def render_since_markdown(comparison: Comparison, since: CommitComparison) -> str:
    """Renders what a change does to one environment, for a comment on a pull request."""
    lines = [f"### {comparison.environment}: {render_outcome(comparison)}"]
    if comparison.not_compared:
        lines += ["", f"**{escape_markdown(render_uncompared(comparison))}**"]
    if diagnostics := render_diagnostics([comparison]):
        lines += ["", escape_markdown(diagnostics[0]), "", *fence(diagnostics[1:], "text")]
    groups = group_alike(comparison.affected)
    if groups:
        lines += ["", "| model | change | what |", "| --- | --- | --- |"]
        lines += [_render_row(group) for group in groups[:_MAX_ROWS]]
        if len(groups) > _MAX_ROWS:
            lines.append(f"| and {len(groups) - _MAX_ROWS} more | | |")
    if comparison.settings:
        lines += _fold("the environment itself", _render_fields(comparison.settings))
    for difference in comparison.objects:
        title = f"{_MARKS[difference.change]} {difference.kind} {difference.name}".strip()
        causes = f"# {render_causes(difference.causes) or difference.change}"
        lines += _fold(title, _render_fields(difference.fields) or [causes])
    for group in groups:
        if group.model.change == "changed":
            lines += _fold(_title(group), _render_objects(group))
    if comparison.settings_only:
        names = escape_markdown(", ".join(comparison.settings_only))
        lines += ["", f"Settings change, manifests do not: {names}."]
    notes = (f"compared with {render_ref(since)}", *since.notes)
    lines += [f"\n> {escape_markdown(note)}" for note in notes]
    return "\n".join(lines)


def _render_row(group: Group) -> str:
    model = group.model
    if model.change != "changed":
        text = f"{render_kinds(model.objects)}: {group.render_reason()}"
    else:
        fields = [field for difference in model.objects for field in difference.fields]
        # dict.fromkeys: the canary's field mostly changes as the stable one does.
        texts = list(dict.fromkeys(map(_render_short, fields)))
        if len(texts) > _MAX_FIELDS:
            texts[_MAX_FIELDS:] = [f"and {len(texts) - _MAX_FIELDS} more"]
        text = "; ".join(texts) or render_kinds(model.objects)
    return f"| {escape_cell(_title(group))} | {model.change} | {escape_cell(text)} |"


def _title(group: Group) -> str:
    count = f" ({len(group.names)} models)" if len(group.names) > 1 else ""
    return f"{group.render_names(_MAX_ROWS)}{count}"


def _render_short(field: Difference) -> str:
    path = shorten_path(field.path)
    if field.old is None:
        return f"{path} added"
    if field.new is None:
        return f"{path} removed"
    values = (field.old, field.new)
    old, new = render_apart(values, max_length=_MAX_CHARACTERS, is_image=path.endswith(".image"))
    return f"{path} {old} → {new}"


def _render_objects(group: Group) -> list[str]:
    lines: list[str] = []
    for difference in group.model.objects:
        causes = f"   # {render_causes(difference.causes)}" if difference.causes else ""
        lines.append(f"{_MARKS[difference.change]} {group.render_object(difference)}{causes}")
        lines += _render_fields(difference.fields)
    return lines


def _render_fields(fields: Sequence[Difference]) -> list[str]:
    """Renders fields as the lines of a diff, under the lines of YAML that cause them."""
    lines: list[str] = []
    for run in split_runs(fields):
        if causes := render_causes(run[0].causes):
            lines.append(f"@@ {causes} @@")
        for field in run:
            lines += _render_field(field)
    return lines


def _render_field(field: Difference) -> list[str]:
    if has_text(field):
        # A reviewer approves what the comment shows, so no line that differs is cut.
        changed = list_changed_lines(field, context=1, max_lines=None, max_length=None)
        return [f"  {field.path}:", *changed]
    texts = render_apart((field.old, field.new), max_length=None, missing="")
    sides = zip("-+", (field.old, field.new), texts, strict=True)
    return [f"{mark} {field.path}: {text}" for mark, value, text in sides if value is not None]


def _fold(title: str, lines: Iterable[str]) -> list[str]:
    summary = f"<details><summary>{escape(title)}</summary>"
    return ["", summary, "", *fence(lines, "diff"), "</details>"]


def render_across_markdown(comparison: Comparison, names: tuple[str, str]) -> str:
    """Renders two environments side by side: each model's settings, then its manifests' fields."""
    lines = [f"### {names[0]} and {names[1]}: {render_difference_count(comparison)}"]
    if comparison.settings:
        lines += ["", "**the environments themselves**"]
        lines += _render_table(comparison.settings, names)
    for model in comparison.models:
        if model.change != "changed":
            lines += ["", f"{escape_markdown(render_alone(model, names))}."]
            continue
        lines += ["", f"**{escape_markdown(model.name)}**", *_render_table(model.settings, names)]
        if model.objects:
            objects = _render_objects(Group((model.name,), model))
            lines += _fold(f"{model.name}: manifests", objects)
    return "\n".join(lines)


def _render_table(settings: Sequence[Difference], names: tuple[str, str]) -> list[str]:
    if not settings:
        return []
    lines = [
        "",
        f"| setting | {escape_cell(names[0])} | {escape_cell(names[1])} |",
        "| --- | --- | --- |",
    ]
    for setting in settings:
        old = [cause.old_position for cause in setting.causes if cause.old_position]
        new = [cause.new_position for cause in setting.causes if cause.new_position]
        texts = render_apart((setting.old, setting.new), max_length=None, missing="not set")
        cells = (_render_side(texts[0], old), _render_side(texts[1], new))
        lines.append(f"| {escape_cell(setting.path)} | {cells[0]} | {cells[1]} |")
    return lines


def _render_side(text: str, positions: Sequence[str]) -> str:
    return escape_cell(text) + "".join(
        f"<br><sub>{escape_cell(position)}</sub>" for position in positions
    )
