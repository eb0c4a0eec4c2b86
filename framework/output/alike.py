"""Models that change alike, so that a change of a default is told once and not a thousand times.

Kept apart because text and Markdown must group by the same rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from framework.output.text import render_count
from framework.reports.comparison import Cause, Difference, ModelDifference, ObjectDifference

MOST_NAMES = 6
MARKS = {"added": "+", "removed": "-", "changed": "~"}
_ANY = "<model>"


@dataclass(frozen=True)
class Group:
    """Models whose objects change alike; the first one stands for all."""

    names: tuple[str, ...]
    model: ModelDifference

    @property
    def mark(self) -> str:
        """`+`, `-` or `~`."""
        return MARKS[self.model.change]

    def render_names(self, most: int = MOST_NAMES) -> str:
        """`churn, fraud and 3 more`."""
        more = len(self.names) - most
        listed = ", ".join(self.names if more <= 1 else self.names[:most])
        return listed + (f" and {more} more" if more > 1 else "")

    def render_object(self, one: ObjectDifference) -> str:
        """`Deployment`, and its name where that is not the model's."""
        if one.name == self.model.name:
            return one.kind
        name = one.name
        return f"{one.kind} {_anonymous(name, self.model.name) if len(self.names) > 1 else name}"

    def render_reason(self) -> str:
        """Why it runs on one side only; of several models what holds for all."""
        reason = self.model.reason or ""
        return _anonymous(reason, self.model.name) if len(self.names) > 1 else reason


def group_alike(models: Iterable[ModelDifference]) -> list[Group]:
    """The groups, in order of their first model."""
    found: dict[str, list[ModelDifference]] = {}
    for model in models:
        found.setdefault(_key(model), []).append(model)
    return [Group(tuple(one.name for one in group), group[0]) for group in found.values()]


def _key(model: ModelDifference) -> str:
    objects = [
        (one.change, one.kind, _anonymous(one.name, model.name), one.fields, one.causes)
        for one in model.objects
    ]
    return repr((model.change, _anonymous(model.reason or "", model.name), objects))


def _anonymous(text: str, name: str) -> str:
    return text.replace(name, _ANY)


def render_cause(cause: Cause) -> str:
    """`catalog/sentiment.yaml:6:8 (image.tag)`."""
    if not cause.position:
        return cause.setting
    return f"{cause.position} ({cause.setting}{', gone' if cause.gone else ''})"


def render_causes(causes: Iterable[Cause]) -> str:
    """All of them on one line."""
    return ", ".join(map(render_cause, causes))


def render_kinds(objects: Iterable[ObjectDifference]) -> str:
    """`Deployment, Service`, in order of kind; one of several of a kind is named once."""
    return ", ".join(sorted({one.kind for one in objects}))


def render_alone(model: ModelDifference, names: tuple[str, str]) -> str:
    """Of a model that runs in one of two environments only: in which, and why not in the other."""
    here, there = names if model.change == "removed" else names[::-1]
    return f"{model.name} runs only in {here}; in {there} {model.reason}"


def render_head(changed: Sequence[ModelDifference], same: int) -> str:
    """`2 of 13 models change`."""
    total = render_count(len(changed) + same, "model")
    if not changed:
        return f"no manifest of {total} changes"
    return f"{len(changed)} of {total} {'changes' if len(changed) == 1 else 'change'}"


def split_runs(fields: Sequence[Difference]) -> list[list[Difference]]:
    """Neighbouring fields with the same causes, so that these are told once."""
    runs: list[list[Difference]] = []
    for field in fields:
        if runs and runs[-1][0].causes == field.causes:
            runs[-1].append(field)
        else:
            runs.append([field])
    return runs
