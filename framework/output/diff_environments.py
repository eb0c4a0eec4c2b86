"""Renders the comparison of two environments as text, in columns side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from framework.output.diff import MODEL
from framework.output.text import render_count, render_wrapped, screen_width, shorten_path
from framework.output.values import render_apart
from framework.reports.comparison import Comparison, Difference, ModelDifference, ObjectDifference

_NOT_SET = "-"
_WIDEST_PATH = 44
_WIDEST_VALUE = 24


def render_across(comparison: Comparison, names: tuple[str, str]) -> str:
    """Renders two environments side by side; what all models have in common comes first, once."""
    changed = [model for model in comparison.models if model.change == "changed"]
    lines = [f"{names[0]} | {names[1]}: {render_difference_count(comparison)}"]
    for model in comparison.models:
        if model.change != "changed":
            lines.append(render_wrapped(render_alone(model, names), first="  ", then="      "))
    if comparison.settings:
        lines += ["", "environment", *_render_settings(comparison.settings, names)]
    shared = _find_shared(changed)
    if shared:
        title = f"all {len(changed)} models that run in both"
        lines += ["", title, *_render_model(shared, names)]
    for model in changed:
        rest = _without_shared(model, shared) if shared else model
        if rest.settings or rest.objects:
            lines += ["", model.name, *_render_model(rest, names)]
    return "\n".join(lines)


def render_difference_count(comparison: Comparison) -> str:
    """Returns `12 of 13 models differ`, with the models that run in one environment only."""
    count = len(comparison.models)
    total = render_count(count + comparison.unchanged, "model")
    return f"{count} of {total} {'differs' if count == 1 else 'differ'}"


def render_alone(model: ModelDifference, names: tuple[str, str]) -> str:
    """Returns in which of two environments a model runs, and why not in the other."""
    here, there = names if model.change == "removed" else names[::-1]
    return f"{model.name} runs only in {here}; in {there} {model.reason}"


def _render_model(model: ModelDifference, names: tuple[str, str]) -> list[str]:
    lines = _render_settings(model.settings, names)
    for difference in model.objects:
        title = f"  {difference.kind} {difference.name}"
        if difference.change == "changed":
            lines += [title, *_render_rendered_fields(difference.fields, names)]
            continue
        here = names[1] if difference.change == "added" else names[0]
        settings = ", ".join(cause.setting for cause in difference.causes)
        lines.append(f"{title}: only in {here}" + (f"  ({settings})" if settings else ""))
    return lines


def _render_settings(settings: Sequence[Difference], names: tuple[str, str]) -> list[str]:
    """Renders settings in columns, with the position of each side below."""
    if not settings:
        return []
    path_width, old_width = _column_widths(settings, names)
    lines = [f"    {'':<{path_width}}  {names[0]:<{old_width}}  {names[1]}"]
    for setting in settings:
        lines.append(_render_row(setting, path_width, old_width, names))
        for cause in setting.causes:
            text = cause.setting
            if cause.old_position or cause.new_position:
                text = f"{cause.old_position or _NOT_SET} | {cause.new_position or _NOT_SET}"
            lines.append(render_wrapped(text, first=" " * 8, then=" " * 8))
    return lines


def _render_rendered_fields(fields: Sequence[Difference], names: tuple[str, str]) -> list[str]:
    """Renders an object's fields in columns, each with the settings that it comes from."""
    if not fields:
        return []
    path_width, old_width = _column_widths(fields, names)
    lines = []
    for field in fields:
        line = _render_row(field, path_width, old_width, names)
        settings = list(dict.fromkeys(cause.setting for cause in field.causes))
        wide = f"{line}  ({', '.join(settings)})" if settings else line
        if "\n" not in line and len(wide) <= screen_width():
            lines.append(wide)
            continue
        lines.append(line)
        lines += [render_wrapped(text, first=" " * 8, then=" " * 8) for text in settings]
    return lines


def _column_widths(differences: Sequence[Difference], names: tuple[str, str]) -> tuple[int, int]:
    path = max(len(shorten_path(difference.path)) for difference in differences)
    old = max(len(names[0]), *(len(_render_sides(difference)[0]) for difference in differences))
    return min(_WIDEST_PATH, path), min(_WIDEST_VALUE, old)


def _render_row(
    difference: Difference, path_width: int, old_width: int, names: tuple[str, str]
) -> str:
    path = shorten_path(difference.path)
    old, new = _render_sides(difference)
    line = f"    {path:<{path_width}}  {old:<{old_width}}  {new}"
    if len(path) > path_width or len(old) > old_width or len(line) > screen_width():
        return f"    {path}\n        {names[0]}: {old}\n        {names[1]}: {new}"
    return line


def _render_sides(difference: Difference) -> list[str]:
    return render_apart((difference.old, difference.new), missing=_NOT_SET)


# What all models have in common

# The change, kind and name of an object, with `<model>` in place of its model's name, so that the
# same object of two models has the same key.
_ObjectKey = tuple[str, str, str]


def _find_shared(models: Sequence[ModelDifference]) -> ModelDifference | None:
    """Returns what differs in the same way in every model, as a model of its own.

    For example, an environment sets `rollout.maxUnavailable` for all models. All Deployments then
    have the same difference, which is shown once, under `Deployment <model>`.
    """
    if len(models) < 2:
        return None
    settings = _find_common([model.settings for model in models])
    fields = [_index_fields(model) for model in models]
    objects = []
    for key in fields[0]:
        common = _find_common([fields_of_model.get(key, ()) for fields_of_model in fields])
        if common:
            _, kind, name = key
            objects.append(ObjectDifference(kind, name, "changed", common))
    if not settings and not objects:
        return None
    return ModelDifference(MODEL, "changed", settings=settings, objects=tuple(objects))


def _without_shared(model: ModelDifference, shared: ModelDifference) -> ModelDifference:
    """Returns the model without what it shares with all others."""
    shared_fields = _index_fields(shared)
    objects = []
    for difference in model.objects:
        fields = _subtract(difference.fields, shared_fields.get(_object_key(difference, model), ()))
        if fields or difference.change != "changed":
            objects.append(replace(difference, fields=fields))
    settings = _subtract(model.settings, shared.settings)
    return replace(model, settings=settings, objects=tuple(objects))


def _index_fields(model: ModelDifference) -> dict[_ObjectKey, tuple[Difference, ...]]:
    return {_object_key(difference, model): difference.fields for difference in model.objects}


def _object_key(difference: ObjectDifference, model: ModelDifference) -> _ObjectKey:
    return difference.change, difference.kind, difference.name.replace(model.name, MODEL)


# Compared by repr, because values may be lists and mappings, which sets cannot hold.


def _find_common(groups: Sequence[Sequence[Difference]]) -> tuple[Difference, ...]:
    first, *others = groups
    shown = [{repr(difference) for difference in other} for other in others]
    return tuple(d for d in first if all(repr(d) in other for other in shown))


def _subtract(
    differences: Sequence[Difference], others: Sequence[Difference]
) -> tuple[Difference, ...]:
    shown = {repr(difference) for difference in others}
    return tuple(difference for difference in differences if repr(difference) not in shown)
