"""Compares the desired, the recorded and the live objects of a stack."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

from framework.core.changes import Op
from framework.core.commands import make_command
from framework.core.errors import FrameworkError
from framework.core.stack import Stack
from framework.core.suggestions import list_names
from framework.drift.acceptance import apply_accept_rules
from framework.drift.autoscaled import find_out_of_range, find_unknown_ranges
from framework.drift.fields import (
    DesiredObjects,
    build_field_finding,
    build_findings,
    find_secrets_of_models,
)
from framework.drift.foreign import (
    find_foreign,
    find_scale_target,
    name_autoscalers,
)
from framework.drift.report import DriftReport, Finding, FindingKind, Unread, build_id
from framework.drift.sources import add_sources
from framework.engines.base import RecordedObject, RecordedObjects, RefreshedRecord, Request
from framework.engines.clusters import (
    Clusters,
    Connect,
    connect_kubernetes,
    open_clusters,
)
from framework.engines.live_objects import ComparedObject, compare_with_cluster
from framework.engines.project import load_project
from framework.engines.state.backend import open_backend
from framework.engines.urns import parse_urn
from framework.kube.last_applied import compare_with_last_applied
from framework.kube.object_diff import redact_fields
from framework.kube.objects import Object, object_name

_CHANGED_FOR_CLI = "changed; `pulumi refresh --preview-only --diff` may show its fields"


def find_drift(
    request: Request,
    recorded: RecordedObjects,
    connect: Connect = connect_kubernetes,
    *,
    unplanned: frozenset[str] | None = frozenset(),
    today: date | None = None,
    with_sources: bool = True,
    accepts_recreated: bool = False,
    check_refresh: Callable[[], Mapping[str, RefreshedRecord]] = dict,
) -> DriftReport:
    """Compares the live objects with the desired ones; writes nothing and takes no lock.

    `recorded` are the recorded objects of the request, from either engine; those that the program
    only reads are not compared. Its `plan` defines what the files want; for the `unplanned` models,
    None for all, the recorded inputs count. Raises
    ClusterError for a cluster that does not answer, or that is not the recorded one. What cannot be
    read from a cluster that answers is a problem of the report. `with_sources` looks up the setting
    behind each field, in seconds. `accepts_recreated` is for a refresh, which forgets the old one.
    `check_refresh` is called for what only the CLI can read (`Engine.check_refresh`).
    """
    plan = None if unplanned is None else request.plan
    desired = DesiredObjects(plan, unplanned or frozenset())
    with open_clusters(request, recorded, connect, accepts_recreated=accepts_recreated) as clusters:
        # A cluster that does not answer ends the check, before a report exists that could be clean.
        for provider in sorted({obj.provider_urn for obj in recorded.own}):
            clusters.connect(provider)
        compared, errors = _compare(recorded, clusters)
        foreign = find_foreign(request, recorded, clusters, desired)
    only_cli, uncompared = _compare_by_cli(recorded, check_refresh())
    findings, pending, deletions = _collect(compared, recorded, desired, request)
    findings = _fold_namespaces([*findings, *find_out_of_range(compared, desired), *only_cli])
    findings = [*name_autoscalers(findings, foreign.autoscalers), *foreign.findings]
    if with_sources:
        findings = add_sources(findings, request, plan)
    unscaled = find_unknown_ranges(compared, desired, recorded.own)
    unknown = _describe_unknown(unscaled, foreign.undecided, request.stack)
    other_errors = {str(error) for _, error in errors} - foreign.described
    findings.sort(key=_sort_key)
    hidden = (Unread(finding.object_kind, finding.object) for finding in uncompared)
    unread = (*_list_unread([obj for obj, _ in errors], unscaled), *foreign.unread, *hidden)
    drift, accepted, warnings = apply_accept_rules(
        [replace(found, id=build_id(request.stack, found)) for found in findings],
        request.plan.accept if request.plan else (),
        today or datetime.now(UTC).date(),
        unread=unread,
    )
    return DriftReport(
        request.stack,
        drift,
        accepted=accepted,
        pending=tuple(sorted(pending | desired.find_new(recorded.own))),
        deletions=tuple(sorted(deletions)),
        objects=len(recorded.own) + len(recorded.others) - len(uncompared),
        models=len({obj.component for obj in recorded.own} - {""}),
        warnings=(*recorded.messages, *_find_holders(request), *warnings),
        problems=tuple(sorted({*other_errors, *foreign.problems, *unknown})),
        uncompared=tuple(sorted(uncompared, key=lambda finding: finding.label)),
        unread=tuple(dict.fromkeys(unread)),
        kubectl_options=_build_kubectl_options(request, recorded),
    )


def _compare(
    recorded: RecordedObjects, clusters: Clusters
) -> tuple[list[ComparedObject], list[tuple[RecordedObject, FrameworkError]]]:
    """Returns the recorded objects with the live ones, and those that could not be read."""
    errors: list[tuple[RecordedObject, FrameworkError]] = []
    compared = compare_with_cluster(
        # One call for each kind and Namespace. A report may be as old as such a list, at most
        # ten seconds.
        recorded.own,
        clusters,
        compare_with_last_applied,
        listed=True,
        on_error=lambda obj, error: errors.append((obj, error)),
    )
    return compared, errors


def _compare_by_cli(
    recorded: RecordedObjects, records: Mapping[str, RefreshedRecord]
) -> tuple[list[Finding], list[Finding]]:
    """Returns the findings about what only the CLI can read, and one for each resource that it did
    not read."""
    resources = [
        Finding(FindingKind.CHANGED, obj.type, obj.id, urn=obj.urn, model=obj.component)
        for obj in recorded.own
        if obj.needs_cli
    ]
    for urn, component in recorded.others.items():
        parts = parse_urn(urn)
        resources.append(
            Finding(FindingKind.CHANGED, parts.type, parts.name, urn=urn, model=component)
        )
    found: list[Finding] = []
    secrets = recorded.secrets
    for finding in resources:
        record = records.get(finding.urn, RefreshedRecord(Op.SAME))
        if record.op is Op.DELETE:
            found.append(replace(finding, kind=FindingKind.MISSING))
        elif record.fields:
            # What the program declares is all that is desired: the files do not have it.
            fields = redact_fields(record.fields, secrets)
            found += (build_field_finding(finding, field, field.old) for field in fields)
        elif record.op is not Op.SAME:
            found.append(replace(finding, note=_CHANGED_FOR_CLI))
    return found, [finding for finding in resources if finding.urn not in records]


def _build_kubectl_options(request: Request, recorded: RecordedObjects) -> tuple[str, ...]:
    if request.cluster is not None:
        cluster = request.cluster
        return ("--kubeconfig", cluster.kubeconfig, "--context", cluster.context)
    # The kubeconfig of another program's provider may be its text, with credentials.
    contexts = {str(inputs.get("context") or "") for inputs in recorded.providers.values()}
    return ("--context", contexts.pop()) if len(contexts) == 1 and all(contexts) else ()


def _collect(
    compared: Sequence[ComparedObject],
    recorded: RecordedObjects,
    desired: DesiredObjects,
    request: Request,
) -> tuple[list[Finding], set[str], list[str]]:
    """Returns the findings, the pending models, and the objects that the next `up` deletes."""
    findings: list[Finding] = []
    pending: set[str] = set()
    deletions: list[str] = []
    copied = find_secrets_of_models(compared, recorded.objects, request.plan)
    for item in compared:
        secrets = copied[item.recorded.component]
        found = build_findings(item, desired, request.injectors, secrets)
        findings += found.findings
        pending |= {item.recorded.component} if found.pending else set()
        if found.is_deletion:
            deletions.append(f"{item.recorded.kind} {item.recorded.id}")
    return findings, pending - {""}, deletions


def _fold_namespaces(findings: Sequence[Finding]) -> list[Finding]:
    """Returns the findings without those about objects that are gone with their Namespace."""
    gone = {
        finding.object: 0
        for finding in findings
        if finding.object_kind == "Namespace" and finding.kind is FindingKind.MISSING
    }
    kept = []
    # Somebody who deletes a Namespace makes one change, so the report has one finding.
    for finding in findings:
        namespace = finding.object.rpartition("/")[0]
        if finding.kind is FindingKind.MISSING and namespace in gone:
            gone[namespace] += 1
        else:
            kept.append(finding)
    return [
        replace(finding, note=f"{finding.note}, and with it everything of the stack in it: {count}")
        if finding.kind is FindingKind.MISSING
        and finding.object_kind == "Namespace"
        and (count := gone[finding.object])
        else finding
        for finding in kept
    ]


def _find_holders(request: Request) -> list[str]:
    """Returns a warning for each lock on the stack, which only a state in a folder shows."""
    project = load_project(request.root)
    if not project.has_file_backend:
        return []
    return [
        f"warning: another command works on this stack, so some differences may be its work: "
        f"{holder}"
        for holder in open_backend(project, request.stack.name).find_holders()
    ]


def _list_unread(
    unread: Iterable[RecordedObject], unscaled: Iterable[RecordedObject]
) -> Iterator[Unread]:
    """Yields what the recorded objects that could not be read hide, and those whose range of
    replicas is unknown."""
    for obj in unscaled:
        yield Unread(obj.kind, obj.id, path="spec.replicas")
    for obj in unread:
        yield Unread(obj.kind, obj.id)
        # Only with its autoscaler is it known whether the replicas of a Deployment are drift.
        if obj.kind == "HorizontalPodAutoscaler" and (target := find_scale_target(obj.inputs)):
            yield Unread(*target, path="spec.replicas")


def _describe_unknown(
    unscaled: Sequence[RecordedObject], undecided: Sequence[Object], stack: Stack
) -> Iterator[str]:
    """Yields the problems that only the files could decide, and these have errors."""
    remedy = f"next: fix the errors that `{make_command('validate', stack.environment)}` shows"
    if unscaled:
        yield (
            f"{list_names([f'{obj.kind} {obj.id}' for obj in unscaled])}: spec.replicas cannot be "
            f"checked, because the range of `autoscaling` is in files with errors; {remedy}"
        )
    if undecided:
        names = sorted(f"{obj['kind']} {object_name(obj['metadata'])}" for obj in undecided)
        yield (
            f"{list_names(names)}: created by Pulumi and not recorded, and whether the files still "
            f"have it is unknown, because they have errors; {remedy}"
        )


def _sort_key(finding: Finding) -> tuple[bool, bool, bool, str, str, str, str]:
    return (
        # False sorts before True: Namespaces come first, missing objects last, then foreign ones.
        finding.kind is FindingKind.FOREIGN,
        finding.kind is FindingKind.MISSING,
        finding.object_kind != "Namespace",
        finding.model,
        finding.object_kind,
        finding.object,
        finding.urn,
    )
