"""Renders comparisons with a commit as text: a diff, and the models that are affected.

Models whose objects change alike are shown once as a group, so that a change of a default is not
repeated for a thousand models.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from framework.core.diagnostics import DiagnosticGroup, group_diagnostics
from framework.core.suggestions import list_names
from framework.output.text import render_count, render_wrapped, shorten_path
from framework.output.values import render_field
from framework.reports.comparison import (
    Cause,
    CommitComparison,
    Comparison,
    Difference,
    ModelDifference,
    ObjectDifference,
)

_MARKS = {"added": "+", "removed": "-", "changed": "~"}
MODEL = "<model>"
_MAX_FIELDS = 12
_MAX_NAMES = 6
_MAX_DIAGNOSTICS = 50
_MAX_UNCOMPARED = 50
_WIDEST_NAME = 24


@dataclass(frozen=True)
class Group:
    """Models whose objects change alike; `model` is the first of them and stands for all."""

    names: tuple[str, ...]
    model: ModelDifference

    def render_names(self, most: int = _MAX_NAMES) -> str:
        """Returns `churn, fraud and 3 more`."""
        more = len(self.names) - most
        if more <= 1:
            return ", ".join(self.names)
        return f"{', '.join(self.names[:most])} and {more} more"

    def render_object(self, difference: ObjectDifference) -> str:
        """Returns `Deployment`, with a name if that is not the model's: `ConfigMap churn-x`."""
        if difference.name == self.model.name:
            return difference.kind
        return f"{difference.kind} {self._generalize(difference.name)}"

    def render_reason(self) -> str:
        """Returns why the models run on one side only."""
        return self._generalize(self.model.reason or "")

    def _generalize(self, text: str) -> str:
        return text.replace(self.model.name, MODEL) if len(self.names) > 1 else text


def group_alike(models: Iterable[ModelDifference]) -> list[Group]:
    """Groups models whose changes differ in nothing but the model's name, in their order."""
    groups: dict[str, list[ModelDifference]] = {}
    for model in models:
        objects = [
            (o.change, o.kind, o.name.replace(model.name, MODEL), o.fields, o.causes)
            for o in model.objects
        ]
        # repr, because values may be lists and mappings, which cannot be keys.
        reason = (model.reason or "").replace(model.name, MODEL)
        key = repr((model.change, reason, objects))
        groups.setdefault(key, []).append(model)
    return [Group(tuple(model.name for model in group), group[0]) for group in groups.values()]


def split_runs(fields: Sequence[Difference]) -> list[list[Difference]]:
    """Splits fields into runs of neighbours with the same causes, which are then shown once."""
    runs: list[list[Difference]] = []
    for field in fields:
        if runs and runs[-1][0].causes == field.causes:
            runs[-1].append(field)
        else:
            runs.append([field])
    return runs


def render_causes(causes: Iterable[Cause]) -> str:
    """Returns `catalog/sentiment.yaml:6:8 (image.tag)` of each cause, on one line."""
    return ", ".join(
        f"{cause.position} ({cause.setting}{', removed' if cause.gone else ''})"
        if cause.position
        else cause.setting
        for cause in causes
    )


def render_kinds(objects: Iterable[ObjectDifference]) -> str:
    """Returns each kind once, in order of name: `Deployment, Service`."""
    return ", ".join(sorted({difference.kind for difference in objects}))


def render_ref(since: CommitComparison) -> str:
    """Returns `main (a1b2c3d)`, or `main, where this branch left it (a1b2c3d)`."""
    left = ", where this branch left it" if since.merge_base else ""
    return f"{since.since}{left} ({since.commit[:7]})"


def render_outcome(comparison: Comparison) -> str:
    """Returns `1 of 3 models changes, 2 not compared`."""
    if not comparison.compared:
        return "not compared"
    uncompared, changed = len(comparison.not_compared), len(comparison.affected)
    if not changed and not comparison.unaffected and uncompared:
        return f"{render_count(uncompared, 'model')} not compared"
    total = render_count(changed + comparison.unaffected, "model")
    text = f"{changed} of {total} {'changes' if changed == 1 else 'change'}"
    if not changed:
        text = f"no manifest of {total} changes"
    return f"{text}, {uncompared} not compared" if uncompared else text


