"""The result of comparing two environments, or the working tree with a commit, as plain data.

The field names are also the keys of the JSON output, in camelCase. Other programs read that output,
so renaming a field breaks them. A value that one side does not have is None. Secrets are redacted
when a comparison is built.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from framework.core.diagnostics import Diagnostic

ChangeKind = Literal["added", "removed", "changed"]
# The cause of a difference that no setting explains.
FRAMEWORK_CODE = "framework code"


@dataclass(frozen=True)
class Cause:
    """A setting that differs, with its line on each side (`file:line:column`).

    `position` is the line whose change caused the difference. If `gone`, that line was removed, and
    `position` is in the old side.
    """

    setting: str
    position: str | None = None
    gone: bool = False
    old_position: str | None = None
    new_position: str | None = None


@dataclass(frozen=True)
class Difference:
    """A setting or a manifest field that differs, by its path."""

    path: str
    old: Any
    new: Any
    causes: tuple[Cause, ...] = ()


@dataclass(frozen=True)
class ObjectDifference:
    """A Kubernetes object that differs.

    An object that both sides have lists its `fields`, each with its causes. An object that only
    one side has lists `causes` of its own.
    """

    kind: str
    name: str
    change: ChangeKind
    fields: tuple[Difference, ...] = ()
    causes: tuple[Cause, ...] = ()

    @property
    def all_causes(self) -> tuple[Cause, ...]:
        """Returns its own causes and those of its fields."""
        return (*self.causes, *(cause for field in self.fields for cause in field.causes))


@dataclass(frozen=True)
class ModelDifference:
    """A model that differs. `reason` is a sentence for a model that runs on one side only.

    A model without `objects` has settings that differ, and the same manifests.
    """

    name: str
    change: ChangeKind
    reason: str | None = None
    settings: tuple[Difference, ...] = ()
    objects: tuple[ObjectDifference, ...] = ()

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Returns the causes of all its objects' differences, sorted by file, line and column."""
        found = {cause for difference in self.objects for cause in difference.all_causes}
        return tuple(sorted(found, key=_sort_key))


def _sort_key(cause: Cause) -> tuple[str, int, int, str]:
    # Line 18 comes before line 119, so lines and columns are compared as numbers.
    file, line, column = cause.position.rsplit(":", 2) if cause.position else ("", "0", "0")
    return file, int(line), int(column), cause.setting


@dataclass(frozen=True)
class Comparison:
    """All differences in one environment, or between two.

    `settings` and `objects` are those of the environment itself (its Namespace). `unchanged` counts
    the models whose settings and manifests are the same. `not_compared` names the models that have
    errors on either side. If nothing could be compared, `compared` is False, `change` is None, and
    `failure` or `diagnostics` have the reason. `secrets` are values of both sides that must be
    redacted from every report.
    """

    environment: str
    change: ChangeKind | None
    settings: tuple[Difference, ...] = ()
    objects: tuple[ObjectDifference, ...] = ()
    models: tuple[ModelDifference, ...] = ()
    unchanged: int = 0
    compared: bool = True
    not_compared: tuple[str, ...] = ()
    failure: str | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    secrets: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def affected(self) -> tuple[ModelDifference, ...]:
        """Returns the models whose manifests differ."""
        return tuple(model for model in self.models if model.objects)

    @property
    def settings_only(self) -> tuple[str, ...]:
        """Returns the names of the models whose settings differ and whose manifests do not."""
        return tuple(model.name for model in self.models if not model.objects)

    @property
    def unaffected(self) -> int:
        """Returns the number of models that have the same manifests on both sides."""
        return self.unchanged + len(self.settings_only)

    @property
    def has_errors(self) -> bool:
        """Returns True if either side has an error."""
        return bool(self.diagnostics or self.failure)

    @property
    def has_differences(self) -> bool:
        """Returns True if a setting or a manifest differs."""
        return bool(self.models or self.settings or self.objects)


@dataclass(frozen=True)
class CommitComparison:
    """The working tree compared with a commit: one comparison per environment, sorted by name.

    `since` is the ref that the user named, `commit` the commit that was compared with. The two
    differ on a branch: `commit` is then the `merge_base`, where the branch left the ref.
    """

    since: str
    commit: str
    merge_base: str | None
    environments: tuple[Comparison, ...]
    notes: tuple[str, ...] = ()

    @property
    def affected(self) -> tuple[Comparison, ...]:
        """Returns the environments in which a manifest differs."""
        return tuple(env for env in self.environments if env.affected or env.objects)

    @property
    def incomplete(self) -> tuple[Comparison, ...]:
        """Returns the environments that could not be compared, or not completely."""
        return tuple(env for env in self.environments if env.not_compared or not env.compared)

    @property
    def has_errors(self) -> bool:
        """Returns True if either tree has an error."""
        return any(env.has_errors for env in self.environments)
