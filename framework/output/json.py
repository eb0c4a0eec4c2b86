"""Writes the JSON of every reading verb, and the JSON Schemas that describe it.

Each verb has one or two frozen dataclasses, whose fields in camelCase are the keys. Results of
other packages that have the right shape are used as they are. Other programs read these keys: a key
stays once it is released, and `schemas/output/` shows every change of them in a review.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, with_config
from pydantic.alias_generators import to_camel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from framework.cluster import ClusterStatus
from framework.core.changes import Op, Preview
from framework.core.diagnostics import DiagnosticGroup
from framework.drift import DriftFinding, DriftReport, FindingKind
from framework.edits.bump import ModelBump
from framework.output.changes import is_shown
from framework.output.diagnostics import name_layer
from framework.output.diff import list_diagnostics
from framework.output.models import TrackStatus
from framework.plan import StackPlan
from framework.reports.comparison import (
    Cause,
    ChangeKind,
    CommitComparison,
    Comparison,
    Difference,
    ModelDifference,
    ObjectDifference,
)
from framework.reports.explain import ExplainedSetting
from framework.reports.listing import ListedModel
from framework.reports.rendered_fields import ExplainedField, ExplainedFields, ObjectName

# Set on the dataclass of a verb; pydantic applies it to the dataclasses inside it too. A key with a
# default in Python is always written, so the schema requires it.
_CONFIG = ConfigDict(alias_generator=to_camel, json_schema_serialization_defaults_required=True)


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


@with_config(_CONFIG)
@dataclass(frozen=True)
class Validation:
    """The errors and warnings in the files of these environments."""

    environments: tuple[str, ...]
    diagnostics: tuple[DiagnosticItem, ...]


@with_config(_CONFIG)
@dataclass(frozen=True)
class Listing:
    """The models of the catalog, without those with errors; `diagnostics` has the errors."""

    models: tuple[ListedModel, ...]
    diagnostics: tuple[DiagnosticItem, ...]


@with_config(_CONFIG)
@dataclass(frozen=True)
class SettingsExplanation:
    """Settings of one model, each with the position that set it."""

    model: str
    environment: str
    settings: tuple[ExplainedSetting, ...]


@with_config(_CONFIG)
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


@with_config(_CONFIG)
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


@with_config(_CONFIG)
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


@with_config(_CONFIG)
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


@with_config(_CONFIG)
@dataclass(frozen=True)
class RenderedFolder:
    """The files written by `render` with OUT=, and those of an earlier render that it removed."""

    folder: str
    files: tuple[str, ...]
    removed: tuple[str, ...]


@with_config(_CONFIG)
@dataclass(frozen=True)
class Status:
    """The tracks that run, and those of the plan that do not."""

    stack: str
    tracks: tuple[TrackStatus, ...]


@dataclass(frozen=True)
class FieldChangeItem:
    """A field that changes. A side that lacks it is null; a secret is "[secret]"."""

    path: str
    old: Any
    new: Any


@dataclass(frozen=True)
class ChangeItem:
    """A resource of the change list. `model` is null for what belongs to no model."""

    op: Op
    urn: str
    kind: str
    object: str
    model: str | None
    fields: tuple[FieldChangeItem, ...]
    note: str


@dataclass(frozen=True)
class Forecast:
    """The update of one Deployment, in Pods; the last two are in seconds.

    `down_seconds` is how long no Pod may serve; 0 where some always do.
    """

    replicas: int
    surge: int
    unavailable: int
    waves: int
    peak: int
    minimum_available: int
    worst_case_seconds: int
    down_seconds: int


@with_config(_CONFIG)
@dataclass(frozen=True)
class PreviewDocument:
    """The changes of the next `up`. `forecasts` has every Deployment of the plan by its name."""

    stack: str
    engine: str
    clean: bool
    changes: tuple[ChangeItem, ...]
    forecasts: dict[str, Forecast]
    outputs: dict[str, Any]
    messages: tuple[str, ...]


@dataclass(frozen=True)
class DriftedField(FieldChangeItem):
    """A field that differs: `old` is recorded, `new` is live. Who wrote it may be unknown."""

    manager: str | None
    time: str | None


@dataclass(frozen=True)
class DriftedObject:
    """An object that differs between the recorded state and the cluster."""

    op: Op
    urn: str
    kind: str
    object: str
    model: str | None
    fields: tuple[DriftedField, ...]
    note: str


@with_config(_CONFIG)
@dataclass(frozen=True)
class Drift:
    """The differences between the recorded state and the cluster."""

    stack: str
    clean: bool
    changes: tuple[DriftedObject, ...]
    messages: tuple[str, ...]


@with_config(_CONFIG)
@dataclass(frozen=True)
class ClusterStatusDocument(ClusterStatus):
    """The local cluster: its processes and nodes."""


@with_config(_CONFIG)
@dataclass(frozen=True)
class Bump:
    """The models whose image tag was set."""

    tag: str
    models: tuple[ModelBump, ...]


@dataclass(frozen=True)
class ImportedField:
    """A field in which the rendered objects differ from the manifests.

    A side that lacks it is null. Without a path, the whole object is not rendered.
    """

    kind: str
    path: str
    manifest: Any
    rendered: Any
    fields: int
    reason: str | None


@dataclass(frozen=True)
class ImportedObject:
    """An object of the manifests that no setting describes, and the reason."""

    object: str
    position: str
    reason: str


@dataclass(frozen=True)
class ImportProof:
    """The comparison of the manifests with the rendered objects, in single fields.

    `objects` are kept as they are, in the setting of this name; `refused` are settings.
    """

    by_setting: int
    by_patch: int
    not_expressed: int
    differences: tuple[ImportedField, ...]
    added_fields: tuple[ImportedField, ...]
    added_objects: tuple[str, ...]
    objects: tuple[ImportedObject, ...]
    left_out: tuple[ImportedObject, ...]
    refused: dict[str, str]


@dataclass(frozen=True)
class ImportedOverlay:
    """The file of a model in one environment; null where nothing differs."""

    environment: str
    file: str | None
    proof: ImportProof


@dataclass(frozen=True)
class ImportDryRun:
    """What the local cluster would store differently, and the errors of what it refuses."""

    differences: tuple[ImportedField, ...]
    refused: tuple[str, ...]


@dataclass(frozen=True)
class ImportedModel:
    """One model. `secrets` are variables with a plain value; `dry_run` needs a cluster."""

    model: str
    file: str
    position: str
    profiles: tuple[str, ...]
    renamed: tuple[str, ...]
    secrets: tuple[str, ...]
    proof: ImportProof
    overlays: tuple[ImportedOverlay, ...]
    dry_run: ImportDryRun | None


@with_config(_CONFIG)
@dataclass(frozen=True)
class ImportDocument:
    """The models made from manifests, the files written, and the errors that these have.

    `proposed_profile` could hold the settings that the models share; YES=1 writes it.
    """

    models: tuple[ImportedModel, ...]
    not_imported: tuple[ImportedObject, ...]
    proposed_profile: str | None
    written: tuple[str, ...]
    diagnostics: tuple[DiagnosticItem, ...]


# The type of each verb's JSON. `render` prints manifests, `outputs` what the program exports.
DOCUMENTS: dict[str, Any] = {
    "validate": Validation,
    "list": Listing,
    "explain": SettingsExplanation | FieldsExplanation,
    "diff": EnvironmentDiff | CommitDiff,
    "affected": Affected,
    "render": list[dict[str, Any]] | RenderedFolder,
    "status": Status,
    "outputs": dict[str, Any],
    "preview": PreviewDocument,
    "drift": Drift,
    "cluster-status": ClusterStatusDocument,
    "bump": Bump,
    "import": ImportDocument,
}


class _Schema(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:
        # A title of "Max Replicas" for the key `maxReplicas` adds nothing.
        return False

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        # The default of a key that is always written is of no use to a reader.
        return self.generate_inner(schema["schema"])


def build_output_schemas() -> dict[str, dict[str, Any]]:
    """Returns the JSON Schema of each verb's JSON by its file name."""
    schemas = {}
    for verb, document in DOCUMENTS.items():
        schema = TypeAdapter(document).json_schema(mode="serialization", schema_generator=_Schema)
        head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
        schemas[f"{verb}.schema.json"] = {**head, **schema, "title": f"{verb} --json"}
    return schemas


