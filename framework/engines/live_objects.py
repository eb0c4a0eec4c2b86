"""Compares the recorded objects of a stack with the live ones, for refresh and for drift."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from framework.core.changes import Change, Op
from framework.core.errors import ClusterError, EngineError, FrameworkError
from framework.engines.base import RecordedObject, RecordedObjects, Request
from framework.engines.clusters import (
    CALLS_AT_ONCE,
    Clusters,
    Connect,
    connect_kubernetes,
)
from framework.engines.urns import parse_urn
from framework.kube.adopting import describe_writers
from framework.kube.api_error import ApiError
from framework.kube.last_applied import compare_with_last_applied
from framework.kube.object_diff import LiveComparison, LiveStatus, redact_fields
from framework.kube.objects import Object, ObjectState, is_terminating

if TYPE_CHECKING:
    from framework.kube.provider import KubernetesProvider
    from framework.plan import Manifest

Compare = Callable[[ObjectState, ObjectState | None, Collection[str]], LiveComparison]
_NAMESPACE = "kubernetes:core/v1:Namespace"


@dataclass(frozen=True)
class ComparedObject:
    """A recorded object with the live one. `live` is None if it is missing or being deleted.

    `replacement` is the object of others that has its name now, and not its labels.
    """

    recorded: RecordedObject
    live: ObjectState | None
    comparison: LiveComparison
    replacement: Object | None = None


@dataclass(frozen=True)
class UnrecordedObject:
    """A live object that a manifest of the plan names, and that is not recorded."""

    model: str
    manifest: Manifest
    live: ObjectState


@dataclass(frozen=True)
class Basis:
    """The data that a preview was computed from, besides the plan.

    `cluster` is the kube-system UID of the cluster that the environment names, "" where the request
    names none. `compared` has the objects of `recorded` with the live ones. `unrecorded` are the
    live objects of the plan that the state does not have, and `up` would take over.
    """

    cluster: str
    recorded: RecordedObjects
    compared: tuple[ComparedObject, ...]
    unrecorded: tuple[UnrecordedObject, ...] = ()

    def list_live(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yields the live objects, each with its model."""
        yield from list_live(self.compared)
        yield from ((found.model, found.live.outputs) for found in self.unrecorded)


def read_basis(
    request: Request,
    recorded: RecordedObjects,
    clusters: Clusters,
    connect: Connect = connect_kubernetes,
) -> Basis:
    """Reads what a preview was computed from. Call it after the preview.

    The live objects may be some milliseconds newer than those that the preview saw. This is safe:
    the digest includes a change in between, so a plan from before it is refused.
    """
    compared = compare_with_cluster(
        recorded.objects, clusters, compare_with_last_applied, listed=True
    )
    if request.cluster is None:
        return Basis("", recorded, tuple(compared))
    inputs = asdict(request.cluster)
    connection = connect(inputs, request.root)
    try:
        unrecorded = _read_unrecorded(request, recorded, connection.provider)
    finally:
        connection.close()
    return Basis(connection.identify(inputs).uid, recorded, tuple(compared), tuple(unrecorded))


def _read_unrecorded(
    request: Request, recorded: RecordedObjects, provider: KubernetesProvider
) -> list[UnrecordedObject]:
    if request.plan is None:
        return []
    manifests = request.plan.list_manifests(request.components)
    known = {(obj.type, obj.id) for obj in recorded.objects}

    def read(item: tuple[str, Manifest]) -> UnrecordedObject | None:
        model, manifest = item
        if (manifest.type_token, manifest.id) in known:
            return None
        state = ObjectState(manifest.id, manifest.build_inputs(), {})
        live = provider.read(state, listed=True)
        # One that is being deleted is not taken over, but created again.
        gone = live is None or is_terminating(live.outputs)
        return None if live is None or gone else UnrecordedObject(model, manifest, live)

    with ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="unrecorded") as pool:
        return [found for found in pool.map(read, manifests) if found is not None]


