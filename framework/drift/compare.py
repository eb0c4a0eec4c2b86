"""Compares the recorded objects of a stack with the live ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from framework.drift.report import DriftReport, Finding, FindingKind
from framework.engines.base import RecordedObject, RecordedObjects, Request
from framework.engines.clusters import Connect, connect_kubernetes, open_clusters
from framework.engines.live_objects import compare_with_cluster
from framework.engines.values import redact_fields
from framework.kube.desired import compare_with_desired
from framework.kube.object_diff import LiveComparison, LiveStatus

_KINDS: Mapping[LiveStatus, FindingKind] = {
    LiveStatus.CHANGED: FindingKind.CHANGED,
    LiveStatus.RECREATED: FindingKind.RECREATED,
    LiveStatus.TERMINATING: FindingKind.MISSING,
    LiveStatus.GONE: FindingKind.MISSING,
}


def find_drift(
    request: Request, recorded: RecordedObjects, connect: Connect = connect_kubernetes
) -> DriftReport:
    """Compares the live objects with the desired ones; writes nothing.

    `recorded` are the recorded objects of the request, from either engine. Raises ClusterError for
    a cluster that does not answer, or that is not the recorded one.
    """
    with open_clusters(request, recorded, connect) as clusters:
        compared = compare_with_cluster(
            # One call for each kind and Namespace. An answer that is ten seconds old does for a
            # report.
            recorded.objects,
            clusters,
            compare_with_desired,
            listed=True,
        )
    findings = [
        finding for item in compared for finding in _build_findings(item.recorded, item.comparison)
    ]
    return DriftReport(
        request.stack,
        tuple(sorted(findings, key=_sort_key)),
        objects=len(recorded.objects),
        models=len({obj.component for obj in recorded.objects} - {""}),
        warnings=recorded.messages,
    )


def _build_findings(obj: RecordedObject, comparison: LiveComparison) -> Iterator[Finding]:
    if comparison.status is LiveStatus.SAME:
        return
    whole = Finding(
        kind=_KINDS[comparison.status],
        type=obj.type,
        object=obj.id,
        urn=obj.urn,
        model=obj.component,
        note=comparison.note,
    )
    if whole.kind is not FindingKind.CHANGED:
        yield whole
    # compare_objects redacts the data of Secrets. A program may mark any other value, such as the
    # environment variable of a Deployment, as a secret too.
    for field in redact_fields(comparison.fields, obj.secrets):
        yield replace(
            whole,
            kind=FindingKind.ADDED if field.old is None else FindingKind.CHANGED,
            path=field.path,
            desired=field.old,
            recorded=field.old,
            live=field.new,
            manager=field.manager,
            time=field.time,
            note="",
        )


def _sort_key(finding: Finding) -> tuple[bool, bool, str, str, str, str]:
    return (
        # False sorts before True: Namespaces come first, and missing objects last.
        finding.kind is FindingKind.MISSING,
        finding.object_kind != "Namespace",
        finding.model,
        finding.object_kind,
        finding.object,
        finding.urn,
    )
