"""Checks the deletions of a change list before anything is written, for both engines.

An object of others may have the name of a recorded one by now. The embedded engine deletes by UID,
so the server refuses; the CLI deletes by name. And an object that is kept, such as the claim of a
volume, goes with its Namespace, as every object of others in it does.

An old object is one that a replacement has left behind, because its deletion failed. Only the state
names it, so one that somebody recreated refuses nothing: it stays, and its record is removed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from framework.core.changes import Change, Op, Preview, Problem
from framework.core.suggestions import list_names
from framework.engines.clusters import CALLS_AT_ONCE
from framework.engines.recorded import has_manifest, needs_cli
from framework.engines.state.checkpoint import Resource
from framework.engines.state.secrets import read_plaintext, unseal
from framework.engines.unrecorded import (
    LOST_NOTE,
    ConnectProvider,
    add_unrecorded_objects,
    advise_undo,
    is_inside,
    try_connect,
)
from framework.engines.values import reveal
from framework.kube.api_error import ApiError
from framework.kube.objects import ObjectState
from framework.kube.provider import RecreatedError

ReadState = Callable[[Resource], ObjectState]
_OLD_NOTE = "was left behind by a replacement and recreated; is deleted with its Namespace"
# Up to this many objects are read one by one, which takes fewer calls than all pages of the lists.
_MAX_READ_ONE_BY_ONE = 16


@dataclass(frozen=True)
class CheckedDeletions:
    """A preview with the problems and warnings of its deletions.

    `forgotten` are the records to remove before the first deletion: those of old objects that
    somebody recreated, and of the old Namespaces that these are in.
    """

    preview: Preview
    forgotten: tuple[Resource, ...] = ()


def check_deletions(
    preview: Preview,
    resources: Iterable[Resource],
    former_urns: Mapping[str, str],
    read_state: ReadState,
    connect: ConnectProvider,
    *,
    refuses_lost: bool,
) -> CheckedDeletions:
    """Checks the deletions of a preview; writes nothing. ClusterError.

    A problem is an object that somebody else recreated and, with `refuses_lost`, an object that is
    deleted with its Namespace although it is kept, or an old one that somebody recreated. Without
    `refuses_lost` the latter have a note: a user of `destroy` expects that everything is deleted,
    but a user who only renames a Namespace does not expect to lose data. An object that stays in
    the stack and is in a deleted Namespace is a warning or, if it is a claim, a problem.

    `resources` are the recorded ones, and `former_urns` has the URN that a renamed resource is
    recorded under. `read_state` decrypts a resource, and `connect` connects to its cluster. Reads
    only what the preview deletes.
    """
    resources = _leave_out_used_again(resources)
    deletions = list(_list_deletions(preview.changes, resources, former_urns))
    recreated = _find_recreated(deletions, read_state, connect)
    problems = {
        Problem(change.component, _describe(found), recreated[found.key])
        for change, found in deletions
        if found.key in recreated and not found.pending_delete
    }
    preview = replace(preview, problems=tuple(sorted({*preview.problems, *problems})))
    forgotten = _find_forgotten([found for _, found in deletions], resources, recreated)
    namespaces = [
        found for _, found in deletions if found.kind == "Namespace" and found.key not in forgotten
    ]

    def is_lost(resource: Resource) -> bool:
        return any(is_inside(resource, namespace, connect) for namespace in namespaces)

    left_out = [found for found in forgotten.values() if not is_lost(found)]
    preview = _leave_out(preview, left_out, recreated)
    staying = [found for found in resources if found.is_object and found.stays_on_delete]
    lost = [found for found in (*staying, *forgotten.values()) if is_lost(found)]
    preview = _add_lost_objects(preview, lost, former_urns, refuses=refuses_lost)
    remaining = _list_remaining(preview.changes, resources, former_urns)
    if refuses_lost:
        # Kept ones have a problem already.
        remaining = [found for found in remaining if not found.retain_on_delete]
    for namespace in namespaces:
        inside = [found for found in remaining if is_inside(found, namespace, connect)]
        preview = _add_remaining_objects(preview, namespace, inside, is_up=refuses_lost)
    preview = add_unrecorded_objects(preview, namespaces, resources, connect, refuses=refuses_lost)
    return CheckedDeletions(preview, tuple(forgotten.values()))


def refuse_deletions_of_cli(
    preview: Preview,
    resources: Iterable[Resource],
    former_urns: Mapping[str, str],
    connect: ConnectProvider,
) -> Preview:
    """Returns the preview with a problem for each deletion that only the CLI can carry out.

    The parameters are those of `check_deletions`. Without the problem, the embedded engine would
    remove the record, and nothing would know the resource any more.
    """
    deletions = [item for item in preview.changes if item.op in (Op.DELETE, Op.REPLACE)]
    deleted = {former_urns.get(change.urn, change.urn) for change in deletions}
    urns = {
        found.urn
        for found in resources
        if found.urn in deleted
        and not found.stays_on_delete
        and (needs_cli(found) or (found.is_object and try_connect(found, connect) is None))
    }
    problems = set(preview.problems)
    for change in deletions:
        if former_urns.get(change.urn, change.urn) in urns:
            name = f"{change.kind} {change.object or change.name}"
            message = f"{name}: only the pulumi CLI can delete it"
            next_step = "run this again with ENGINE=cli"
            problems.add(Problem(change.component, name, message, next_step=next_step))
    return replace(preview, problems=tuple(sorted(problems)))


def warn_of_unread_deletions(
    preview: Preview,
    resources: Iterable[Resource],
    former_urns: Mapping[str, str],
    connect: ConnectProvider,
) -> Preview:
    """Returns the preview with a warning about deletions that `check_deletions` could not check.

    The parameters are those of `check_deletions`. The CLI deletes by name.
    """
    names = {
        _describe(found)
        for _, found in _list_deletions(preview.changes, tuple(resources), former_urns)
        if has_manifest(found) and try_connect(found, connect) is None
    }
    if not names:
        return preview
    warning = (
        "warning: it is not known whether somebody recreated what is deleted, because only the "
        f"pulumi CLI can use the provider: {list_names(sorted(names))}; next: name a kubeconfig "
        "file and a context in the provider"
    )
    return replace(preview, messages=tuple(sorted({*preview.messages, warning})))


def _find_recreated(
    deletions: Iterable[tuple[Change, Resource]], read_state: ReadState, connect: ConnectProvider
) -> dict[str, str]:
    """Maps the key of each resource to delete whose object somebody else recreated to the error."""
    looked_at = [found for _, found in deletions if has_manifest(found)]
    listed = len(looked_at) > _MAX_READ_ONE_BY_ONE

    def find(resource: Resource) -> str:
        connection = try_connect(resource, connect)
        if connection is None:
            return ""
        state = read_state(resource)
        try:
            obj = connection.provider.find_recreated(state, listed=listed)
        except ApiError as exc:
            # The deletion itself reports what is wrong with one object.
            if exc.concerns_all_objects:
                raise
            return ""
        return str(RecreatedError(obj, state)) if obj is not None else ""

    with ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="deletions") as pool:
        errors = zip(looked_at, pool.map(find, looked_at), strict=True)
        return {found.key: error for found, error in errors if error}


def _find_forgotten(
    deleted: Iterable[Resource], resources: Iterable[Resource], recreated: Collection[str]
) -> dict[str, Resource]:
    """Returns the old objects that somebody recreated, and the old Namespaces they are in, by key.

    A Namespace is deleted with all that is in it, so it has to stay as well. With `MODEL=` it is
    not among the deletions, but the next command would delete it.
    """
    forgotten = [found for found in deleted if found.pending_delete and found.key in recreated]
    namespaces = set(map(_find_namespace, forgotten))
    forgotten += [
        found
        for found in resources
        if found.pending_delete and found.kind == "Namespace" and _identify(found) in namespaces
    ]
    return {found.key: found for found in forgotten}


def _leave_out(
    preview: Preview, staying: Iterable[Resource], recreated: Collection[str]
) -> Preview:
    """Returns the preview with a warning for each old object that stays, and no deletion of it."""
    left_out, warnings = set(), set(preview.messages)
    for found in staying:
        left_out.add((found.urn, found.id))
        what = "it" if found.key in recreated else "an object in it"
        warnings.add(
            f"warning: {_describe(found)}: a replacement left it behind, and somebody recreated "
            f"{what} since, so it stays and only its record is removed; next: delete it by hand if "
            "nobody needs it"
        )
    changes = tuple(
        change
        for change in preview.changes
        if change.op is not Op.DELETE or (change.urn, change.object) not in left_out
    )
    return replace(preview, changes=changes, messages=tuple(sorted(warnings)))


def _add_lost_objects(
    preview: Preview,
    objects: Iterable[Resource],
    former_urns: Mapping[str, str],
    *,
    refuses: bool,
) -> Preview:
    """Returns the preview with a note at each object that only goes because its Namespace does.

    These `objects` are kept ones, old ones that somebody recreated, and those that the program only
    reads. With `refuses` each is also a problem, except for the last, which are not ours
    (`unrecorded.py`).
    """
    lost = {(found.urn, found.id): found for found in objects}
    if not lost:
        return preview
    urns = {found.urn for found in lost.values() if not found.pending_delete}
    changes, problems = list[Change](), set(preview.problems)
    components = {former_urns.get(item.urn, item.urn): item.component for item in preview.changes}
    for change in preview.changes:
        note = ""
        if change.op is Op.DELETE and (found := lost.get((change.urn, change.object))):
            note = LOST_NOTE if found.stays_on_delete else _OLD_NOTE
        elif change.op is Op.REPLACE and former_urns.get(change.urn, change.urn) in urns:
            note = LOST_NOTE
        changes.append(replace(change, note=note) if note else change)
    if refuses:
        ours = [found for found in lost.values() if not found.external]
        problems |= {_build_lost_problem(found, components) for found in ours}
    return replace(preview, changes=tuple(changes), problems=tuple(sorted(problems)))


def _build_lost_problem(resource: Resource, components: Mapping[str, str]) -> Problem:
    name, namespace = _describe(resource), resource.id.rpartition("/")[0]
    message = f"but another `namespace` deletes the Namespace {namespace}, with this object"
    if resource.retain_on_delete:
        message = f"{name} is kept (`keep: true`), {message} and its data"
        next_step = (
            f"{advise_undo(namespace)}; to delete the object and its data, set `keep: false` and "
            "run `up` before you change it"
        )
    else:
        message = f"{name} was left behind by a replacement and recreated by somebody, {message}"
        next_step = "move the object to another Namespace, or delete it by hand if nobody needs it"
    return Problem(
        components.get(resource.urn, ""), name, message, setting="namespace", next_step=next_step
    )


def _add_remaining_objects(
    preview: Preview, namespace: Resource, objects: Iterable[Resource], *, is_up: bool
) -> Preview:
    """Returns the preview with the objects of a deleted Namespace that stay in the stack.

    A claim is a problem, because its data is lost; all others are named in a warning. An own
    program may name the Namespace of an object, which then does not follow `namespace`. And a
    `destroy` with `MODEL=` may delete a Namespace that objects of other models are in.
    """
    problems, names = set(preview.problems), set()
    move = "move the claim to another Namespace"
    undo = f"{advise_undo(namespace.id)} and {move}"
    next_step = undo if is_up else f"destroy its model as well, or {move}"
    for found in objects:
        if found.kind != "PersistentVolumeClaim":
            names.add(f"{found.kind} {found.id.rpartition('/')[2]}")
            continue
        name = _describe(found)
        message = f"{name} stays in the stack, and {LOST_NOTE}"
        setting = "namespace" if is_up else ""
        problems.add(Problem("", name, message, setting=setting, next_step=next_step))
    messages = preview.messages
    if names:
        warning = (
            f"warning: Namespace {namespace.id} is to be deleted with objects that stay in the "
            f"stack: {list_names(sorted(names))}; next: move them to another Namespace"
        )
        messages = tuple(sorted({*messages, warning}))
    return replace(preview, messages=messages, problems=tuple(sorted(problems)))


def _list_remaining(
    changes: Iterable[Change], resources: Iterable[Resource], former_urns: Mapping[str, str]
) -> list[Resource]:
    """Returns the recorded objects that no change deletes or renames, also those without a change.

    Without what the program only reads: these are objects of others.
    """
    deleted = {change.urn for change in changes if change.op is Op.DELETE}
    others = [change for change in changes if change.op is not Op.DELETE]
    by_urn = {former_urns.get(change.urn, change.urn): change for change in others}
    remaining = []
    for found in resources:
        if not found.is_object or found.pending_delete or found.external:
            continue
        change = by_urn.get(found.urn)
        if change is None:
            stays = found.urn not in deleted
        else:
            # An update changes no name. The CLI does not tell the name of a Helm Release.
            stays = change.op in (Op.SAME, Op.UPDATE) or change.object == found.id
        if stays:
            remaining.append(found)
    return remaining


def _list_deletions(
    changes: Iterable[Change], resources: Sequence[Resource], former_urns: Mapping[str, str]
) -> Iterator[tuple[Change, Resource]]:
    """Yields the changes that delete an object of another name than they create, with its record.

    A replacement under the same name compares the live object itself.
    """
    live = {found.urn: found for found in resources if not found.pending_delete}
    recorded = {(found.urn, found.id): found for found in resources}
    for change in changes:
        found = None
        if change.op is Op.DELETE:
            found = recorded.get((change.urn, change.object))
        elif change.op is Op.REPLACE:
            found = live.get(former_urns.get(change.urn, change.urn))
            found = None if found is None or found.id == change.object else found
        if found is not None and found.is_object and not found.stays_on_delete:
            yield change, found


def _leave_out_used_again(resources: Iterable[Resource]) -> tuple[Resource, ...]:
    """Returns the resources without the old ones whose object another one has: it is ours."""
    resources = tuple(resources)
    used = {found.object_key for found in resources if not found.pending_delete}
    return tuple(r for r in resources if not (r.pending_delete and r.object_key in used))


def _describe(resource: Resource) -> str:
    return f"{resource.kind} {resource.id}"


def _identify(resource: Resource) -> tuple[str, str]:
    return resource.provider_urn, resource.id


def _find_namespace(resource: Resource) -> tuple[str, str]:
    """Returns the Namespace that an object is in, in the form of `_identify`."""
    return resource.provider_urn, resource.id.rpartition("/")[0]


def read_exported_state(resource: Resource) -> ObjectState:
    """Returns a resource of an export in the form of the provider; its secrets are plain text."""
    open_secrets = partial(unseal, open_value=read_plaintext)
    inputs, outputs = resource.raw.get("inputs") or {}, resource.raw.get("outputs") or {}
    return ObjectState(resource.id, reveal(open_secrets(inputs)), reveal(open_secrets(outputs)))
