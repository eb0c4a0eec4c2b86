"""The end of a run: what rolled out, what failed and where it is set, the stack's outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.core.changes import Failure, Op, Result
from framework.core.durations import render_elapsed
from framework.output.text import (
    render_count,
    render_image,
    render_table,
    render_value,
    render_wrapped,
)
from framework.plan import ModelPlan, StackPlan

# Pods available and wanted, by `namespace/name` of a Deployment.
Counts = Mapping[str, tuple[int, int]]


def render_result(result: Result, plan: StackPlan, seconds: float, counts: Counts) -> str:
    """The summary of an `up`, `refresh` or `destroy`."""
    moved = {
        change.component
        for change in result.changes
        if change.op is not Op.SAME and change.type.startswith("kubernetes:") and change.component
    }
    failed = {failure.change.component or failure.change.name for failure in result.failures}
    models = {model.name: model for model in plan.models}
    done = [models[name] for name in sorted(moved - failed) if name in models]
    blocks = [
        f"{render_count(len(moved - failed), 'model')} done in {render_elapsed(seconds)}, "
        f"{len(failed)} failed."
    ]
    rows = [row for model in done for row in _render_rows(model, plan, counts)]
    blocks += [render_table(rows)] if rows else []
    blocks += [_render_failure(failure, models, plan) for failure in result.failures]
    return "\n\n".join(blocks)


def _render_rows(model: ModelPlan, plan: StackPlan, counts: Counts) -> list[list[str]]:
    """The tracks that rolled out in this run, with the Pods seen last."""
    rows = []
    for track in model.tracks:
        name = f"{plan.namespace.name}/{track.deployment}"
        if name in counts:
            available, wanted = counts[name]
            pods = f"{available}/{wanted}"
            rows.append([track.deployment, f"Deployment {name}", render_image(track.image), pods])
    return rows


def _render_failure(failure: Failure, models: dict[str, ModelPlan], plan: StackPlan) -> str:
    change = failure.change
    model = models.get(change.component or change.name)
    what = f"{change.kind} {change.object or change.name}"
    narrowed = f" MODEL={model.name}" if model else ""
    if failure.rollout:
        # The reason of a rollout begins with the Deployment's name itself.
        position = f"   {model.image_position}" if model else ""
        said = f"{failure.reason}{position}"
    else:
        said = f"{what} failed: {failure.reason}"
    lines = [render_wrapped(line, then="  ") for line in said.splitlines()]
    lines.append(f"next: mend it and `make up ENV={plan.stack.environment}{narrowed}`")
    return "\n".join(lines)


def render_outputs(outputs: Mapping[str, Any]) -> str:
    """The stack's outputs: text a line each, then mappings side by side, a line for each key."""
    mappings = {name: value for name, value in outputs.items() if isinstance(value, Mapping)}
    texts = [
        [name, render_value(value)]
        for name, value in sorted(outputs.items())
        if name not in mappings
    ]
    blocks = [render_table(texts, indent="  ")]
    if mappings:
        columns = sorted(mappings)
        keys = sorted({key for value in mappings.values() for key in value})
        rows = [
            [key, *(render_value(mappings[column].get(key, "")) for column in columns)]
            for key in keys
        ]
        blocks.append(render_table([["", *columns], *rows], indent="  "))
    return "\n".join(["outputs", *(block for block in blocks if block)])
