"""Renders the results of the verbs as JSON: builds their documents, and writes these as text."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

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
    return PreviewDocument(
        stack=plan.stack.name,
        engine=engine,
        clean=preview.clean,
        changes=changes,
        forecasts=forecasts,
        outputs=dict(preview.outputs),
        messages=preview.messages,
        problems=tuple(
            ProblemItem(
                severity=problem.severity,
                model=problem.component or None,
                object=problem.object or None,
                message=problem.message,
                fields=problem.fields,
                position=problem.position or None,
                next=problem.next_step or None,
            )
            for problem in preview.problems
        ),
    )


def build_cluster_status(status: ClusterStatus) -> ClusterStatusDocument:
    """Returns the status of the local cluster."""
    return ClusterStatusDocument(**vars(status))
