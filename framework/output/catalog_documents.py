"""The JSON of the verbs that work on the catalog: validate, list, explain, diff, affected, bump."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import ConfigDict, with_config
from pydantic.alias_generators import to_camel

from framework.edits.bump import ModelBump
from framework.reports.comparison import (
    Cause,
    ChangeKind,
    Difference,
    ModelDifference,
    ObjectDifference,
)
from framework.reports.explain import ExplainedSetting
from framework.reports.listing import ListedModel
from framework.reports.rendered_fields import ExplainedField, ObjectName

# Set on the dataclass of a verb; pydantic applies it to the dataclasses inside it too. A key with a
# default in Python is always written, so the schema requires it.
CONFIG = ConfigDict(alias_generator=to_camel, json_schema_serialization_defaults_required=True)


@dataclass(frozen=True)
class DiagnosticItem:
    """An error or a warning. `line` and `column` count from 1; 0 is the file as a whole."""

    path: str
    line: int
    column: int
    code: str
    meaning: str
    severity: Literal["error", "warning"]
    message: str
    layer: str
    models: tuple[str, ...]


@with_config(CONFIG)
@dataclass(frozen=True)
class Validation:
    """The errors and warnings in the files of these environments."""

    environments: tuple[str, ...]
    diagnostics: tuple[DiagnosticItem, ...]


@with_config(CONFIG)
@dataclass(frozen=True)
class Listing:
    """The models of the catalog, without those with errors; `diagnostics` has the errors."""

    models: tuple[ListedModel, ...]
    diagnostics: tuple[DiagnosticItem, ...]


@with_config(CONFIG)
@dataclass(frozen=True)
class SettingsExplanation:
    """Settings of one model, each with the position that set it."""

    model: str
    environment: str
    settings: tuple[ExplainedSetting, ...]


@with_config(CONFIG)
@dataclass(frozen=True)
class FieldsExplanation:
    """Fields of one object, each with the settings that it comes from (KEY=Deployment.spec)."""

    model: str
    environment: str
    object: ObjectName
    needs: tuple[str, ...]
    fields: tuple[ExplainedField, ...]
    adds: tuple[str, ...]
    settings: tuple[ExplainedSetting, ...]


@with_config(CONFIG)
@dataclass(frozen=True)
class EnvironmentDiff:
    """Two environments side by side (TO=): old is `environment`, new is `to`."""

    environment: str
    to: str
    change: ChangeKind | None
    settings: tuple[Difference, ...]
    objects: tuple[ObjectDifference, ...]
    models: tuple[ModelDifference, ...]
    unchanged: int


@with_config(CONFIG)
@dataclass(frozen=True)
class CommitDiff:
    """The effect of a change on one environment (SINCE=): old is `commit`, new the working tree."""

    environment: str
    since: str
    commit: str
    merge_base: str | None
    change: ChangeKind | None
    settings: tuple[Difference, ...]
    objects: tuple[ObjectDifference, ...]
    models: tuple[ModelDifference, ...]
    unchanged: int
    notes: tuple[str, ...]
    compared: bool
    not_compared: tuple[str, ...]
    failure: str | None
    diagnostics: tuple[DiagnosticItem, ...]


@dataclass(frozen=True)
class AffectedModel:
    """A model whose manifests change. Without WHY=1, `reason` and `causes` are null."""

    name: str
    change: ChangeKind
    reason: str | None
    causes: tuple[Cause, ...] | None


@dataclass(frozen=True)
class AffectedEnvironment:
    """An environment with manifests that change; `namespace` is true if its Namespace changes."""

    environment: str
    change: ChangeKind | None
    namespace: bool
    models: tuple[AffectedModel, ...]


@dataclass(frozen=True)
class IncompleteEnvironment:
    """An environment that could not be compared, or only in part."""

    environment: str
    compared: bool
    not_compared: tuple[str, ...]
    failure: str | None


@with_config(CONFIG)
@dataclass(frozen=True)
class Affected:
    """The environments and models whose manifests a change since a commit touches."""

    since: str
    commit: str
    merge_base: str | None
    environments: tuple[AffectedEnvironment, ...]
    notes: tuple[str, ...]
    incomplete: tuple[IncompleteEnvironment, ...]
    diagnostics: tuple[DiagnosticItem, ...]


@with_config(CONFIG)
@dataclass(frozen=True)
class RenderedFolder:
    """The files written by `render` with OUT=, and those of an earlier render that it removed."""

    folder: str
    files: tuple[str, ...]
    removed: tuple[str, ...]


@with_config(CONFIG)
@dataclass(frozen=True)
class Bump:
    """The models whose image tag was set."""

    tag: str
    models: tuple[ModelBump, ...]
