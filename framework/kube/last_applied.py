"""Compares the live object with the one that `up` last applied, for drift.

It is the recorded object, without what others added, and with the values that the inputs set. The
recorded object alone is not enough: `pulumi up --refresh` and a refresh record
everything that the object has, also what nobody declared.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from framework.core.changes import FieldChange
from framework.core.field_paths import MISSING, FieldPath, get_at, resolve
from framework.kube.managed_fields import entries, find_undeclared
from framework.kube.object_diff import (
    LiveComparison,
    LiveStatus,
    compare_objects,
    compare_with_live,
    find_left_out,
    pruned,
)
from framework.kube.objects import (
    FIELD_MANAGER,
    Object,
    ObjectState,
    encode_string_data,
    is_same_value,
    is_terminating,
    without_internal,
)
from framework.kube.owned_paths import OwnedPath, find, find_path, without
from framework.kube.ownership import is_untouched
from framework.kube.patching import build_patch


def compare_with_last_applied(
    recorded: ObjectState, live: ObjectState | None, ignore_changes: Collection[str]
) -> LiveComparison:
    """Compares a live object, as `ObjectReader.read` returns it, with the last applied one."""
    if live is None:
        return compare_with_live(recorded, live, ignore_changes)
    manager = str(recorded.outputs.get(FIELD_MANAGER, ""))
    inputs = without_internal(recorded.inputs)
    sent = encode_string_data(inputs) if inputs.get("kind") == "Secret" else inputs
    outputs, now = without_internal(recorded.outputs), without_internal(live.outputs)
    # Nearly all objects are as `up` left them, and what follows takes 3 ms for each.
    if not is_terminating(now) and is_untouched(now, outputs, sent, manager):
        return LiveComparison(LiveStatus.SAME)
    # The inputs are the old and the new ones, so the patch has only what `up` would remove.
    ignored = tuple(ignore_changes)
    patch = build_patch(live.outputs, inputs, inputs, manager, ignored)
    before = frozenset[OwnedPath]()
    if patch.unowned:
        before = build_patch(outputs, inputs, inputs, manager, ignored).unowned
    # Somebody who recreates an object owns the defaults in it, too. What the recorded object had,
    # and nobody had added by then, is such a default.
    added = {
        path for path in patch.unowned if path in before or find(recorded.outputs, path) is MISSING
    }
    # An update that failed may have taken over what somebody had added, and a refresh recorded it.
    added |= {
        path
        for path in find_undeclared(live.outputs, manager, sent)
        if not any(find_path(frozenset({path}), field) for field in map(FieldPath.parse, ignored))
    }
    applied = without(recorded.outputs, added)
    comparison = compare_with_live(replace(recorded, outputs=applied), live, ignore_changes)
    if not comparison.exists:
        return comparison
    # The server computes some fields, such as the address of a Service that was recreated. Nobody
    # set them, and `up` would not put them back. Without managedFields it is not known who did, and
    # `up` puts back all that is not as recorded (kube/lost_owners.py).
    is_known = bool(entries(live.outputs))
    kept = tuple(
        field
        for field in comparison.fields
        if (
            field.old is None
            or field.manager
            or not is_known
            or resolve(inputs, FieldPath.parse(field.path)) is not None
        )
        and not _is_as_set(sent, now, field.path)
    )
    known = {field.path for field in kept}.union(ignore_changes)
    overwritten = [
        field for field in _find_overwritten(inputs, now, manager) if field.path not in known
    ]
    if overwritten:
        kept = tuple(sorted([*kept, *overwritten], key=lambda field: field.path))
    status = comparison.status
    if status is not LiveStatus.RECREATED:
        status = LiveStatus.CHANGED if kept else LiveStatus.SAME
    return replace(comparison, status=status, fields=kept)


def _is_as_set(inputs: Object, live: Object, path: str) -> bool:
    """Returns whether the live object has the value that the inputs set, whatever is recorded.

    The CLI's provider sometimes records the object as it was before its own update: its watch may
    be late, and only a change of the spec has a generation that it could wait for.
    """
    field = FieldPath.parse(path)
    steps, live_steps = resolve(inputs, field), resolve(live, field)
    if steps is None or live_steps is None:
        return False
    return is_same_value(get_at(inputs, steps), get_at(live, live_steps))


def _find_overwritten(inputs: Object, live: Object, manager: str) -> list[FieldChange]:
    """Returns the fields that the inputs set, and that somebody else wrote or removed since.

    A difference in a field of our own is a spelling: the server stores `1000m` as `1`, and leaves
    out 0.
    """
    fields = compare_objects(inputs, pruned(live, inputs), written=live, manager=manager)
    left_out = find_left_out(live, inputs)
    return [
        field
        for field in fields
        if field.old is not None
        and (field.manager or (field.new is None and field.path not in left_out))
    ]
