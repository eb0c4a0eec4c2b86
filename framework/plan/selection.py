"""Selects models for `MODEL=` and every other place that takes a name, a glob or label=value."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from framework.core.errors import UnknownNameError, UsageError
from framework.files import find_catalog
from framework.plan.manifest import ModelPlan, StackPlan


@dataclass(frozen=True)
class ModelPattern:
    """A pattern that selects models; without `text`, it selects all of them."""

    text: str | None = None

    @property
    def is_label(self) -> bool:
        """True for `label=value`, which needs the settings of models and not only their names."""
        return self.text is not None and "=" in self.text

    def matches(self, name: str, labels: Mapping[str, str]) -> bool:
        """Returns True where the model is selected. Its `labels` include `owner`."""
        if self.text is None:
            return True
        if self.is_label:
            label, _, value = self.text.partition("=")
            return labels.get(label) == value
        return fnmatchcase(name, self.text)

    def filter_names(self, names: Iterable[str]) -> frozenset[str]:
        """Returns the names that a name or a glob selects; none for a label."""
        return frozenset(name for name in names if not self.is_label and self.matches(name, {}))


def match_names(root: Path, pattern: str | None) -> frozenset[str] | None:
    """Returns the models that a name or a glob selects, so that only their files are read.

    Returns None where all models must be loaded: without a pattern, or for a label.
    Raises UnknownNameError where the catalog has no such model.
    """
    selected = ModelPattern(pattern)
    if pattern is None or selected.is_label:
        return None
    models = find_catalog(root).models
    if names := selected.filter_names(models):
        return names
    raise UnknownNameError("model", pattern, models)


def select_models(plan: StackPlan, pattern: str | None) -> tuple[ModelPlan, ...]:
    """Returns the models of a plan that a pattern selects; raises UsageError for none."""
    selected = ModelPattern(pattern)
    models = tuple(model for model in plan.models if selected.matches(model.name, model.labels))
    if models or pattern is None:
        return models
    if selected.is_label:
        pairs = {pair for model in plan.models for pair in model.labels.items()}
        raise unknown_label(pattern, map("=".join, pairs))
    if selected.filter_names(plan.disabled):
        raise does_not_run(pattern, plan.stack.environment)
    raise UnknownNameError("model", pattern, [model.name for model in plan.models])


def select_components(
    plan: StackPlan, pattern: str | None, recorded: Callable[[], Iterable[str]]
) -> frozenset[str] | None:
    """Returns the components that a command is narrowed to; None for the whole stack.

    The resources of a model that left the catalog, or no longer runs here, stay recorded until `up`
    deletes them, so such a model can be named too. `recorded` returns the recorded components; it
    is called only where the result may depend on them. Raises UsageError where nothing matches.
    """
    if pattern is None:
        return None
    planned = {model.name for model in plan.models}
    selected = ModelPattern(pattern)
    if (
        pattern not in planned
        and not selected.is_label
        and (names := selected.filter_names({*planned, *recorded()}))
    ):
        return names
    return frozenset(model.name for model in select_models(plan, pattern))


def check_renamed(plan: StackPlan, components: Collection[str]) -> None:
    """Raises UsageError where the old name of a renamed model is selected without the new one.

    Narrowed to the old name, `up` would delete what serves, as for a model that left the catalog.
    Also where both names are recorded: after an interrupted rename the new Deployment may not be
    ready. Narrowed to the new name, `up` deletes the old one once the new one serves.
    """
    for model in plan.models:
        old = model.previous_name
        if old in components and model.name not in components:
            raise UsageError(
                f"{old} is renamed to {model.name} ({model.renamed_at}): use MODEL={model.name}"
            )


def does_not_run(pattern: str, environment: str, position: str = "") -> UsageError:
    """Returns the error for a model that is disabled in an environment, at `position`."""
    cause = f"enabled: false, {position}" if position else "enabled: false"
    return UsageError(
        f'model "{pattern}" does not run in {environment} ({cause}); '
        "enable it there, or choose another environment"
    )


def unknown_label(pattern: str, known: Iterable[str]) -> UnknownNameError:
    """Returns the error for a `label=value` that no model has; `known` are those that some have."""
    pairs = set(known)
    same_label = {pair for pair in pairs if pair.startswith(f"{pattern.partition('=')[0]}=")}
    return UnknownNameError("label", pattern, same_label or pairs)