def compare_with_cluster(
    objects: Sequence[RecordedObject],
    clusters: Clusters,
    compare: Compare,
    *,
    listed: bool,
    on_error: Callable[[RecordedObject, FrameworkError], None] | None = None,
) -> list[ComparedObject]:
    """Compares recorded objects with the live ones, in the given order; writes nothing.

    `compare` is `compare_with_last_applied` for drift, and `compare_with_live` for a refresh, which
    records the object as it is. With `listed` a live object may be ten seconds old, and most need
    no call of their own. Raises ClusterError, EngineError; with `on_error` an object that cannot be
    read is left out, and passed on with the error. A Helm Release is left out in any case, because
    only the CLI can read it.
    """

    def compare_one(obj: RecordedObject) -> ComparedObject | None:
        if obj.needs_cli:
            return None
        try:
            return _compare(obj, clusters, compare, listed)
        except FrameworkError as exc:
            if on_error is None:
                raise
            # After an ApiError the server can still be reached, so the other objects can be read.
            if isinstance(exc, ClusterError) and not isinstance(exc, ApiError):
                clusters.give_up(obj.provider_urn, exc)
            on_error(obj, exc)
            return None

    with ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="compare") as pool:
        compared = [item for item in pool.map(compare_one, objects) if item is not None]
    # An object in a Namespace that is being deleted counts as gone, because nothing can be created
    # there. Which Namespaces those are is known only when all objects have been read.
    terminating = {
        (item.recorded.provider_urn, item.recorded.id)
        for item in compared
        if item.recorded.type == _NAMESPACE and item.comparison.status is LiveStatus.TERMINATING
    }
    gone = LiveComparison(LiveStatus.TERMINATING, note="its Namespace is being deleted")
    return [
        replace(item, live=None, comparison=gone, replacement=None)
        if (item.comparison.exists or item.replacement)
        and _find_namespace(item.recorded) in terminating
        else item
        for item in compared
    ]


def _compare(
    obj: RecordedObject, clusters: Clusters, compare: Compare, listed: bool
) -> ComparedObject:
    state = obj.state
    replacement = None
    try:
        provider = clusters.connect(obj.provider_urn).provider
        live = provider.read(state, listed=listed)
        if live is None:
            replacement = provider.find_replacement(state, listed=listed)
    except FrameworkError:
        raise
    except Exception as exc:
        # The traceback of a pool's thread does not say which object it was about.
        raise EngineError(f"{obj.urn}: {type(exc).__name__}: {exc}") from exc
    comparison = compare(state, live, obj.ignore_changes)
    if replacement is not None:
        maker = describe_writers(replacement)
        comparison = replace(comparison, note=f"was recreated by {maker}")
    return ComparedObject(obj, live if comparison.exists else None, comparison, replacement)


def _find_namespace(obj: RecordedObject) -> tuple[str, str]:
    return obj.provider_urn, obj.id.rpartition("/")[0]


def list_live(compared: Iterable[ComparedObject]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields the live objects that were compared, each with its model."""
    return ((item.recorded.component, item.live.outputs) for item in compared if item.live)


def describe_unrefreshed(recorded: RecordedObjects) -> tuple[str, ...]:
    """Returns a warning for each resource that a refresh without the CLI leaves as it is."""
    names = [f"{obj.kind} {obj.id}" for obj in recorded.objects if obj.needs_cli]
    names += [parse_urn(urn).label for urn in recorded.others]
    return tuple(
        f"warning: {name}: is not refreshed, because only the pulumi CLI can read it; next: "
        "`refresh` with ENGINE=cli"
        for name in names
    )


def build_refresh_change(compared: ComparedObject) -> Change:
    """Builds the change of the recorded object that a refresh makes."""
    recorded, comparison = compared.recorded, compared.comparison
    op = Op.SAME if comparison.status is LiveStatus.SAME else Op.UPDATE
    return Change(
        urn=recorded.urn,
        type=recorded.type,
        name=parse_urn(recorded.urn).name,
        op=op if comparison.exists else Op.DELETE,
        object=recorded.id,
        component=recorded.component,
        fields=redact_fields(comparison.fields, recorded.secrets),
        note=comparison.note,
    )