def render_uncompared(comparison: Comparison) -> str:
    """Returns `not compared: churn, fraud`; "" if everything was compared."""
    if not comparison.compared:
        return "not compared"
    if not comparison.not_compared:
        return ""
    return f"not compared: {list_names(comparison.not_compared, _MAX_UNCOMPARED)}"


def list_diagnostics(comparisons: Iterable[Comparison]) -> list[DiagnosticGroup]:
    """Returns each diagnostic once, even if several environments have it."""
    return group_diagnostics(
        diagnostic for comparison in comparisons for diagnostic in comparison.diagnostics
    )


def render_diagnostics(comparisons: Sequence[Comparison]) -> list[str]:
    """Returns `2 errors:`, then one line for each, as in `validate`; [] if there are none."""
    groups = list_diagnostics(comparisons)
    lines = [str(group) for group in groups[:_MAX_DIAGNOSTICS]]
    if len(groups) > _MAX_DIAGNOSTICS:
        lines.append(f"and {len(groups) - _MAX_DIAGNOSTICS} more (--json)")
    # A commit that cannot be rendered fails in the same words for each environment.
    failures = dict.fromkeys(comparison.failure or "" for comparison in comparisons)
    lines += [line for failure in failures for line in failure.splitlines()]
    if not lines:
        return []
    head = render_count(len(groups), "error") if groups else "the commit cannot be rendered"
    complete = all(c.compared and not c.not_compared for c in comparisons)
    return [f"{head}; all manifests are compared nevertheless:" if complete else f"{head}:", *lines]


def render_since(comparison: Comparison, since: CommitComparison) -> str:
    """Renders what a change does to one environment: each field, and the line that causes it."""
    head = f"{comparison.environment} since {render_ref(since)}: {render_outcome(comparison)}"
    lines = [render_wrapped(head, then="  ")]
    if comparison.settings:
        lines += ["", "  environment", *_render_fields(comparison.settings, "      ")]
    for difference in comparison.objects:
        title = f"{difference.kind} {difference.name}"
        lines += ["", *_render_object(difference, title, "  ")]
    for group in group_alike(comparison.affected):
        lines += ["", *_render_group(group)]
    if comparison.settings_only:
        text = f"settings change, manifests do not: {', '.join(comparison.settings_only)}"
        lines += ["", render_wrapped(text, first="  ", then="    ")]
    if comparison.not_compared:
        text = render_uncompared(comparison)
        lines += ["", render_wrapped(text, first="  ", then="    ")]
    if diagnostics := render_diagnostics([comparison]):
        lines += ["", f"  {diagnostics[0]}"]
        lines += [render_wrapped(text, first="    ", then="        ") for text in diagnostics[1:]]
    lines += [render_wrapped(f"note: {note}") for note in since.notes]
    return "\n".join(lines)


def _render_group(group: Group) -> list[str]:
    model, first = group.model, f"  {_MARKS[group.model.change]} "
    count = f"  ({len(group.names)} models)" if len(group.names) > 1 else ""
    names = f"{group.render_names()}{count}"
    if model.change != "changed":
        text = f"{names}  {render_kinds(model.objects)}: {group.render_reason()}"
        return [render_wrapped(text, first=first, then="      ")]
    lines = [render_wrapped(names, first=first, then="    ")]
    for difference in model.objects:
        lines += _render_object(difference, group.render_object(difference), "      ")
    return lines


def _render_object(difference: ObjectDifference, title: str, margin: str) -> list[str]:
    if difference.change == "changed":
        return [f"{margin}{title}", *_render_fields(difference.fields, f"{margin}  ")]
    causes = f"  {render_causes(difference.causes)}" if difference.causes else ""
    text = f"{_MARKS[difference.change]} {title}{causes}"
    return [render_wrapped(text, first=margin, then=f"{margin}    ")]


