"""What a change since a commit affects: a line an environment, or with --why a line a model.

Kept apart from diff, which shows the fields.
"""

from __future__ import annotations

from framework.output.alike import MARKS, render_causes
from framework.output.since import (
    render_diagnostics,
    render_outcome,
    render_ref,
    render_uncompared,
)
from framework.output.text import render_wrapped
from framework.reports.comparison import CommitComparison, Comparison, ModelDifference

_WIDEST_NAME = 24
# What there is to say of the environment itself; of a new or removed one no more than that.
_ITSELF: dict[str | None, str] = {
    "added": "new environment",
    "removed": "environment gone",
    "changed": "its Namespace",
}


def render_affected(since: CommitComparison, *, why: bool) -> str:
    """The environments and models whose manifests differ; why, where that is asked."""
    lines = [render_wrapped(f"since {render_ref(since)}: {_render_counts(since)}", then="  ")]
    for one in since.environments:
        if one in since.affected or one in since.incomplete:
            lines += _render_models(one) if why else _render_names(one)
    if told := render_diagnostics(since.environments):
        lines += ["", told[0], *(render_wrapped(t, first="  ", then="      ") for t in told[1:])]
    return "\n".join([*lines, *(render_wrapped(f"note: {note}") for note in since.notes)])


def _render_counts(since: CommitComparison) -> str:
    compared = [one.environment for one in since.environments if one.compared]
    if since.environments and not compared:
        names = ", ".join(one.environment for one in since.environments)
        return f"nothing could be compared ({names})"
    names = ", ".join(compared)
    missing = "; not all could be compared" if since.incomplete else ""
    if not since.affected:
        return f"no manifest changes ({names}){missing}"
    pairs = sum(len(one.affected) for one in since.affected)
    total = sum(len(one.models) + one.unchanged for one in since.environments)
    return f"{pairs} of {total} models in {names} change{missing}"


def _render_names(found: Comparison) -> list[str]:
    marks = {"added": " (new)", "removed": " (gone)", "changed": ""}
    names = [f"{model.name}{marks[model.change]}" for model in found.affected]
    if found.objects:
        names.insert(0, _ITSELF[found.change])
    first, then = f"  {found.environment:<9}", " " * 11
    told = [text for text in (", ".join(names), render_uncompared(found)) if text]
    return [
        render_wrapped(text, first=then if index else first, then=then)
        for index, text in enumerate(told)
    ]


def _render_models(found: Comparison) -> list[str]:
    lines = [f"  {found.environment}: {render_outcome(found)}"]
    width = min(_WIDEST_NAME, max((len(model.name) for model in found.affected), default=0))
    if found.objects and found.change == "changed":
        causes = dict.fromkeys(cause for one in found.objects for cause in one.causes)
        causes |= dict.fromkeys(
            cause for one in found.objects for field in one.fields for cause in field.causes
        )
        lines.append(_render_line("~", _ITSELF["changed"], render_causes(causes), width))
    elif found.objects and found.change:
        lines.append(f"    {MARKS[found.change]} {_ITSELF[found.change]}")
    for model in found.affected:
        lines.append(_render_line(MARKS[model.change], model.name, _render_why(model), width))
    if found.not_compared:
        lines.append(render_wrapped(render_uncompared(found), first="    ", then="      "))
    return lines


def _render_line(mark: str, name: str, why: str, width: int) -> str:
    margin = " " * (width + 8)
    return render_wrapped(why or "changed", first=f"    {mark} {name:<{width}}  ", then=margin)


def _render_why(model: ModelDifference) -> str:
    return model.reason or render_causes(model.causes)
