"""Settles the operations that an interrupted command left pending."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from framework.engines.clusters import Clusters
from framework.engines.embedded.planner import UNFINISHED
from framework.engines.embedded.records import build_recovered
from framework.engines.recorded import needs_cli
from framework.engines.state.checkpoint import Checkpoint, Resource
from framework.engines.state.journal import Line, drop_line, end_line, set_line
from framework.engines.state.stack_state import ReadableState
from framework.engines.values import reveal
from framework.kube.ownership import AlreadyExistsError

if TYPE_CHECKING:
    from framework.plan import StackPlan

_UNKNOWN = (
    "may exist without a record, and cannot be looked up; next: look for it yourself, and delete "
    "it or record it with `pulumi import`; then drop the pending operation with `pulumi stack "
    "export | pulumi stack import`"
)


@dataclass(frozen=True)
class Settlement:
    """The journal lines that settle pending operations, and the warnings about them."""

    lines: tuple[Line, ...] = ()
    warnings: tuple[str, ...] = ()


def settle_pending(state: ReadableState, clusters: Clusters) -> Settlement:
    """Looks up every pending create in the cluster; writes nothing. ClusterError, EngineError.

    A command that is killed between the API server's answer and the journal's next line leaves an
    object that is not in the state: neither `up` nor `destroy` would ever delete it. The pending
    operation has its inputs, so the object can be looked up. If this engine created it, it is
    recorded. If it is missing, the pending operation is removed. It stays pending if it cannot be
    looked up, as a Helm Release, a resource that is not of Kubernetes, or a generated name.

    `clusters` must connect with the inputs of the recorded providers, which created the objects.
    """
    recorded = state.get_current()
    lines: list[Line] = []
    warnings: list[str] = []
    for operation in recorded.pending:
        pending = Resource(operation["resource"])
        if operation["type"] != "creating" or not (pending.is_object or pending.is_other):
            # The next run repeats the update or deletion of a recorded resource. If the resource
            # is no longer recorded, there is nothing to repeat.
            if pending.urn not in recorded.live:
                lines.append(end_line(pending.urn))
            continue
        if needs_cli(pending) or not _find_name(state, pending):
            warnings.append(_describe_pending(pending, _UNKNOWN))
            continue
        if any(urn not in recorded.live for urn in (pending.parent, pending.provider_urn) if urn):
            warnings.append(
                _describe_pending(pending, "cannot be looked up, because its parent is missing")
            )
            continue
        try:
            recovered = list(_recover(state, recorded, pending, clusters))
        except AlreadyExistsError as exc:
            if not exc.pulumi:
                lines.append(end_line(pending.urn))
                continue
            warnings.append(_describe_pending(pending, f"may be the one that is there now: {exc}"))
            continue
        if recovered:
            warnings.append(
                _describe_pending(pending, "was created and not recorded; `up` records it")
            )
        lines += [*recovered, end_line(pending.urn)]
    return Settlement(tuple(lines), tuple(warnings))


def restore_wanted(recorded: Checkpoint, plan: StackPlan) -> tuple[Line, ...]:
    """Builds the lines that restore the records of replaced objects which the plan has again.

    A command that is interrupted before it deletes the old object of a replacement leaves two
    records of one URN. If the user then reverts the change, the plan has the old object again:

        recorded    ConfigMap app-1, to be deleted       ConfigMap app-2
        the plan    ConfigMap app-1
        restored    ConfigMap app-1                      ConfigMap app-2, to be deleted

    Without this, both engines would create app-1 under another field manager, and the CLI would
    then delete it. After a rename the CLI records the old object alone under the former URN.
    """
    wanted = {(manifest.type_token, manifest.id) for manifest in plan.manifests}
    live = {resource.object_key for resource in recorded.live.values()}
    lines: list[Line] = []
    for resource in recorded.resources:
        replacing = recorded.live.get(resource.urn)
        if not resource.pending_delete or (resource.type, resource.id) not in wanted:
            continue
        restored = [set_line(resource.with_fields(delete=None)), drop_line(resource)]
        if replacing is None:
            if resource.object_key not in live:
                lines += restored
            continue
        if replacing.id == resource.id or (replacing.type, replacing.id) in wanted:
            continue
        # A crash may lose the last of these lines. In this order a record that is then left over is
        # always the second one of its object, and the next command drops it.
        lines += [set_line(replacing.with_fields(delete=True)), *restored]
    return tuple(lines)


def _recover(
    state: ReadableState, recorded: Checkpoint, pending: Resource, clusters: Clusters
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
    yield set_line(build_recovered(state, pending, live, errors))


def _find_name(state: ReadableState, pending: Resource) -> str:
    """Returns the name of an object; "" if the server generates it (`metadata.generateName`)."""
    metadata = reveal(state.read_inputs(pending)).get("metadata") or {}
    return str(metadata.get("name") or "")


def _get_uid(outputs: Mapping[str, Any]) -> str:
    return str((outputs.get("metadata") or {}).get("uid", ""))


def _describe_pending(pending: Resource, what: str) -> str:
    return f"an earlier command was interrupted: {pending.kind} {pending.name} {what}"
