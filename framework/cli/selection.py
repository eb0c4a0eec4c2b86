"""What MODEL= selects: a name, a glob, or label=value.

Kept apart because every narrowing verb must mean the same by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from framework.core.errors import UnknownNameError, UsageError
from framework.files import find_catalog

if TYPE_CHECKING:
    # `explain` selects too, and need not wait for the plan's modules.
    from framework.plan import ModelPlan, StackPlan


def match_names(root: Path, pattern: str | None) -> frozenset[str] | None:
    """The names that a name or glob means, so that no other file need be read; None where a label
    or nothing is asked for, which only loading all can tell. Errors: UnknownNameError."""
    if pattern is None or "=" in pattern:
        return None
    names = tuple(find_catalog(root).models)
    if found := frozenset(name for name in names if fnmatchcase(name, pattern)):
        return found
    raise UnknownNameError("model", pattern, names)


def select_models(plan: StackPlan, pattern: str | None) -> tuple[ModelPlan, ...]:
    """The models a pattern means, all of them for None. Errors: UsageError when it means none."""
    if pattern is None:
        return plan.models
    if "=" in pattern:
        return _select_by_label(plan, pattern)
    found = tuple(model for model in plan.models if fnmatchcase(model.name, pattern))
    if found:
        return found
    if any(fnmatchcase(name, pattern) for name in plan.disabled):
        raise does_not_run(pattern, plan.stack.environment)
    raise UnknownNameError("model", pattern, [model.name for model in plan.models])


def does_not_run(pattern: str, environment: str, position: str = "") -> UsageError:
    """The error for a model that is switched off in an environment, at `place`."""
    said = f"enabled: false, {position}" if position else "enabled: false"
    return UsageError(
        f'model "{pattern}" does not run in {environment} ({said}); '
        "enable it there, or choose another environment"
    )


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
        pairs = {pair for model in plan.models for pair in model.labels.items()}
        raise unknown_label(pattern, map("=".join, pairs))
    return found


def unknown_label(pattern: str, known: Iterable[str]) -> UnknownNameError:
    """The error for a `label=value` that no model has; `known` are those that some have."""
    listed = set(known)
    of_label = {one for one in listed if one.startswith(f"{pattern.partition('=')[0]}=")}
    return UnknownNameError("label", pattern, of_label or listed)
