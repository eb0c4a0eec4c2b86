"""The end of a run: what rolled out, what failed and where it is set, the stack's outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.changes import Failure, Op, Result
from framework.cli.screens.text import (
    render_count,
    render_image,
    render_seconds,
    render_table,
    render_value,
)
from framework.plan import ModelPlan, StackPlan


def render_result(result: Result, plan: StackPlan, seconds: float) -> str:
    """The summary of an `up`, `refresh` or `destroy`."""
    moved = {
        change.component or change.name
        for change in result.changes
        if change.op is not Op.SAME and change.type.startswith("kubernetes:")
    }
    failed = {failure.change.component or failure.change.name for failure in result.failures}
    models = {model.name: model for model in plan.models}
    done = [models[name] for name in sorted(moved - failed) if name in models]
    blocks = [
        f"{render_count(len(moved - failed), 'model')} done in {render_seconds(seconds)}, "
        f"{len(failed)} failed."
    ]
    if table := render_table([row for model in done for row in _render_rows(model, plan)]):
        blocks.append(table)
    blocks += [_render_failure(failure, models, plan) for failure in result.failures]
    return "\n\n".join(blocks)


def _render_rows(model: ModelPlan, plan: StackPlan) -> list[list[str]]:
    return [
        [
            track.deployment,
            f"Deployment {plan.namespace.name}/{track.deployment}",
            render_image(track.image),
            f"{track.budget.replicas} replicas",
        ]
        for track in model.tracks
    ]


def _render_failure(failure: Failure, models: dict[str, ModelPlan], plan: StackPlan) -> str:
    change = failure.change
    name = change.component or change.name
    model = models.get(name)
    place = f"  {model.image_place}" if model and failure.rollout else ""
    what = f"{change.kind} {change.object or change.name}"
    return (
        f"{name}: {what} failed: {failure.reason}{place}\n"
        f"next: mend it and `make up ENV={plan.stack}" + (f" MODEL={name}`" if model else "`")
    )


def render_outputs(outputs: Mapping[str, Any]) -> str:
    """The stack's outputs, a line each; mappings one line an entry."""
    rows: list[list[str]] = []
    for name, value in sorted(outputs.items()):
        if isinstance(value, Mapping):
            rows += [[f"{name}.{key}", render_value(item)] for key, item in sorted(value.items())]
        else:
            rows.append([name, render_value(value)])
    return "outputs\n" + "\n".join(f"  {line}" for line in render_table(rows).splitlines())
