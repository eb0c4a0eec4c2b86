"""What a comparison found, as plain data.

Kept apart from finding it, so that screens and JSON read it without the catalog or the plan.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from framework.core.diagnostics import Diagnostic

Kind = Literal["added", "removed", "changed"]
CODE = "framework code"


@dataclass(frozen=True)
class Cause:
    """A setting that differs, and its line on each side, "" where none says it.

    `place` is the line whose change made it; it is the old side's where that line is gone.
    """

    setting: str
    position: str = ""
    old_position: str = ""
    new_position: str = ""
    gone: bool = False


@dataclass(frozen=True)
class Difference:
    """A setting or a manifest's field, by its path; None on the side that lacks it. No secrets."""

    path: str
    old: Any
    new: Any
    causes: tuple[Cause, ...] = ()


@dataclass(frozen=True)
class ObjectDifference:
    """One object; `fields` where both sides have it, `causes` where only one does."""

    change: Kind
    kind: str
    name: str
    fields: tuple[Difference, ...] = ()
    causes: tuple[Cause, ...] = ()


@dataclass(frozen=True)
class ModelDifference:
    """One model; `reason` is a sentence where it runs on one side only.

    Without `objects` only its settings differ, which no manifest shows.
    """

    name: str
    change: Kind
    reason: str = ""
    settings: tuple[Difference, ...] = ()
    objects: tuple[ObjectDifference, ...] = ()

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Every cause of any of its objects' differences, in order of place."""
        found = [cause for one in self.objects for cause in one.causes]
        found += [c for one in self.objects for field in one.fields for c in field.causes]
        return tuple(sorted(set(found), key=_reading_order))


def _reading_order(cause: Cause) -> tuple[str, int, int, str]:
    """By file, line and column, these as numbers: line 18 comes before 119."""
    file, line, column = cause.position.rsplit(":", 2) if cause.position else ("", "0", "0")
    return file, int(line), int(column), cause.setting


@dataclass(frozen=True)
class Comparison:
    """Everything that differs in one environment, or between two; `same` counts equal models.

    `environment` are the settings of the environment itself, `namespace` its own objects;
    `secrets` are values of both sides that no report may show. `faults` are those of both sides;
    `uncompared` names the models that are not compared because of them. `compared` is False where
    nothing is, `failure` then says why if it is no fault of a file.
    """

    environment_name: str
    change: Kind
    environment: tuple[Difference, ...] = ()
    namespace: tuple[ObjectDifference, ...] = ()
    models: tuple[ModelDifference, ...] = ()
    same: int = 0
    notes: tuple[str, ...] = ()
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    diagnostics: tuple[Diagnostic, ...] = ()
    uncompared: tuple[str, ...] = ()
    compared: bool = True
    failure: str = ""

    @property
    def affected(self) -> tuple[ModelDifference, ...]:
        """The models whose manifests differ."""
        return tuple(model for model in self.models if model.objects)

    @property
    def silent(self) -> tuple[str, ...]:
        """The names of the models whose settings differ and whose manifests do not."""
        return tuple(model.name for model in self.models if not model.objects)

    @property
    def unaffected(self) -> int:
        """How many models have the same manifests."""
        return self.same + len(self.silent)

    @property
    def faulty(self) -> bool:
        """Whether a fault of either side was met."""
        return bool(self.diagnostics or self.failure)

    @property
    def clean(self) -> bool:
        """True where nothing differs at all."""
        return not (self.models or self.environment or self.namespace)
