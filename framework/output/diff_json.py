"""Comparisons for machines: the same facts as on the screens, nothing left out.

Kept apart because its keys must stay: other programs read them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from framework.output.diagnostics import describe_diagnostic, name_layer
from framework.output.since import list_diagnostics
from framework.reports.affected import Since
from framework.reports.differences import (
    Cause,
    Comparison,
    Difference,
    ModelDifference,
    ObjectDifference,
)


def describe_comparison(found: Comparison) -> dict[str, Any]:
    """What differs in one environment, or between two; what is on neither side is null."""
    return {
        "change": found.change if found.compared else None,
        "settings": [*map(_describe_difference, found.environment)],
        "objects": [*map(_describe_object, found.namespace)],
        "models": [*map(_describe_model, found.models)],
        "unchanged": found.same,
    }


def describe_since(found: Comparison, since: Since) -> dict[str, Any]:
    """What a change does to one environment, and what could not be compared."""
    return {
        "environment": found.environment_name,
        **_describe_ref(since),
        **describe_comparison(found),
        "notes": list(since.notes),
        **_describe_uncompared(found),
        "faults": _describe_diagnostics([found]),
    }


def _describe_ref(since: Since) -> dict[str, Any]:
    """`commit` is what was compared with: `mergeBase` where that is not the ref's own."""
    base = since.commit if since.merge_base else None
    return {"since": since.ref, "commit": since.commit, "mergeBase": base}


def _describe_uncompared(found: Comparison) -> dict[str, Any]:
    return {
        "compared": found.compared,
        "notCompared": list(found.uncompared),
        "failure": found.failure or None,
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


def describe_affected(since: Since, *, why: bool) -> dict[str, Any]:
    """Every environment and model with a manifest that differs."""
    return {
        **_describe_ref(since),
        "environments": [_describe_environment(one, why=why) for one in since.affected],
        "notes": list(since.notes),
        "incomplete": [
            {"environment": one.environment_name, **_describe_uncompared(one)}
            for one in since.incomplete
        ],
        "faults": _describe_diagnostics(since.environments),
    }


def _describe_environment(found: Comparison, *, why: bool) -> dict[str, Any]:
    return {
        "environment": found.environment_name,
        "change": found.change,
        "namespace": bool(found.namespace),
        "models": [_describe_affected_model(model, why=why) for model in found.affected],
    }


def _describe_affected_model(model: ModelDifference, *, why: bool) -> dict[str, Any]:
    described: dict[str, Any] = {"name": model.name, "change": model.change}
    if why:
        described |= {
            "reason": model.reason or None,
            "causes": [*map(_describe_cause, model.causes)],
        }
    return described


def _describe_model(model: ModelDifference) -> dict[str, Any]:
    return {
        "name": model.name,
        "change": model.change,
        "reason": model.reason or None,
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
        "position": cause.position or None,
        "gone": cause.gone,
        "oldPosition": cause.old_position or None,
        "newPosition": cause.new_position or None,
    }
