"""What differs, as text: since a commit field by field, or two environments side by side.

Kept apart from Markdown, which is for a pull request: here the width counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from framework.core.changes import FieldChange
from framework.output.alike import (
    MARKS,
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
from framework.output.text import (
    WIDTH,
    render_count,
    render_field,
    render_value,
    render_wrapped,
    short_path,
)
from framework.reports.comparison import (
    CommitComparison,
    Comparison,
    Difference,
    ModelDifference,
    ObjectDifference,
)

_MOST_FIELDS = 12
_WIDEST_PATH = 44
_WIDEST_VALUE = 24
_NOT_SET = "-"


def render_since(found: Comparison, since: CommitComparison) -> str:
    """What a change does to one environment: each field, old and new, and the line that does it."""
    head = f"{found.environment} since {render_ref(since)}: {render_outcome(found)}"
    lines = [render_wrapped(head, then="  ")]
    if found.settings:
        lines += ["", "  environment", *_render_fields(found.settings, "      ")]
    for one in found.objects:
        lines += ["", *_render_object(one, f"{one.kind} {one.name}", "  ")]
    for group in group_alike(found.affected):
        lines += ["", *_render_group(group)]
    lines += _render_silent(found) + _render_diagnostics(found)
    lines += [render_wrapped(f"note: {note}") for note in since.notes]
    return "\n".join(lines)


def _render_group(group: Group) -> list[str]:
    model, first = group.model, f"  {group.mark} "
    names = f"{group.render_names()}" + (
        f"  ({render_count(len(group.names), 'model')})" if len(group.names) > 1 else ""
    )
    if model.change != "changed":
        text = f"{names}  {render_kinds(model.objects)}: {group.render_reason()}"
        return [render_wrapped(text, first=first, then="      ")]
    lines = [render_wrapped(names, first=first, then="    ")]
    for one in model.objects:
        lines += _render_object(one, group.render_object(one), "      ")
    return lines


def _render_object(one: ObjectDifference, title: str, margin: str) -> list[str]:
    if one.change == "changed":
        return [f"{margin}{title}", *_render_fields(one.fields, f"{margin}  ")]
    why = f"  {render_causes(one.causes)}" if one.causes else ""
    text = f"{MARKS[one.change]} {title}{why}"
    return [render_wrapped(text, first=margin, then=f"{margin}    ")]


def _render_fields(fields: Sequence[Difference], margin: str) -> list[str]:
    lines = []
    for run in split_runs(fields[:_MOST_FIELDS]):
        for field in run:
            change = FieldChange(field.path, field.old, field.new)
            lines.append(render_field(short_path(field.path), change, first=margin, then=margin))
        if causes := render_causes(run[0].causes):
            lines.append(render_wrapped(causes, first=f"{margin}    ", then=f"{margin}    "))
    if len(fields) > _MOST_FIELDS:
        lines.append(f"{margin}and {len(fields) - _MOST_FIELDS} fields more (--json)")
    return lines


def _render_silent(found: Comparison) -> list[str]:
    if not found.settings_only:
        return []
    text = f"settings change and no manifest does: {', '.join(found.settings_only)}"
    return ["", render_wrapped(text, first="  ", then="    ")]


def _render_diagnostics(found: Comparison) -> list[str]:
    lines = []
    if found.not_compared:
        lines += ["", render_wrapped(render_uncompared(found), first="  ", then="    ")]
    if told := render_diagnostics([found]):
        head, *rest = told
        lines += ["", f"  {head}"]
        lines += [render_wrapped(text, first="    ", then="        ") for text in rest]
    return lines


def render_across(found: Comparison, names: tuple[str, str]) -> str:
    """Two environments side by side; what every model has in common is told once."""
    changed = [model for model in found.models if model.change == "changed"]
    alone = [model for model in found.models if model.change != "changed"]
    total = render_count(len(found.models) + found.unchanged, "model")
    verb = "differs" if len(changed) == 1 else "differ"
    lines = [f"{names[0]} | {names[1]}: {len(changed)} of {total} {verb}"]
    told = [render_alone(model, names) for model in alone]
    lines += [render_wrapped(text, first="  ", then="      ") for text in told]
    if found.settings:
        lines += ["", "environment", *_render_pairs(found.settings, names, positions=True)]
    shared = _find_shared(changed)
    if shared:
        title = f"all {len(changed)} models that run in both"
        lines += ["", title, *_render_model(shared, names)]
    for model in changed:
        own = _without(model, shared) if shared else model
        if own.settings or own.objects:
            lines += ["", model.name, *_render_model(own, names)]
    return "\n".join(lines)


def _render_model(model: ModelDifference, names: tuple[str, str]) -> list[str]:
    lines = _render_pairs(model.settings, names, positions=True)
    for one in model.objects:
        if one.change != "changed":
            here = names[1] if one.change == "added" else names[0]
            why = f"  ({', '.join(c.setting for c in one.causes)})" if one.causes else ""
            lines.append(f"  {one.kind} {one.name}: only in {here}{why}")
            continue
        lines.append(f"  {one.kind} {one.name}")
        lines += _render_pairs(one.fields, names, positions=False)
    return lines


def _render_pairs(
    differences: Sequence[Difference], names: tuple[str, str], *, positions: bool
) -> list[str]:
    """Each difference in columns; below it the lines of both sides, or the settings it is from."""
    if not differences:
        return []
    rows = [
        (short_path(one.path), _side(one.old), _side(one.new), _render_pair(one, positions))
        for one in differences
    ]
    width = min(_WIDEST_PATH, max(len(row[0]) for row in rows))
    left = min(_WIDEST_VALUE, max(len(names[0]), *(len(row[1]) for row in rows)))
    lines = [f"    {'':<{width}}  {names[0]:<{left}}  {names[1]}"] if positions else []
    for path, old, new, below in rows:
        line = f"    {path:<{width}}  {old:<{left}}  {new}"
        if len(path) > width or len(old) > left or len(line) > WIDTH:
            line = f"    {path}\n        {names[0]}: {old}\n        {names[1]}: {new}"
        if not positions and len(f"{line}  ({', '.join(below)})") <= WIDTH and "\n" not in line:
            lines.append(f"{line}  ({', '.join(below)})" if below else line)
            continue
        lines.append(line)
        lines += [render_wrapped(text, first=" " * 8, then=" " * 8) for text in below]
    return lines


def _side(value: object) -> str:
    return _NOT_SET if value is None else render_value(value)


def _render_pair(one: Difference, positions: bool) -> list[str]:
    if not positions:
        return list(dict.fromkeys(cause.setting for cause in one.causes))
    return [
        f"{cause.old_position or _NOT_SET} | {cause.new_position or _NOT_SET}"
        if cause.old_position or cause.new_position
        else cause.setting
        for cause in one.causes
    ]


def _find_shared(models: Sequence[ModelDifference]) -> ModelDifference | None:
    """What differs in the same way in each of several models, as one of them would have it."""
    if len(models) < 2:
        return None
    settings = _common([model.settings for model in models])
    objects = []
    for one in models[0].objects:
        rivals = [_find_like(one, models[0], model) for model in models]
        fields = _common([rival.fields if rival else () for rival in rivals])
        if fields:
            objects.append(replace(one, name=_own_name(one, models[0]), fields=fields))
    if not settings and not objects:
        return None
    return ModelDifference("", "changed", settings=settings, objects=tuple(objects))


def _own_name(one: ObjectDifference, model: ModelDifference) -> str:
    return one.name.replace(model.name, "<model>")


def _find_like(
    one: ObjectDifference, model: ModelDifference, other: ModelDifference
) -> ObjectDifference | None:
    wanted = (one.change, one.kind, _own_name(one, model))
    return next(
        (o for o in other.objects if (o.change, o.kind, _own_name(o, other)) == wanted), None
    )


def _common(listed: Sequence[Iterable[Difference]]) -> tuple[Difference, ...]:
    rest = [{repr(one) for one in differences} for differences in listed[1:]]
    return tuple(one for one in listed[0] if all(repr(one) in other for other in rest))


def _without(model: ModelDifference, shared: ModelDifference) -> ModelDifference:
    told = {repr(one) for one in shared.settings}
    settings = tuple(one for one in model.settings if repr(one) not in told)
    fields = {(one.kind, one.name): {repr(f) for f in one.fields} for one in shared.objects}
    objects = []
    for one in model.objects:
        known = fields.get((one.kind, _own_name(one, model)), set())
        left = tuple(field for field in one.fields if repr(field) not in known)
        if left or one.change != "changed":
            objects.append(replace(one, fields=left))
    return replace(model, settings=settings, objects=tuple(objects))
