"""What MODEL= selects: a name, a glob, or label=value.

Kept apart because every narrowing verb must mean the same by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

from framework.errors import UnknownNameError, UsageError
from framework.plan import ModelPlan, StackPlan


def select_models(plan: StackPlan, pattern: str | None) -> tuple[ModelPlan, ...]:
    """The models a pattern means, all of them for None. Errors: UsageError when it means none."""
    if pattern is None:
        return plan.models
    if "=" in pattern:
        return _select_by_label(plan, pattern)
    found = tuple(model for model in plan.models if fnmatchcase(model.name, pattern))
    if found:
        return found
    if pattern in plan.disabled:
        raise UsageError(
            f'model "{pattern}" does not run in {plan.environment} (enabled: false); '
            "enable it there, or choose another environment"
        )
    raise UnknownNameError("model", pattern, [model.name for model in plan.models])


def select_components(
    plan: StackPlan, pattern: str | None, recorded: Callable[[], Iterable[str]]
) -> frozenset[str] | None:
    """The names an engine is narrowed to, None for the whole stack. Errors: UsageError.

    A model that left the catalog, or no longer runs here, is `recorded` until `up` deletes it; it
    can be named too.
    """
    if pattern is None:
        return None
    planned = {model.name for model in plan.models}
    if pattern in planned or "=" in pattern:
        return frozenset(model.name for model in select_models(plan, pattern))
    found = {name for name in {*planned, *recorded()} if fnmatchcase(name, pattern)}
    return frozenset(found or (model.name for model in select_models(plan, pattern)))


def _select_by_label(plan: StackPlan, pattern: str) -> tuple[ModelPlan, ...]:
    label, _, value = pattern.partition("=")
    found = tuple(model for model in plan.models if model.labels.get(label) == value)
    if not found:
        known = {pair for model in plan.models for pair in model.labels.items()}
        of_label = {pair for pair in known if pair[0] == label} or known
        raise UnknownNameError("label", pattern, map("=".join, of_label))
    return found
