"""What MODEL= selects: a name, a glob, or label=value.

Kept apart because every narrowing verb must mean the same by it.
"""

from __future__ import annotations

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


def _select_by_label(plan: StackPlan, pattern: str) -> tuple[ModelPlan, ...]:
    label, _, value = pattern.partition("=")
    found = tuple(model for model in plan.models if model.labels.get(label) == value)
    if not found:
        known = {f"{key}={value}" for model in plan.models for key, value in model.labels.items()}
        raise UnknownNameError("label", pattern, known)
    return found
