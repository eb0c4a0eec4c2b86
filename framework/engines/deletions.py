"""Checks the deletions of a change list before anything is written, for both engines.

An object of others may have the name of a recorded one by now. The embedded engine deletes by UID,
so the server refuses; the CLI deletes by name. And an object that is kept, such as the claim of a
volume, goes with its Namespace, as every object of others in it does.

The CLI deletes a Namespace although objects are in it that stay in the stack. The embedded engine
keeps it, as everything that is still needed (`find_needed` in `embedded/deletion.py`).

An old object is one that a replacement has left behind, because its deletion failed. Only the state
names it, so one that somebody recreated refuses nothing: it stays, and its record is removed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from framework.core.changes import Change, Op, Preview, Problem
from framework.core.suggestions import list_names
from framework.engines.clusters import CALLS_AT_ONCE
from framework.engines.recorded import has_manifest, needs_cli
from framework.engines.state.checkpoint import Resource
from framework.engines.state.secrets import read_plaintext
from framework.engines.unrecorded import (
    CLAIM,
    ConnectProvider,
    find_unrecorded,
    is_inside,
    try_connect,
)
from framework.engines.values import reveal
from framework.kube.api_error import ApiError
from framework.kube.objects import ObjectState
from framework.kube.provider import RecreatedError

ReadState = Callable[[Resource], ObjectState]
_LOST_NOTE = "is deleted with its Namespace, and its data with it"
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
    by_cli: bool,
    kept: Collection[str] = (),
) -> CheckedDeletions:
    """Checks the deletions of a preview; writes nothing. ClusterError.

    A problem is an object that somebody else recreated and, with `refuses_lost`, an object that is
    deleted with its Namespace although it is kept, or an old one that somebody recreated. Without
    `refuses_lost` the latter have a note: a user of `destroy` expects that everything is deleted,
    but a user who only renames a Namespace does not expect to lose data. An object that stays in
    the stack and is in a deleted Namespace is a warning or, if it is a claim, a problem.

    `resources` are the recorded ones, and `former_urns` has the URN that a renamed resource is
    recorded under. `read_state` decrypts a resource, and `connect` connects to its cluster. Reads
    only what the preview deletes. `by_cli` is True if the CLI deletes, which does so by name: what
    could not be read is a warning. The embedded engine would only remove the record of what it
    cannot delete, and nothing would know the resource any more: each is a problem. `kept` are
    the URNs of replacements whose old object stays, because something needs it.
    """
    check = _Check(preview, resources, former_urns, connect, kept, refuses_lost=refuses_lost)
    return check.run(read_state, by_cli=by_cli)


class _Check:
    """The check of one change list; collects problems and warnings."""

    def __init__(
        self,
        preview: Preview,
        resources: Iterable[Resource],
        former_urns: Mapping[str, str],
        connect: ConnectProvider,
        kept: Collection[str],
        *,
        refuses_lost: bool,
    ) -> None:
        self._preview, self._former_urns, self._connect = preview, former_urns, connect
        self._kept = kept
        self._resources = _leave_out_used_again(resources)
        self._refuses_lost = refuses_lost
        self._problems, self._warnings = set(preview.problems), set(preview.messages)

    def run(self, read_state: ReadState, *, by_cli: bool) -> CheckedDeletions:
        """Returns the checked preview."""
        listed = list(self._list_deletions())
        deletions = [(change, found) for change, found in listed if found.is_object]
        if by_cli:
            self._warn_of_unread(found for _, found in deletions)
        else:
            self._refuse_those_of_cli(listed)
        recreated = _find_recreated([found for _, found in deletions], read_state, self._connect)
        for change, found in deletions:
            if found.key in recreated and not found.pending_delete:
                problem = Problem(change.component, _describe(found), recreated[found.key])
                self._problems.add(problem)
        forgotten = self._find_forgotten((found for _, found in deletions), recreated)
        namespaces = [
            found
            for _, found in deletions
            if found.kind == "Namespace" and found.key not in forgotten
        ]
        staying = [found for found in self._resources if found.is_object and found.stays_on_delete]
        lost = {
            found.key: found
            for found in (*staying, *forgotten.values())
            if any(is_inside(found, namespace, self._connect) for namespace in namespaces)
        }
        left_out = [found for key, found in forgotten.items() if key not in lost]
        self._warnings |= {_describe_left_out(found, recreated) for found in left_out}
        changes = tuple(self._build_changes(lost.values(), left_out))
        if self._refuses_lost:
            self._refuse_lost(lost.values())
        remaining = self._list_remaining(changes)
        for namespace in namespaces:
            self._check_remaining(namespace, remaining)
            self._check_unrecorded(namespace)
        preview = replace(
            self._preview,
            changes=changes,
            messages=tuple(sorted(self._warnings)),
            problems=tuple(sorted(self._problems)),
        )
        return CheckedDeletions(preview, tuple(forgotten.values()))

    def _find_former_urn(self, change: Change) -> str:
        """Returns the URN that the resource of a change is recorded under."""
        return self._former_urns.get(change.urn, change.urn)

    def _list_deletions(self) -> Iterator[tuple[Change, Resource]]:
        """Yields the changes that delete a resource of another name than they create.

        Each with its record. A replacement under the same name compares the live object itself.
        """
        live = {found.urn: found for found in self._resources if not found.pending_delete}
        # Only the change of an object has the id.
        recorded = {(r.urn, r.id if r.is_object else ""): r for r in self._resources}
        for change in self._preview.changes:
            found = None
            if change.op is Op.DELETE:
                found = recorded.get((change.urn, change.object))
            elif change.op is Op.REPLACE and change.urn not in self._kept:
                found = live.get(self._find_former_urn(change))
                found = None if found is None or found.id == change.object else found
            if found is not None and not found.stays_on_delete:
                yield change, found

    # What only the CLI can delete

    def _refuse_those_of_cli(self, deletions: Iterable[tuple[Change, Resource]]) -> None:
        for change, found in deletions:
            if needs_cli(found) or (found.is_object and try_connect(found, self._connect) is None):
                name = f"{change.kind} {change.object or change.name}"
                message = f"{name}: only the pulumi CLI can delete it"
                next_step = "run this again with ENGINE=cli"
                problem = Problem(change.component, name, message, next_step=next_step)
                self._problems.add(problem)

    def _warn_of_unread(self, deleted: Iterable[Resource]) -> None:
        names = {
            _describe(found)
            for found in deleted
            if has_manifest(found) and try_connect(found, self._connect) is None
        }
        if names:
            self._warnings.add(
                "warning: it is not known whether somebody recreated what is deleted, because only "
                f"the pulumi CLI can use the provider: {list_names(sorted(names))}; next: name a "
                "kubeconfig file and a context in the provider"
            )

    # Old objects that somebody recreated, and objects that go with their Namespace

    def _find_forgotten(
        self, deleted: Iterable[Resource], recreated: Collection[str]
    ) -> dict[str, Resource]:
        """Returns the old objects that somebody recreated, and their old Namespaces, by key.

        A Namespace is deleted with all that is in it, so it has to stay as well. With `MODEL=` it
        is not among the deletions, but the next command would delete it.
        """
        forgotten = [found for found in deleted if found.pending_delete and found.key in recreated]
        namespaces = {(found.provider_urn, found.id.rpartition("/")[0]) for found in forgotten}
        forgotten += [
            found
            for found in self._resources
            if found.pending_delete
            and found.kind == "Namespace"
            and (found.provider_urn, found.id) in namespaces
        ]
        return {found.key: found for found in forgotten}

    def _build_changes(
        self, lost: Iterable[Resource], left_out: Iterable[Resource]
    ) -> Iterator[Change]:
        """Yields the changes, with a note at each object that only goes because its Namespace does.

        These are kept objects, old ones that somebody recreated, and those that the program only
        reads. Without the deletions of the old objects that stay.
        """
        notes = {(f.urn, f.id): _LOST_NOTE if f.stays_on_delete else _OLD_NOTE for f in lost}
        urns = {found.urn for found in lost if not found.pending_delete}
        staying = {(found.urn, found.id) for found in left_out}
        for change in self._preview.changes:
            key, note = (change.urn, change.object), ""
            if change.op is Op.DELETE:
                if key in staying:
                    continue
                note = notes.get(key, "")
            elif change.op is Op.REPLACE and self._find_former_urn(change) in urns:
                note = _LOST_NOTE
            yield replace(change, note=note) if note else change

    def _refuse_lost(self, lost: Iterable[Resource]) -> None:
        components = {self._find_former_urn(c): c.component for c in self._preview.changes}
        for found in lost:
            # What the program only reads is not ours (`unrecorded.py`).
            if found.external:
                continue
            name, namespace = _describe(found), found.id.rpartition("/")[0]
            what = f"but another `namespace` deletes the Namespace {namespace}, with this object"
            if found.retain_on_delete:
                message = f"{name} is kept (`keep: true`), {what} and its data"
                next_step = (
                    f"{_advise_undo(namespace)}; to delete the object and its data, set "
                    "`keep: false` and run `up` before you change it"
                )
            else:
                message = (
                    f"{name} was left behind by a replacement and recreated by somebody, {what}"
                )
                next_step = (
                    "move the object to another Namespace, or delete it by hand if nobody needs it"
                )
            self._refuse(message, name, next_step, components.get(found.urn, ""))

    def _refuse(self, message: str, name: str, next_step: str, component: str = "") -> None:
        """Adds the problem of an object that another `namespace` would delete."""
        setting = "namespace" if self._refuses_lost else ""
        problem = Problem(component, name, message, setting=setting, next_step=next_step)
        self._problems.add(problem)

    def _list_remaining(self, changes: Iterable[Change]) -> list[Resource]:
        """Returns the recorded objects that no change deletes or renames, or that have no change.

        Without what the program only reads: these are objects of others.
        """
        deleted = {change.urn for change in changes if change.op is Op.DELETE}
        others = [change for change in changes if change.op is not Op.DELETE]
        by_urn = {self._find_former_urn(change): change for change in others}
        remaining = []
        for found in self._resources:
            if not found.is_object or found.pending_delete or found.external:
                continue
            # Kept ones are refused already.
            if self._refuses_lost and found.retain_on_delete:
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

    def _check_remaining(self, namespace: Resource, remaining: Iterable[Resource]) -> None:
        """Adds the objects of a deleted Namespace that stay in the stack.

        A claim is a problem, because its data is lost; all others are named in a warning. For
        example, an own program may name the Namespace of an object, which then does not follow
        `namespace`.
        """
        names = set()
        advice = f"{_advise_undo(namespace.id)} and move the claim to another Namespace"
        for found in remaining:
            if not is_inside(found, namespace, self._connect):
                continue
            if found.kind == CLAIM:
                name = _describe(found)
                self._refuse(f"{name} stays in the stack, and {_LOST_NOTE}", name, advice)
            else:
                names.add(f"{found.kind} {found.id.rpartition('/')[2]}")
        if names:
            self._warnings.add(
                f"warning: Namespace {namespace.id} is to be deleted with objects that stay in the "
                f"stack: {list_names(sorted(names))}; next: move them to another Namespace"
            )

    def _check_unrecorded(self, namespace: Resource) -> None:
        """Adds the objects of others that go with their Namespace.

        A claim is a problem of `up`: it may have been kept when its model was removed, and its data
        is lost, whoever made it. All others are a warning in any case: a controller may write them
        to each Namespace, and again after they are deleted.
        """
        unrecorded = find_unrecorded(namespace, self._resources, self._connect)
        for name, to_delete in unrecorded.claims.items():
            message = f"{name} is not managed by this stack, and {_LOST_NOTE}"
            if self._refuses_lost:
                next_step = f"{_advise_undo(namespace.id)} and delete {to_delete}"
                self._refuse(message, name, next_step)
            else:
                self._warnings.add(f"warning: {message}")
        if unrecorded.warning:
            self._warnings.add(unrecorded.warning)


def _find_recreated(
    deleted: Iterable[Resource], read_state: ReadState, connect: ConnectProvider
) -> dict[str, str]:
    """Maps the key of each resource to delete whose object somebody else recreated to the error."""
    looked_at = [found for found in deleted if has_manifest(found)]
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


def _leave_out_used_again(resources: Iterable[Resource]) -> tuple[Resource, ...]:
    """Returns the resources without the old ones whose object another one has: it is ours."""
    resources = tuple(resources)
    used = {found.object_key for found in resources if not found.pending_delete}
    return tuple(r for r in resources if not (r.pending_delete and r.object_key in used))


def _describe(resource: Resource) -> str:
    return f"{resource.kind} {resource.id}"


def _describe_left_out(resource: Resource, recreated: Collection[str]) -> str:
    what = "it" if resource.key in recreated else "an object in it"
    return (
        f"warning: {_describe(resource)}: a replacement left it behind, and somebody recreated "
        f"{what} since, so it stays and only its record is removed; next: delete it by hand if "
        "nobody needs it"
    )


def _advise_undo(namespace: str) -> str:
    """Returns the beginning of the advice about data that goes with this Namespace."""
    return f"undo the change, so that `namespace` is {namespace} again, or copy the data"


def read_exported_state(resource: Resource) -> ObjectState:
    """Returns a resource of an export in the form of the provider; its secrets are plain text."""
    inputs, outputs = resource.raw.get("inputs") or {}, resource.raw.get("outputs") or {}
    return ObjectState(resource.id, reveal(read_plaintext(inputs)), reveal(read_plaintext(outputs)))
