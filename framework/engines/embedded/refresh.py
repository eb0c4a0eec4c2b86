"""Compares the state with the cluster, without the program: refresh, and interrupted creates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from framework.core.changes import Change, Op
from framework.core.errors import EngineError, FrameworkError
from framework.engines.clusters import Clusters
from framework.engines.embedded.planner import CALLS_AT_ONCE, UNFINISHED, Planner
from framework.engines.embedded.records import build_adopted, read_object_state
from framework.engines.state.checkpoint import Checkpoint, Resource
from framework.engines.state.journal import Line, end_line, set_line
from framework.engines.state.stack_state import StackState
from framework.engines.values import collect_secret_texts, redact_fields, reveal
from framework.kube.object_diff import LiveStatus, compare_with_live
from framework.kube.objects import ObjectState
from framework.kube.ownership import AlreadyExistsError

_BEING_DELETED = "is being deleted"


@dataclass(frozen=True)
class Comparison:
    """A recorded object and its change. `live` is None if it is missing or being deleted."""

    resource: Resource
    change: Change
    live: ObjectState | None


def compare_with_cluster(state: StackState, planner: Planner) -> list[Comparison]:
    """Compares every recorded object that is a target with the live one, in the state's order."""
    resources = [
        resource
        for resource in state.get_current().resources
        if resource.is_object
        and not resource.pending_delete
        and planner.components.is_target(resource.urn)
    ]
    with ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="refresh") as pool:
        comparisons = list(pool.map(lambda resource: _compare(state, planner, resource), resources))
    deleted_namespaces = {
        (comparison.resource.provider_urn, comparison.resource.id)
        for comparison in comparisons
        if comparison.change.note == _BEING_DELETED and comparison.change.kind == "Namespace"
    }
    return [_treat_as_deleted(comparison, deleted_namespaces) for comparison in comparisons]


def _treat_as_deleted(
    comparison: Comparison, deleted_namespaces: set[tuple[str, str]]
) -> Comparison:
    """Returns the comparison, as that of a deleted object if its Namespace is being deleted."""
    resource = comparison.resource
    namespace = resource.id.rpartition("/")[0]
    if comparison.live is None or (resource.provider_urn, namespace) not in deleted_namespaces:
        return comparison
    note = "its Namespace is being deleted"
    return Comparison(resource, replace(comparison.change, op=Op.DELETE, note=note), None)


def _compare(state: StackState, planner: Planner, resource: Resource) -> Comparison:
    recorded = read_object_state(state, resource)
    try:
        live = planner.connect(resource.provider).read(recorded)
    except FrameworkError:
        raise
    except Exception as exc:
        raise EngineError(f"{resource.urn}: {type(exc).__name__}: {exc}") from exc
    change = Change(
        urn=resource.urn,
        type=resource.type,
        name=resource.name,
        op=Op.SAME,
        object=resource.id,
        component=planner.components.find_nearest(resource.urn),
    )
    comparison = compare_with_live(recorded, live, resource.ignore_changes)
    if not comparison.exists:
        return Comparison(resource, replace(change, op=Op.DELETE, note=comparison.note), None)
    secrets = collect_secret_texts(state.read_inputs(resource), state.read_outputs(resource))
    fields = redact_fields(comparison.fields, secrets)
    op = Op.SAME if comparison.status is LiveStatus.SAME else Op.UPDATE
    return Comparison(resource, replace(change, op=op, fields=fields, note=comparison.note), live)


# Creates that an interrupted command left pending


@dataclass(frozen=True)
class Settlement:
    """The journal lines that settle pending operations, and the warnings about them."""

    lines: tuple[Line, ...] = ()
    warnings: tuple[str, ...] = ()


def settle_pending(state: StackState, clusters: Clusters) -> Settlement:
    """Looks up every pending create in the cluster; writes nothing. ClusterError, EngineError.

    A command that is killed between the API server's answer and the journal's next line leaves an
    object that is not in the state: neither `up` nor `destroy` would ever delete it. The pending
    operation has its inputs, so the object can be looked up. If this engine created it, it is
    recorded. If it is missing, the pending operation is removed.

    `clusters` must connect with the inputs of the recorded providers, which created the objects.
    """
    recorded = state.get_current()
    lines: list[Line] = []
    warnings: list[str] = []
    for operation in recorded.pending:
        pending = Resource(operation["resource"])
        if operation["type"] != "creating" or not pending.is_object:
            # The next run repeats the update or deletion of a recorded resource. If the resource
            # is no longer recorded, there is nothing to repeat.
            if pending.urn not in recorded.live:
                lines.append(end_line(pending.urn))
            continue
        if any(urn not in recorded.live for urn in (pending.parent, pending.provider_urn) if urn):
            warnings.append(
                _describe_pending(pending, "cannot be looked up, because its parent is missing")
            )
            continue
        try:
            adopted = list(_adopt(state, recorded, pending, clusters))
        except AlreadyExistsError as exc:
            if not exc.pulumi:
                lines.append(end_line(pending.urn))
                continue
            warnings.append(_describe_pending(pending, f"may be the one that is there now: {exc}"))
            continue
        if adopted:
            warnings.append(
                _describe_pending(pending, "was created and not recorded; `up` records it")
            )
        lines += [*adopted, end_line(pending.urn)]
    return Settlement(tuple(lines), tuple(warnings))


def _adopt(
    state: StackState, recorded: Checkpoint, pending: Resource, clusters: Clusters
) -> Iterator[Line]:
    """Yields the lines that record the object of a pending create; none if it is missing."""
    provider = clusters.connect(pending.provider_urn).provider
    live = provider.find_own(pending.urn, reveal(state.read_inputs(pending)))
    if live is None:
        return
    old = recorded.live.get(pending.urn)
    if old is not None and _get_uid(state.read_outputs(old)) == _get_uid(live.outputs):
        # Interrupted before the old object of a replacement was deleted: it is recorded already.
        return
    if old is not None and old.id != live.id:
        # A replacement that creates the new object first: the old one still exists.
        yield set_line(old.with_fields(delete=True))
    errors = [UNFINISHED] if pending.kind == "Deployment" else []
    yield set_line(build_adopted(state, pending, live, errors))


def _get_uid(outputs: Mapping[str, Any]) -> str:
    return str((outputs.get("metadata") or {}).get("uid", ""))


def _describe_pending(pending: Resource, what: str) -> str:
    return f"an earlier command was interrupted: {pending.kind} {pending.name} {what}"
