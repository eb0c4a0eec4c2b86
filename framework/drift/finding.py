"""Compares the recorded objects of a stack with the live ones."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from framework.core.errors import EngineError, FrameworkError
from framework.drift.report import DriftFinding, DriftReport, FindingKind
from framework.engines.base import RecordedObject, RecordedObjects, Request
from framework.engines.clusters import Clusters, Connect, connect_kubernetes, open_clusters
from framework.engines.values import redact_fields
from framework.kube.object_diff import LiveComparison, LiveStatus, compare_with_live
from framework.kube.objects import ObjectState

# Most of these threads only wait for a list that another one has requested.
_THREADS = 16
_KINDS: Mapping[LiveStatus, FindingKind] = {
    LiveStatus.CHANGED: FindingKind.CHANGED,
    LiveStatus.RECREATED: FindingKind.RECREATED,
    LiveStatus.TERMINATING: FindingKind.MISSING,
    LiveStatus.GONE: FindingKind.MISSING,
}


def find_drift(
    request: Request, recorded: RecordedObjects, connect: Connect = connect_kubernetes
) -> DriftReport:
    """Compares recorded objects with the live ones; writes nothing.

    `recorded` are the recorded objects of the request, from either engine. Raises ClusterError for
    a cluster that does not answer, or that is not the recorded one.
    """
    with (
        open_clusters(request, recorded, connect) as clusters,
        ThreadPoolExecutor(_THREADS, thread_name_prefix="drift") as pool,
    ):
        comparisons = list(pool.map(lambda obj: _compare(clusters, obj), recorded.objects))
    pairs = list(zip(recorded.objects, comparisons, strict=True))
    # An object in a Namespace that is being deleted counts as gone, because nothing can be created
    # there. Which Namespaces those are is known only when all objects have been read.
    terminating_namespaces = {
        (obj.provider_urn, obj.id)
        for obj, comparison in pairs
        if obj.type == "kubernetes:core/v1:Namespace"
        and comparison.status is LiveStatus.TERMINATING
    }
    findings = []
    for obj, comparison in pairs:
        namespace = obj.id.rpartition("/")[0]
        if comparison.exists and (obj.provider_urn, namespace) in terminating_namespaces:
            comparison = LiveComparison(
                LiveStatus.TERMINATING, note="its Namespace is being deleted"
            )
        if comparison.status is not LiveStatus.SAME:
            findings.append(_build_finding(obj, comparison))
    return DriftReport(
        request.stack,
        tuple(sorted(findings, key=_sort_key)),
        objects=len(recorded.objects),
        models=len({obj.component for obj in recorded.objects} - {""}),
        warnings=recorded.messages,
    )


def _compare(clusters: Clusters, obj: RecordedObject) -> LiveComparison:
    state = ObjectState(obj.id, dict(obj.inputs), dict(obj.outputs))
    try:
        live = clusters.connect(obj.provider_urn).provider.read(state, listed=True)
    except FrameworkError:
        raise
    except Exception as exc:
        # The traceback of a pool's thread does not say which object it was about.
        raise EngineError(f"{obj.urn}: {type(exc).__name__}: {exc}") from exc
    return compare_with_live(state, live, obj.ignore_changes)


def _build_finding(obj: RecordedObject, comparison: LiveComparison) -> DriftFinding:
    return DriftFinding(
        kind=_KINDS[comparison.status],
        urn=obj.urn,
        type=obj.type,
        object=obj.id,
        model=obj.component,
        # compare_objects redacts the data of Secrets. A program may mark any other value, such as
        # the environment variable of a Deployment, as a secret too.
        fields=redact_fields(comparison.fields, obj.secrets),
        note=comparison.note,
    )


def _sort_key(finding: DriftFinding) -> tuple[bool, bool, str, str, str, str]:
    return (
        finding.kind is FindingKind.MISSING,
        finding.object_kind != "Namespace",
        finding.model,
        finding.object_kind,
        finding.object,
        finding.urn,
    )
