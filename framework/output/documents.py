"""The JSON of each verb as a frozen dataclass, and the JSON Schemas of all of them.

The fields in camelCase are the keys. Results of other packages that have the right shape are used
as they are. Other programs read these keys: a key stays once it is released, and `schemas/output/`
shows every change of them in a review.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, with_config
from pydantic.alias_generators import to_camel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from framework.cluster import ClusterStatus
from framework.core.changes import Op, PlanInputs, Severity
from framework.drift.grouping import Danger
from framework.drift.report import FindingKind
from framework.drift.run import Verdict
from framework.edits.bump import ModelBump
from framework.output.models import TrackStatus
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

    `down_seconds` is how long no Pod may serve; 0 where some always do. Where a renamed Deployment
    replaces the old one, `surge` are the Pods of the old one: both run until the new one is ready.
    """

    replicas: int
    surge: int
    unavailable: int
    waves: int
    peak: int
    minimum_available: int
    worst_case_seconds: int
    down_seconds: int


@dataclass(frozen=True)
class ProblemItem:
    """A reason why `up` would fail or hang. With an error, `up` writes nothing.

    `position` is the `file:line:column` of the setting behind it, `fields` the fields of the
    object that cause it. `next` says how to go on.
    """

    severity: Severity
    model: str | None
    object: str | None
    message: str
    fields: tuple[str, ...]
    position: str | None
    next: str | None


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
    problems: tuple[ProblemItem, ...]


@dataclass(frozen=True)
class PlannedChange(ChangeItem):
    """A change of a plan. `type` is Pulumi's; `takes_over` is true for an object of others."""

    type: str
    takes_over: bool


@with_config(_CONFIG)
@dataclass(frozen=True)
class PlanDocument:
    """The file of `preview` with PLAN=. `up` with PLAN= applies exactly this, or refuses.

    `models` are those that `model`, the option MODEL, selected; null for the whole stack. `inputs`
    are digests of what the plan was computed from. `checksum` covers all other keys. `changes` has
    no unchanged objects.
    """

    format: int
    checksum: str
    created: str
    stack: str
    environment: str
    model: str | None
    models: tuple[str, ...] | None
    engine: str
    clean: bool
    changes: tuple[PlannedChange, ...]
    unchanged: int
    forecasts: dict[str, Forecast]
    outputs: dict[str, Any]
    messages: tuple[str, ...]
    inputs: PlanInputs


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


@dataclass(frozen=True)
class AcceptingRule:
    """The rule of `drift.accept` that covers a finding; `until` is its last day."""

    reason: str
    until: str | None
    position: str | None


@dataclass(frozen=True)
class DriftFinding:
    """One difference: a field of an object, or a whole object if `path` is null.

    `id` is the fingerprint, the same in every night and on every machine. `source` is the position
    of the setting behind the field. `since` is the first check that found it, null without OUT=.
    """

    id: str
    change: FindingKind
    danger: Danger
    kind: str
    type: str
    object: str
    urn: str | None
    model: str | None
    path: str | None
    desired: Any
    recorded: Any
    live: Any
    manager: str | None
    time: str | None
    source: str | None
    note: str
    since: str | None
    accepted_by: AcceptingRule | None


@dataclass(frozen=True)
class DriftGroup:
    """Findings with one cause, by their ids. `change` is null for those of a single object."""

    danger: Danger
    change: str | None
    manager: str | None
    first: str | None
    last: str | None
    objects: int
    models: tuple[str, ...]
    findings: tuple[str, ...]


@dataclass(frozen=True)
class ResolvedFinding:
    """A finding of the check before that is gone, and the first check that found it."""

    id: str
    title: str
    since: str


@dataclass(frozen=True)
class RefreshReason:
    """The reason why only one of both checks counts these objects."""

    reason: str
    objects: tuple[str, ...]


@dataclass(frozen=True)
class PulumiRefresh:
    """The verdict of `pulumi refresh --preview-only`: the objects whose record it would change."""

    clean: bool
    objects: tuple[str, ...]
    differences: tuple[RefreshReason, ...]


@dataclass(frozen=True)
class DriftedStack:
    """The check of one stack. `groups` are sorted by what they endanger, the worst first.

    `pending` are models whose files changed since the last `up`, `problems` what could not be
    checked. `refresh` is null with the embedded engine.
    """

    stack: str
    verdict: Verdict
    models: int
    objects: int
    checked: str | None
    findings: tuple[DriftFinding, ...]
    groups: tuple[DriftGroup, ...]
    accepted: tuple[DriftFinding, ...]
    resolved: tuple[ResolvedFinding, ...]
    pending: tuple[str, ...]
    warnings: tuple[str, ...]
    problems: tuple[str, ...]
    refresh: PulumiRefresh | None


@with_config(_CONFIG)
@dataclass(frozen=True)
class Drift:
    """The differences between desired state, recorded state and cluster.

    `stacks` has everything. `stack`, `clean`, `changes` and `messages` are a summary by object.
    """

    environment: str
    verdict: Verdict
    exit_code: int
    checked: str
    seconds: float
    stacks: tuple[DriftedStack, ...]
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
    """The fields that the local cluster would store differently, and the refusals of objects."""

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


# The types of files that verbs write, by option.
FILES: dict[str, Any] = {"plan": PlanDocument}


def build_output_schemas() -> dict[str, dict[str, Any]]:
    """Returns the JSON Schema of each verb's JSON, and of each file, by its file name."""
    schemas = {}
    for name, document in {**DOCUMENTS, **FILES}.items():
        schema = TypeAdapter(document).json_schema(mode="serialization", schema_generator=_Schema)
        head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
        title = f"file of {name.upper()}=" if name in FILES else f"{name} --json"
        schemas[f"{name}.schema.json"] = {**head, **schema, "title": title}
    return schemas
