"""Compares the recorded objects of a stack with the live ones, for refresh and for drift."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from framework.core.errors import EngineError, FrameworkError
from framework.engines.base import RecordedObject
from framework.engines.clusters import Clusters
from framework.kube.object_diff import LiveComparison, LiveStatus, compare_with_live
from framework.kube.objects import ObjectState

_CALLS_AT_ONCE = 16
_NAMESPACE = "kubernetes:core/v1:Namespace"


@dataclass(frozen=True)
class ComparedObject:
    """A recorded object with the live one. `live` is None if it is missing or being deleted."""

    recorded: RecordedObject
    live: ObjectState | None
    comparison: LiveComparison


def compare_with_cluster(
    objects: Sequence[RecordedObject], clusters: Clusters, *, listed: bool
) -> list[ComparedObject]:
    """Compares recorded objects with the live ones, in the given order; writes nothing.

    With `listed` a live object may be ten seconds old, and most need no call of their own. Raises
    ClusterError, EngineError.
    """
    with ThreadPoolExecutor(_CALLS_AT_ONCE, thread_name_prefix="compare") as pool:
        compared = list(pool.map(lambda obj: _compare(obj, clusters, listed), objects))
    # An object in a Namespace that is being deleted counts as gone, because nothing can be created
    # there. Which Namespaces those are is known only when all objects have been read.
    terminating = {
        (item.recorded.provider_urn, item.recorded.id)
        for item in compared
        if item.recorded.type == _NAMESPACE and item.comparison.status is LiveStatus.TERMINATING
    }
    gone = LiveComparison(LiveStatus.TERMINATING, note="its Namespace is being deleted")
    return [
        replace(item, live=None, comparison=gone)
        if item.comparison.exists and _find_namespace(item.recorded) in terminating
        else item
        for item in compared
    ]


def _compare(obj: RecordedObject, clusters: Clusters, listed: bool) -> ComparedObject:
    state = ObjectState(obj.id, dict(obj.inputs), dict(obj.outputs))
    try:
        live = clusters.connect(obj.provider_urn).provider.read(state, listed=listed)
    except FrameworkError:
        raise
    except Exception as exc:
        # The traceback of a pool's thread does not say which object it was about.
        raise EngineError(f"{obj.urn}: {type(exc).__name__}: {exc}") from exc
    comparison = compare_with_live(state, live, obj.ignore_changes)
    return ComparedObject(obj, live if comparison.exists else None, comparison)


def _find_namespace(obj: RecordedObject) -> tuple[str, str]:
    return obj.provider_urn, obj.id.rpartition("/")[0]
