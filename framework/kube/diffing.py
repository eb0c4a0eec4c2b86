"""What bringing one object to its inputs would do, asked of the server without writing.

Kept apart from the provider's writes: a preview asks this of every object and does nothing else,
and which of create, update and replace it is must be decided here alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from framework.core.changes import FieldChange, Op
from framework.kube.api_error import ApiError
from framework.kube.client import KubeClient, Object
from framework.kube.discovery import KindNotServedError
from framework.kube.inputs import build_sent, build_wanted, without_internal
from framework.kube.live_objects import LiveObjects, is_going
from framework.kube.object_diff import compare_objects, pruned
from framework.kube.object_state import ObjectState, field_manager
from framework.kube.patching import (
    Patch,
    build_patch,
    claim,
    describe_maker,
    is_made_again,
    predict,
)
from framework.kube.property_path import drop_at, expand_path, parse_path
from framework.kube.replacement import is_other_object, named_changes, replaces


@dataclass(frozen=True)
class ObjectDiff:
    """What bringing one object to its inputs does.

    `predicted` is the object as the server would make it, or the inputs where the server could not
    be asked. `delete_first`: a replacement that cannot stand beside the old object. `takes_over`:
    somebody made the object again since it was recorded.
    """

    op: Op
    fields: tuple[FieldChange, ...]
    delete_first: bool
    note: str
    predicted: dict[str, Any]
    takes_over: bool = False


class Differ:
    """Compares objects of one cluster with what is wanted of them; writes nothing."""

    def __init__(self, client: KubeClient, live: LiveObjects) -> None:
        self._client, self._live = client, live

    def diff(
        self,
        urn: str,
        old: ObjectState | None,
        inputs: dict[str, Any],
        ignore_changes: Sequence[str],
    ) -> ObjectDiff:
        """What create or update would do; AlreadyExistsError for what is not this stack's."""
        if old is None:
            wanted = build_sent(self._client, inputs, urn)
            return self._diff_new(wanted, field_manager(urn, None, wanted))
        wanted = build_wanted(self._client, urn, old.inputs, inputs, ignore_changes)
        before = build_sent(self._client, old.inputs, urn)
        if is_other_object(before, wanted):
            created = self._diff_new(wanted, field_manager(urn, None, wanted))
            return replace(created, op=Op.REPLACE, fields=compare_objects(before, wanted))
        manager = field_manager(urn, old, wanted)
        live = self._live.find(wanted)
        if live is None:
            return self._dry_create(wanted, manager, "was deleted from the cluster")
        if is_going(live) or self._live.going_namespace(wanted):
            return self._create_again(wanted)
        made_again = is_made_again(live, old, manager)
        diff = self._diff_live(live, before, wanted, manager, ignore_changes)
        if made_again:
            return _take_over(live, diff)
        if diff.op is Op.SAME:
            found = _find_unrecorded(old, live, (before, wanted), manager, ignore_changes)
            return _record(diff, found) if found else diff
        return diff

    def _diff_new(self, wanted: Object, manager: str) -> ObjectDiff:
        live = self._live.find(wanted)
        if live is None:
            return self._dry_create(wanted, manager, "")
        if is_going(live) or self._live.going_namespace(wanted):
            return self._create_again(wanted)
        claim(live, manager)
        predicted = self._client.apply(wanted, manager=manager, force=True, dry_run=True)
        # A run was interrupted before it could record this, or its state is lost.
        note = "already there by this stack's hand: taken over"
        return ObjectDiff(Op.CREATE, (), False, note, predicted)

    def _create_again(self, wanted: Object) -> ObjectDiff:
        """The diff of an object that is being deleted: the server cannot be asked until then."""
        namespace = self._live.going_namespace(wanted)
        what = f"Namespace {namespace} is being deleted" if namespace else "is being deleted"
        return ObjectDiff(Op.CREATE, (), False, f"{what}: made again once it is gone", wanted)

    def _dry_create(self, wanted: Object, manager: str, note: str) -> ObjectDiff:
        try:
            predicted = self._client.apply(wanted, manager=manager, force=False, dry_run=True)
        except KindNotServedError:
            asked = f"{wanted['apiVersion']} {wanted['kind']}"
            unasked = f"not validated by the server: it does not serve {asked} yet"
        except ApiError as exc:
            if not exc.missing_namespace and not exc.namespace_terminating:
                raise
            namespace = wanted["metadata"]["namespace"]
            state = "does not exist yet" if exc.missing_namespace else "is being deleted"
            unasked = f"not validated by the server: Namespace {namespace} {state}"
        else:
            return ObjectDiff(Op.CREATE, (), False, note, predicted)
        note = f"{note}; {unasked}" if note else unasked
        return ObjectDiff(Op.CREATE, (), False, note, wanted)

    def _diff_live(
        self,
        live: Object,
        before: Object,
        wanted: Object,
        manager: str,
        ignore_changes: Sequence[str],
    ) -> ObjectDiff:
        patch = build_patch(live, before, wanted, manager, ignore_changes)
        try:
            predicted = predict(self._client, live, patch)
        except ApiError as exc:
            return _diff_refused(live, patch, exc)
        fields = compare_objects(live, predicted, written=live, manager=manager)
        if not fields:
            return ObjectDiff(Op.SAME, (), False, "", predicted)
        asked = named_changes(fields, live, before, wanted)
        if replaces(wanted, asked):
            return ObjectDiff(Op.REPLACE, fields, True, "", predicted)
        return ObjectDiff(Op.UPDATE, fields, False, "", predicted)


