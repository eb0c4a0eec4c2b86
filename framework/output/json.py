"""Renders the results of the verbs as JSON: builds their documents, and writes these as text."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import fields
from typing import Any, TypeVar

from pydantic import TypeAdapter

from framework.cluster import ClusterStatus
from framework.core.changes import Op, Preview
from framework.core.diagnostics import DiagnosticGroup
from framework.output.catalog_documents import (
    Affected,
    AffectedEnvironment,
    AffectedModel,
    CommitDiff,
    DiagnosticItem,
    EnvironmentDiff,
    FieldsExplanation,
    IncompleteEnvironment,
)
from framework.output.changes import is_shown
from framework.output.diagnostics import name_layer
from framework.output.diff import list_diagnostics
from framework.output.forecasts import build_rollout
from framework.output.stack_documents import (
    ChangeItem,
    ClusterStatusDocument,
    FieldChangeItem,
    Forecast,
    PreviewDocument,
    ProblemItem,
)
from framework.plan import StackPlan, TrackPlan
from framework.reports.comparison import CommitComparison, Comparison
from framework.reports.rendered_fields import ExplainedFields

Document = TypeVar("Document")


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
        build_document(
            DiagnosticItem,
            group.diagnostic,
            code=group.diagnostic.code.value,
            meaning=group.diagnostic.code.meaning,
            severity="warning" if group.diagnostic.code.is_warning else "error",
            # In a commit's tree the path is `COMMIT:catalog/...`.
            layer=name_layer(group.diagnostic.path.rpartition(":")[2]) or "model",
            models=group.models,
        )
        for group in groups
    )


def build_document(document: type[Document], *results: Any, **others: Any) -> Document:
    """Builds a document from the fields of results that have the names of its own, and `others`."""
    found = {name: value for result in results for name, value in vars(result).items()}
    names = {field.name for field in fields(document)}  # type: ignore[arg-type]
    return document(**{name: found[name] for name in names & found.keys()} | others)


def build_fields_explanation(
    model: str, environment: str, explained: ExplainedFields
) -> FieldsExplanation:
    """Returns the explanation of an object's fields."""
    return build_document(FieldsExplanation, explained, model=model, environment=environment)


def build_environment_diff(comparison: Comparison, names: tuple[str, str]) -> EnvironmentDiff:
    """Returns the comparison of two environments."""
    return build_document(EnvironmentDiff, comparison, environment=names[0], to=names[1])


def build_commit_diff(comparison: Comparison, since: CommitComparison) -> CommitDiff:
    """Returns the comparison of one environment with a commit."""
    diagnostics = build_diagnostics(list_diagnostics([comparison]))
    return build_document(CommitDiff, since, comparison, diagnostics=diagnostics)


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
    incomplete = [build_document(IncompleteEnvironment, found) for found in since.incomplete]
    return build_document(
        Affected,
        since,
        environments=environments,
        incomplete=tuple(incomplete),
        diagnostics=build_diagnostics(list_diagnostics(since.environments)),
    )


def _build_forecast(track: TrackPlan) -> Forecast:
    return Forecast(
        replicas=track.budget.replicas,
        surge=track.budget.surge,
        unavailable=track.budget.unavailable,
        waves=track.budget.waves,
        peak=track.budget.peak,
        minimum_available=track.budget.minimum_available,
        worst_case_seconds=track.seconds,
        down_seconds=track.down_seconds,
    )


def build_preview(preview: Preview, plan: StackPlan, engine: str) -> PreviewDocument:
    """Returns the change list with the forecast of every rollout."""
    changes = tuple(
        build_document(
            ChangeItem,
            change,
            kind=change.kind,
            model=change.component or None,
            fields=tuple(build_document(FieldChangeItem, field) for field in change.fields),
        )
        for change in preview.changes
        if is_shown(change)
    )
    deployments = {
        change.object.rpartition("/")[2]: change
        for change in preview.changes
        if change.kind == "Deployment" and change.op is not Op.DELETE
    }
    forecasts = {
        track.deployment: _build_forecast(
            build_rollout(track, deployments.get(track.deployment)).track
        )
        for model in plan.models
        for track in model.tracks
    }
    return build_document(
        PreviewDocument,
        preview,
        stack=plan.stack.name,
        engine=engine,
        clean=preview.clean,
        changes=changes,
        forecasts=forecasts,
        outputs=dict(preview.outputs),
        problems=tuple(
            build_document(
                ProblemItem,
                problem,
                model=problem.component or None,
                object=problem.object or None,
                position=problem.position or None,
                next=problem.next_step or None,
            )
            for problem in preview.problems
        ),
    )


def build_cluster_status(status: ClusterStatus) -> ClusterStatusDocument:
    """Returns the status of the local cluster."""
    return build_document(ClusterStatusDocument, status)
