"""What differs, as Markdown: a short table, then each model's fields folded away.

Kept apart from the terminal's text: here nothing is cut to a width, and what the catalog says must
not be read as markup.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from difflib import unified_diff
from html import escape
from typing import Any

from framework.output.alike import (
    Group,
    group_alike,
    render_alone,
    render_causes,
    render_kinds,
    split_runs,
)
from framework.output.since import (
    render_diagnostics,
    render_outcome,
    render_ref,
    render_uncompared,
)
from framework.output.text import render_count, render_image, short_path
from framework.reports.comparison import (
    CommitComparison,
    Comparison,
    Difference,
    ModelDifference,
)

_MOST_ROWS = 50
_MOST_TOLD = 3
_FENCE = re.compile("`{3,}")
_MARKS = {"added": "+", "removed": "-", "changed": " "}


def render_since_markdown(found: Comparison, since: CommitComparison) -> str:
    """What a change does to one environment, for the discussion of a pull request."""
    lines = [f"### {found.environment}: {render_outcome(found)}", *_render_diagnostics(found)]
    groups = group_alike(found.affected)
    if groups:
        lines += ["", "| model | change | what |", "| --- | --- | --- |"]
        lines += [_render_row(group) for group in groups[:_MOST_ROWS]]
        if len(groups) > _MOST_ROWS:
            lines.append(f"| and {len(groups) - _MOST_ROWS} more | | |")
    if found.settings:
        lines += _fold("the environment itself", _render_fields(found.settings))
    for one in found.objects:
        fields = _render_fields(one.fields) or [f"# {render_causes(one.causes) or one.change}"]
        lines += _fold(f"{_MARKS[one.change].strip()} {one.kind} {one.name}".strip(), fields)
    for group in groups:
        if group.model.change == "changed":
            lines += _fold(_title(group), _render_objects(group))
    if found.settings_only:
        lines += [
            "",
            f"Settings change and no manifest does: {_text(', '.join(found.settings_only))}.",
        ]
    notes = (f"compared with {render_ref(since)}", *since.notes)
    lines += [f"\n> {_text(note)}" for note in notes]
    return "\n".join(lines)


def _render_diagnostics(found: Comparison) -> list[str]:
    """Open, for a reviewer must know what the rest does not tell."""
    lines = []
    if found.not_compared:
        lines += ["", f"**{_text(render_uncompared(found))}**"]
    if told := render_diagnostics([found]):
        lines += ["", _text(told[0]), "", *_fence(told[1:], "text")]
    return lines


def _render_row(group: Group) -> str:
    model = group.model
    if model.change != "changed":
        what = f"{render_kinds(model.objects)}: {group.render_reason()}"
    else:
        fields = [field for one in model.objects for field in one.fields]
        # The canary's field mostly changes as the stable one does.
        short = list(dict.fromkeys(map(_render_short, fields)))
        told, more = short[:_MOST_TOLD], len(short) - _MOST_TOLD
        what = "; ".join(told + ([f"and {more} more"] if more > 0 else []))
        what = what or render_kinds(model.objects)
    return f"| {_cell(_title(group))} | {model.change} | {_cell(what)} |"


def _title(group: Group) -> str:
    count = f" ({len(group.names)} models)" if len(group.names) > 1 else ""
    return f"{group.render_names(_MOST_ROWS)}{count}"


def _render_short(field: Difference) -> str:
    path = short_path(field.path)
    old, new = (_shorten(field.path, value) for value in (field.old, field.new))
    if field.old is None:
        return f"{path} added"
    return f"{path} removed" if field.new is None else f"{path} {old} → {new}"


def _shorten(path: str, value: Any) -> str:
    text = render_image(value) if path.endswith(".image") else _render_value(value)
    text = " ".join(text.split())
    return text if len(text) <= 40 else f"{text[:37]}..."


def _render_objects(group: Group) -> list[str]:
    lines: list[str] = []
    for one in group.model.objects:
        why = f"   # {render_causes(one.causes)}" if one.causes else ""
        lines.append(f"{_MARKS[one.change]} {group.render_object(one)}{why}")
        lines += _render_fields(one.fields)
    return lines


def _render_fields(fields: Sequence[Difference]) -> list[str]:
    """As a diff: what was and what becomes, under the lines that cause it."""
    lines: list[str] = []
    for run in split_runs(fields):
        if causes := render_causes(run[0].causes):
            lines.append(f"@@ {causes} @@")
        for field in run:
            lines += _render_field(field)
    return lines


def _render_field(field: Difference) -> list[str]:
    old, new = (
        [] if value is None else _render_value(value).splitlines() or [""]
        for value in (field.old, field.new)
    )
    if max(len(old), len(new)) > 1:
        changed = list(unified_diff(old, new, n=1, lineterm=""))[2:]
        return [f"  {field.path}:", *(line for line in changed if not line.startswith("@@"))]
    return [
        f"{mark} {field.path}: {line}" for mark, part in (("-", old), ("+", new)) for line in part
    ]


def _render_value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def _fold(title: str, lines: Iterable[str]) -> list[str]:
    summary = f"<details><summary>{escape(title)}</summary>"
    return ["", summary, "", *_fence(lines, "diff"), "</details>"]


def _fence(lines: Iterable[str], language: str) -> list[str]:
    body = "\n".join(lines)
    # The catalog's own text may hold a fence; a longer one is not closed by it.
    longest = max((len(found) for found in _FENCE.findall(body)), default=2)
    fence = "`" * (longest + 1)
    return [f"{fence}{language}", body, fence]


def _cell(text: str) -> str:
    return _text(text).replace("|", "\\|")


def _text(text: str) -> str:
    """Plain text that Markdown shows as it is: no link, no mention, no emphasis."""
    shown = re.sub(r"([\\`*_\[\]~#!])", r"\\\1", escape(text, quote=False))
    return " ".join(shown.replace("@", "@<!-- -->").split())


def render_across_markdown(found: Comparison, names: tuple[str, str]) -> str:
    """Two environments side by side: a table of settings a model, then its manifests' fields."""
    total = render_count(len(found.models) + found.unchanged, "model")
    verb = "differs" if len(found.models) == 1 else "differ"
    lines = [f"### {names[0]} and {names[1]}: {len(found.models)} of {total} {verb}"]
    if found.settings:
        lines += ["", "**the environments themselves**", *_render_table(found.settings, names)]
    for model in found.models:
        lines += _render_across_model(model, names)
    return "\n".join(lines)


def _render_across_model(model: ModelDifference, names: tuple[str, str]) -> list[str]:
    if model.change != "changed":
        return ["", f"{_text(render_alone(model, names))}."]
    lines = ["", f"**{_text(model.name)}**", *_render_table(model.settings, names)]
    (group,) = group_alike([model])
    return (
        lines + _fold(f"{model.name}: manifests", _render_objects(group))
        if model.objects
        else lines
    )


def _render_table(settings: Sequence[Difference], names: tuple[str, str]) -> list[str]:
    if not settings:
        return []
    lines = ["", f"| setting | {_cell(names[0])} | {_cell(names[1])} |", "| --- | --- | --- |"]
    for one in settings:
        old = [cause.old_position for cause in one.causes if cause.old_position]
        new = [cause.new_position for cause in one.causes if cause.new_position]
        cells = (_render_side(one.old, old), _render_side(one.new, new))
        lines.append(f"| {_cell(one.path)} | {cells[0]} | {cells[1]} |")
    return lines


def _render_side(value: Any, positions: Sequence[str]) -> str:
    shown = "not set" if value is None else _render_value(value)
    return _cell(shown) + "".join(f"<br><sub>{_cell(position)}</sub>" for position in positions)
