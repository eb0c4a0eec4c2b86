"""Comparisons for machines: the same facts as on the screens, nothing left out.

Kept apart because its keys must stay: other programs read them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from framework.output.diagnostics import describe_diagnostic, name_layer
from framework.output.since import list_diagnostics
from framework.reports.comparison import (
    Cause,
    CommitComparison,
    Comparison,
    Difference,
    ModelDifference,
    ObjectDifference,
)


def describe_comparison(found: Comparison) -> dict[str, Any]:
    """What differs in one environment, or between two; what is on neither side is null."""
    return {
        "change": found.change,
        "settings": [*map(_describe_difference, found.settings)],
        "objects": [*map(_describe_object, found.objects)],
        "models": [*map(_describe_model, found.models)],
        "unchanged": found.unchanged,
    }


def describe_since(found: Comparison, since: CommitComparison) -> dict[str, Any]:
    """What a change does to one environment, and what could not be compared."""
    return {
        "environment": found.environment,
        **_describe_ref(since),
        **describe_comparison(found),
        "notes": list(since.notes),
        **_describe_uncompared(found),
        "faults": _describe_diagnostics([found]),
    }


def _describe_ref(since: CommitComparison) -> dict[str, Any]:
    """`commit` is what was compared with: `mergeBase` where that is not the ref's own."""
    return {"since": since.since, "commit": since.commit, "mergeBase": since.merge_base}


def _describe_uncompared(found: Comparison) -> dict[str, Any]:
    return {
        "compared": found.compared,
        "notCompared": list(found.not_compared),
        "failure": found.failure,
    }


def _describe_diagnostics(found: Iterable[Comparison]) -> list[dict[str, Any]]:
    # A path of the commit's tree has the commit before it.
    return [
        {
            **describe_diagnostic(group),
            "layer": name_layer(group.diagnostic.path.rpartition(":")[2]) or "model",
        }
        for group in list_diagnostics(found)
    ]


def describe_affected(since: CommitComparison, *, why: bool) -> dict[str, Any]:
    """Every environment and model with a manifest that differs."""
    return {
        **_describe_ref(since),
        "environments": [_describe_environment(one, why=why) for one in since.affected],
        "notes": list(since.notes),
        "incomplete": [
            {"environment": one.environment, **_describe_uncompared(one)}
            for one in since.incomplete
        ],
        "faults": _describe_diagnostics(since.environments),
    }


def _describe_environment(found: Comparison, *, why: bool) -> dict[str, Any]:
    return {
        "environment": found.environment,
        "change": found.change,
        "namespace": bool(found.objects),
        "models": [_describe_affected_model(model, why=why) for model in found.affected],
    }


def _describe_affected_model(model: ModelDifference, *, why: bool) -> dict[str, Any]:
    described: dict[str, Any] = {"name": model.name, "change": model.change}
    if why:
        described |= {
            "reason": model.reason,
            "causes": [*map(_describe_cause, model.causes)],
        }
    return described


def _describe_model(model: ModelDifference) -> dict[str, Any]:
    return {
        "name": model.name,
        "change": model.change,
        "reason": model.reason,
        "settings": [*map(_describe_difference, model.settings)],
        "objects": [*map(_describe_object, model.objects)],
    }


def _describe_object(one: ObjectDifference) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "name": one.name,
        "change": one.change,
        "fields": [*map(_describe_difference, one.fields)],
        "causes": [*map(_describe_cause, one.causes)],
    }


def _describe_difference(one: Difference) -> dict[str, Any]:
    return {
        "path": one.path,
        "old": one.old,
        "new": one.new,
        "causes": [*map(_describe_cause, one.causes)],
    }


def _describe_cause(cause: Cause) -> dict[str, Any]:
    return {
        "setting": cause.setting,
        "position": cause.position,
        "gone": cause.gone,
        "oldPosition": cause.old_position,
        "newPosition": cause.new_position,
    }