def _render_fields(fields: Sequence[Difference], margin: str) -> list[str]:
    lines = []
    for run in split_runs(fields[:_MAX_FIELDS]):
        for field in run:
            lines.append(render_field(shorten_path(field.path), field, first=margin, then=margin))
        if causes := render_causes(run[0].causes):
            lines.append(render_wrapped(causes, first=f"{margin}    ", then=f"{margin}    "))
    if len(fields) > _MAX_FIELDS:
        lines.append(f"{margin}and {len(fields) - _MAX_FIELDS} more fields (--json)")
    return lines


def render_affected(since: CommitComparison, *, why: bool) -> str:
    """Renders the models that change, a line per environment; with `why` a line per model."""
    lines = [render_wrapped(f"since {render_ref(since)}: {_render_counts(since)}", then="  ")]
    for comparison in since.environments:
        if comparison in since.affected or comparison in since.incomplete:
            lines += _render_causing(comparison) if why else _render_names(comparison)
    if diagnostics := render_diagnostics(since.environments):
        lines += ["", diagnostics[0]]
        lines += [render_wrapped(text, first="  ", then="      ") for text in diagnostics[1:]]
    return "\n".join([*lines, *(render_wrapped(f"note: {note}") for note in since.notes)])


def _render_counts(since: CommitComparison) -> str:
    compared = [c.environment for c in since.environments if c.compared]
    if since.environments and not compared:
        names = ", ".join(c.environment for c in since.environments)
        return f"nothing could be compared ({names})"
    names = ", ".join(compared)
    missing = "; not all could be compared" if since.incomplete else ""
    if not since.affected:
        return f"no manifest changes ({names}){missing}"
    # Counts pairs of model and environment.
    changed = sum(len(c.affected) for c in since.environments)
    total = sum(len(c.models) + c.unchanged for c in since.environments)
    return f"{changed} of {total} models in {names} change{missing}"


def _describe_namespace(comparison: Comparison) -> str:
    """Returns `its Namespace` if that changes, else `new environment` or `environment removed`."""
    if comparison.change == "changed":
        return "its Namespace"
    return "new environment" if comparison.change == "added" else "environment removed"


def _render_names(comparison: Comparison) -> list[str]:
    marks = {"added": " (new)", "removed": " (removed)", "changed": ""}
    names = [f"{model.name}{marks[model.change]}" for model in comparison.affected]
    if comparison.objects:
        names.insert(0, _describe_namespace(comparison))
    first, then = f"  {comparison.environment:<9}", " " * 11
    texts = [text for text in (", ".join(names), render_uncompared(comparison)) if text]
    return [
        render_wrapped(text, first=then if index else first, then=then)
        for index, text in enumerate(texts)
    ]


def _render_causing(comparison: Comparison) -> list[str]:
    lines = [f"  {comparison.environment}: {render_outcome(comparison)}"]
    width = min(_WIDEST_NAME, max((len(model.name) for model in comparison.affected), default=0))

    def render_line(mark: str, name: str, why: str) -> str:
        first, margin = f"    {mark} {name:<{width}}  ", " " * (width + 8)
        return render_wrapped(why or "changed", first=first, then=margin)

    if comparison.objects and comparison.change == "changed":
        causes = dict.fromkeys(
            cause for difference in comparison.objects for cause in difference.all_causes
        )
        lines.append(render_line("~", _describe_namespace(comparison), render_causes(causes)))
    elif comparison.objects and comparison.change:
        lines.append(f"    {_MARKS[comparison.change]} {_describe_namespace(comparison)}")
    for model in comparison.affected:
        why = model.reason or render_causes(model.causes)
        lines.append(render_line(_MARKS[model.change], model.name, why))
    if comparison.not_compared:
        text = render_uncompared(comparison)
        lines.append(render_wrapped(text, first="    ", then="      "))
    return lines