def render_json(document: Any) -> str:
    """Returns the indented JSON of a document."""
    # Not `dump_json`: json.dumps escapes every character outside ASCII, so that the output can be
    # printed in any locale, and redact_text() finds a secret in the same escaped form.
    data = TypeAdapter(type(document)).dump_python(
        document, mode="json", by_alias=True, fallback=str
    )
    return json.dumps(data, indent=2)


def build_diagnostics(groups: Iterable[DiagnosticGroup]) -> tuple[DiagnosticItem, ...]:
    """Returns diagnostics with their severity and their layer."""
    return tuple(
        DiagnosticItem(
            path=group.diagnostic.path,
            line=group.diagnostic.line,
            column=group.diagnostic.column,
            code=group.diagnostic.code.value,
            meaning=group.diagnostic.code.meaning,
            severity="warning" if group.diagnostic.code.is_warning else "error",
            message=group.diagnostic.message,
            # In a commit's tree the path is `COMMIT:catalog/...`.
            layer=name_layer(group.diagnostic.path.rpartition(":")[2]) or "model",
            models=group.models,
        )
        for group in groups
    )


def build_fields_explanation(
    model: str, environment: str, explained: ExplainedFields
) -> FieldsExplanation:
    """Returns the explanation of an object's fields."""
    return FieldsExplanation(
        model=model,
        environment=environment,
        object=explained.object,
        needs=explained.needs,
        fields=explained.fields,
        adds=explained.adds,
        settings=explained.settings,
    )


