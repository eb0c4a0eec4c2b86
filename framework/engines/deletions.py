"""Checks the deletions of a change list before anything is written, for both engines.

An object of others may have the name of a recorded one by now. The embedded engine deletes by UID,
so the server refuses; the CLI deletes by name. And an object that is kept, such as the claim of a
volume, goes with its Namespace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from framework.core.changes import Change, Op, Preview, Problem
from framework.engines.clusters import CALLS_AT_ONCE
from framework.engines.state.checkpoint import Resource
from framework.engines.state.secrets import read_plaintext, unseal
from framework.engines.values import reveal
from framework.kube.api_error import ApiError
from framework.kube.objects import ObjectState, is_terminating, object_name
from framework.kube.provider import KubernetesProvider, RecreatedError

ReadState = Callable[[Resource], ObjectState]
ConnectProvider = Callable[[Resource], KubernetesProvider]
_CLAIM = "PersistentVolumeClaim"
_LOST_NOTE = "is deleted with its Namespace, and its data with it"
# Up to this many objects are read one by one, which takes fewer calls than all pages of the lists.
_MAX_READ_ONE_BY_ONE = 16


def check_deletions(
    preview: Preview,
    resources: Iterable[Resource],
    former_urns: Mapping[str, str],
    read_state: ReadState,
    connect: ConnectProvider,
    *,
    refuses_lost: bool,
) -> Preview:
    """Returns the preview with the problems and warnings of its deletions. ClusterError.

    A problem is an object that somebody else recreated and, with `refuses_lost`, a kept object that
    is deleted with its Namespace. Without `refuses_lost` the latter is a note or a warning:
    `destroy` deletes everything and says so, but a user who only renames a Namespace does not
    expect to lose data.

    `resources` are the recorded ones, and `former_urns` has the URN that a renamed resource is
    recorded under. `read_state` decrypts a resource, and `connect` returns the provider of its
    cluster. Reads only what the preview deletes.
    """
    resources = tuple(resources)
    preview = _add_lost_objects(preview, resources, former_urns, refuses=refuses_lost)
    preview = _add_unrecorded_claims(preview, resources, former_urns, connect, refuses=refuses_lost)
    return _add_recreated(preview, resources, former_urns, read_state, connect)


def _add_recreated(
    preview: Preview,
    resources: Sequence[Resource],
    former_urns: Mapping[str, str],
    read_state: ReadState,
    connect: ConnectProvider,
) -> Preview:
    """Returns the preview with a problem for each object to delete that somebody else recreated."""
    deletions = [
        (change, found)
        for change, found in _list_deletions(preview.changes, resources, former_urns)
        if _has_manifest(found)
    ]
    if not deletions:
        return preview
    listed = len(deletions) > _MAX_READ_ONE_BY_ONE

    def find(deletion: tuple[Change, Resource]) -> Problem | None:
        change, resource = deletion
        try:
            live = connect(resource).find_recreated(read_state(resource), listed=listed)
        except ApiError as exc:
            # The deletion itself reports what is wrong with one object.
            if _concerns_all_objects(exc):
                raise
            return None
        if live is None:
            return None
        name = f"{change.kind} {resource.id}"
        return Problem(change.component, name, str(RecreatedError(live)))

    with ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="deletions") as pool:
        problems = {problem for problem in pool.map(find, deletions) if problem is not None}
    if not problems:
        return preview
    return replace(preview, problems=tuple(sorted({*preview.problems, *problems})))


def _add_lost_objects(
    preview: Preview,
    resources: Sequence[Resource],
    former_urns: Mapping[str, str],
    *,
    refuses: bool,
) -> Preview:
    """Returns the preview with a note at each kept object that is deleted with its Namespace.

    With `refuses` each is also a problem.
    """
    deleted = _list_deleted_namespaces(preview.changes, resources, former_urns)
    namespaces = {(found.provider_urn, found.id) for found in deleted}
    lost = {
        (found.urn, found.id): found
        for found in resources
        if found.is_object
        and found.retain_on_delete
        and (found.provider_urn, found.id.rpartition("/")[0]) in namespaces
    }
    if not lost:
        return preview
    urns = {urn for urn, _ in lost}
    changes, problems = list[Change](), set(preview.problems)
    components = {former_urns.get(item.urn, item.urn): item.component for item in preview.changes}
    for change in preview.changes:
        is_deleted = change.op is Op.DELETE and (change.urn, change.object) in lost
        is_moved = change.op is Op.REPLACE and former_urns.get(change.urn, change.urn) in urns
        changes.append(replace(change, note=_LOST_NOTE) if is_deleted or is_moved else change)
    if refuses:
        problems |= {_build_lost_problem(found, components) for found in lost.values()}
    return replace(preview, changes=tuple(changes), problems=tuple(sorted(problems)))


def _add_unrecorded_claims(
    preview: Preview,
    resources: Sequence[Resource],
    former_urns: Mapping[str, str],
    connect: ConnectProvider,
    *,
    refuses: bool,
) -> Preview:
    """Returns the preview with the claims that are not recorded, and go with their Namespace.

    A claim that was kept when its model was removed is no longer recorded. With `refuses` each is a
    problem, else a warning. A claim of a Pod, such as that of an ephemeral volume, has no data that
    would outlive the Pod.
    """
    recorded = {(found.provider_urn, found.kind, found.id) for found in resources}
    problems, warnings = set(preview.problems), set(preview.messages)
    for namespace in _list_deleted_namespaces(preview.changes, resources, former_urns):
        try:
            claims = connect(namespace).list_kind("v1", _CLAIM, namespace.id, metadata_only=True)
        except ApiError as exc:
            # A user without the right to list claims may still delete the Namespace.
            if _concerns_all_objects(exc):
                raise
            continue
        for claim in claims:
            claim_id = object_name(claim["metadata"])
            if (namespace.provider_urn, _CLAIM, claim_id) in recorded or is_terminating(claim):
                continue
            owners = claim["metadata"].get("ownerReferences") or ()
            if any(owner["kind"] == "Pod" for owner in owners):
                continue
            name = f"{_CLAIM} {claim_id}"
            message = f"{name} is not recorded, and {_LOST_NOTE}"
            if refuses:
                next_step = f"undo the change, so that `namespace` is {namespace.id} again, or copy"
                next_step += f" the data and delete {_describe_deletable(owners)}"
                problem = Problem("", name, message, setting="namespace", next_step=next_step)
                problems.add(problem)
            else:
                warnings.add(f"warning: {message}")
    return replace(preview, messages=tuple(sorted(warnings)), problems=tuple(sorted(problems)))


def _describe_deletable(owners: Iterable[Mapping[str, Any]]) -> str:
    """Describes what a user deletes to be rid of a claim: its controller would create it again."""
    for owner in owners:
        if owner.get("controller"):
            return f"{owner['kind']} {owner['name']}, which owns the claim"
    return "the claim"


def _concerns_all_objects(error: ApiError) -> bool:
    """Returns True for an outage and for refused credentials, which no single object causes."""
    return error.is_outage or error.status == 401


def _list_deleted_namespaces(
    changes: Iterable[Change], resources: Sequence[Resource], former_urns: Mapping[str, str]
) -> list[Resource]:
    """Returns the recorded Namespaces that the changes delete."""
    deletions = _list_deletions(changes, resources, former_urns)
    return [found for _, found in deletions if found.kind == "Namespace"]


def _build_lost_problem(resource: Resource, components: Mapping[str, str]) -> Problem:
    name, namespace = f"{resource.kind} {resource.id}", resource.id.rpartition("/")[0]
    return Problem(
        components.get(resource.urn, ""),
        name,
        f"{name} is kept (`keep: true`), but another `namespace` deletes the Namespace "
        f"{namespace}, with this object and its data",
        setting="namespace",
        next_step=(
            f"undo the change, so that `namespace` is {namespace} again, or copy the data; to "
            "delete the object and its data, set `keep: false` and run `up` before you change it"
        ),
    )


def _list_deletions(
    changes: Iterable[Change], resources: Sequence[Resource], former_urns: Mapping[str, str]
) -> Iterator[tuple[Change, Resource]]:
    """Yields the changes that delete an object of another name than they create, with its record.

    A replacement under the same name compares the live object itself.
    """
    recorded = {(found.urn, found.id): found for found in resources}
    live = {found.urn: found for found in resources if not found.pending_delete}
    for change in changes:
        found = None
        if change.op is Op.DELETE:
            found = recorded.get((change.urn, change.object))
        elif change.op is Op.REPLACE:
            found = live.get(former_urns.get(change.urn, change.urn))
            found = None if found is None or found.id == change.object else found
        # Of retained objects only the records are removed.
        if found is not None and found.is_object and not found.retain_on_delete:
            yield change, found


def _has_manifest(resource: Resource) -> bool:
    """Returns whether the inputs are those of the object that Pulumi deletes.

    The inputs of a Helm `Release` are no object, and the deletion of a Patch resource, such as
    `DeploymentPatch`, leaves the object.
    """
    inputs = resource.raw.get("inputs") or {}
    return bool(inputs.get("kind") == resource.kind)


def read_exported_state(resource: Resource) -> ObjectState:
    """Returns a resource of an export in the form of the provider; its secrets are plain text."""
    open_secrets = partial(unseal, open_value=read_plaintext)
    inputs, outputs = resource.raw.get("inputs") or {}, resource.raw.get("outputs") or {}
    return ObjectState(resource.id, reveal(open_secrets(inputs)), reveal(open_secrets(outputs)))