def _take_over(live: Object, diff: ObjectDiff) -> ObjectDiff:
    """The diff of an object that was made again: a change even where every field is the same."""
    op = Op.UPDATE if diff.op is Op.SAME else diff.op
    note = f"{describe_maker(live)}: taken over"
    note = f"{note}; {diff.note}" if diff.note else note
    return replace(diff, op=op, note=note, takes_over=True)


def _find_unrecorded(
    old: ObjectState,
    live: Object,
    shapes: Iterable[Object],
    manager: str,
    ignore_changes: Sequence[str],
) -> tuple[FieldChange, ...]:
    """Finds what changed since it was recorded in fields that the inputs name, now or before.

    Where they are as wanted, `up` has nothing to change, yet drift would go on reporting them.
    """
    recorded = without_internal(old.outputs)
    for shape in shapes:
        shape = deepcopy(shape)
        for text in ignore_changes:
            for steps in expand_path((live, shape), parse_path(text)):
                drop_at(shape, steps)
        found = compare_objects(
            pruned(recorded, shape), pruned(live, shape), written=live, manager=manager
        )
        if found:
            return found
    return ()


def _record(diff: ObjectDiff, found: Iterable[FieldChange]) -> ObjectDiff:
    """The diff of an object that is as wanted by somebody else's hand: it is recorded and owned."""
    writers = sorted({field.manager for field in found if field.manager})
    by = f", by {', '.join(writers)}" if writers else ""
    return replace(diff, op=Op.UPDATE, note=f"is already as wanted{by}: recorded")


def _diff_refused(live: Object, patch: Patch, refusal: ApiError) -> ObjectDiff:
    """The diff where the server refuses the patch: a replacement, or what only `update` can do;
    any other refusal is raised again."""
    immutable = refusal.immutable_fields
    if not immutable and not patch.unowned:
        raise refusal
    fields = compare_objects(pruned(live, patch.sent), patch.sent)
    if immutable:
        note = f"cannot change in place: {', '.join(immutable)}"
        return ObjectDiff(Op.REPLACE, fields, True, note, patch.sent)
    # Asked alone, the server counts what kubectl left beside ours; `update` takes that over first.
    note = "not validated by the server: what kubectl wrote stands in the way"
    return ObjectDiff(Op.UPDATE, fields, False, note, patch.sent)