def build_environment_diff(comparison: Comparison, names: tuple[str, str]) -> EnvironmentDiff:
    """Returns the comparison of two environments."""
    return EnvironmentDiff(
        environment=names[0],
        to=names[1],
        change=comparison.change,
        settings=comparison.settings,
        objects=comparison.objects,
        models=comparison.models,
        unchanged=comparison.unchanged,
    )


def build_commit_diff(comparison: Comparison, since: CommitComparison) -> CommitDiff:
    """Returns the comparison of one environment with a commit."""
    return CommitDiff(
        environment=comparison.environment,
        since=since.since,
        commit=since.commit,
        merge_base=since.merge_base,
        change=comparison.change,
        settings=comparison.settings,
        objects=comparison.objects,
        models=comparison.models,
        unchanged=comparison.unchanged,
        notes=since.notes,
        compared=comparison.compared,
        not_compared=comparison.not_compared,
        failure=comparison.failure,
        diagnostics=build_diagnostics(list_diagnostics([comparison])),
    )


def build_affected(since: CommitComparison, *, why: bool) -> Affected:
    """Returns the environments and models with manifests that differ; `why` adds the causes."""
    environments = tuple(
        AffectedEnvironment(
            environment=comparison.environment,
            change=comparison.change,
            namespace=bool(comparison.objects),
            models=tuple(
                AffectedModel(
                    model.name,
                    model.change,
                    reason=model.reason if why else None,
                    causes=model.causes if why else None,
                )
                for model in comparison.affected
            ),
        )
        for comparison in since.affected
    )
    incomplete = tuple(
        IncompleteEnvironment(
            environment=comparison.environment,
            compared=comparison.compared,
            not_compared=comparison.not_compared,
            failure=comparison.failure,
        )
        for comparison in since.incomplete
    )
    return Affected(
        since=since.since,
        commit=since.commit,
        merge_base=since.merge_base,
        environments=environments,
        notes=since.notes,
        incomplete=incomplete,
        diagnostics=build_diagnostics(list_diagnostics(since.environments)),
    )


def build_preview(preview: Preview, plan: StackPlan, engine: str) -> PreviewDocument:
    """Returns the change list with the forecast of every rollout."""
    changes = tuple(
        ChangeItem(
            op=change.op,
            urn=change.urn,
            kind=change.kind,
            object=change.object,
            model=change.component or None,
            fields=tuple(FieldChangeItem(f.path, f.old, f.new) for f in change.fields),
            note=change.note,
        )
        for change in preview.changes
        if is_shown(change)
    )
    forecasts = {
        track.deployment: Forecast(
            replicas=track.budget.replicas,
            surge=track.budget.surge,
            unavailable=track.budget.unavailable,
            waves=track.budget.waves,
            peak=track.budget.peak,
            minimum_available=track.budget.minimum_available,
            worst_case_seconds=track.seconds,
            down_seconds=track.down_seconds,
        )
        for model in plan.models
        for track in model.tracks
    }
    return PreviewDocument(
        stack=plan.stack.name,
        engine=engine,
        clean=preview.clean,
        changes=changes,
        forecasts=forecasts,
        outputs=dict(preview.outputs),
        messages=preview.messages,
    )


def build_drift(report: DriftReport) -> Drift:
    """Returns the objects that differ."""
    return Drift(
        stack=report.stack.name,
        clean=report.clean,
        changes=tuple(map(_build_drifted, report.findings)),
        messages=report.warnings,
    )


def _build_drifted(finding: DriftFinding) -> DriftedObject:
    return DriftedObject(
        op=Op.DELETE if finding.kind is FindingKind.MISSING else Op.UPDATE,
        urn=finding.urn,
        kind=finding.object_kind,
        object=finding.object,
        model=finding.model or None,
        fields=tuple(
            DriftedField(f.path, f.old, f.new, f.manager or None, f.time or None)
            for f in finding.fields
        ),
        note=finding.note,
    )


def build_cluster_status(status: ClusterStatus) -> ClusterStatusDocument:
    """Returns the status of the local cluster."""
    return ClusterStatusDocument(**vars(status))
