"""What a change since a commit affects: a line an environment, or with --why a line a model.

Kept apart from diff, which shows the fields.
"""

from __future__ import annotations

from framework.cli.screens.alike import MARKS, render_causes, render_head
from framework.cli.screens.text import render_wrapped
from framework.reports.affected import Since
from framework.reports.differences import Comparison, ModelDifference

_WIDEST_NAME = 24


def render_affected(since: Since, *, why: bool) -> str:
    """The environments and models whose manifests differ; why, where that is asked."""
    head = f"since {since.ref} ({since.commit[:7]})"
    lines = [f"{head}: {_render_counts(since)}"]
    for environment in since.affected:
        lines += _render_models(environment) if why else [_render_names(environment)]
    return "\n".join([*lines, *(render_wrapped(f"note: {note}") for note in since.notes)])


def _render_counts(since: Since) -> str:
    names = [one.environment_name for one in since.environments]
    if not since.affected:
        return f"no manifest changes ({', '.join(names)})"
    pairs = sum(len(one.affected) for one in since.affected)
    total = sum(len(one.models) + one.same for one in since.environments)
    return f"{pairs} of {total} models in {', '.join(names)} change"


def _render_names(found: Comparison) -> str:
    marks = {"added": " (new)", "removed": " (gone)", "changed": ""}
    names = [f"{model.name}{marks[model.change]}" for model in found.affected]
    if found.namespace:
        names.insert(0, "its Namespace")
    return render_wrapped(", ".join(names), first=f"  {found.environment_name:<9}", then=" " * 11)


def _render_models(found: Comparison) -> list[str]:
    lines = [f"  {found.environment_name}: {render_head(found.affected, found.unaffected)}"]
    width = min(_WIDEST_NAME, max((len(model.name) for model in found.affected), default=0))
    if found.namespace:
        causes = dict.fromkeys(cause for one in found.namespace for cause in one.causes)
        causes |= dict.fromkeys(
            cause for one in found.namespace for field in one.fields for cause in field.causes
        )
        lines.append(_render_line("~", "its Namespace", render_causes(causes), width))
    for model in found.affected:
        lines.append(_render_line(MARKS[model.change], model.name, _render_why(model), width))
    return lines


def _render_line(mark: str, name: str, why: str, width: int) -> str:
    margin = " " * (width + 8)
    return render_wrapped(why or "changed", first=f"    {mark} {name:<{width}}  ", then=margin)


def _render_why(model: ModelDifference) -> str:
    return model.reason or render_causes(model.causes)
