"""Compares two objects field by field, for people to read.

Fields that only the server writes are left out before comparing. The values of a Secret, plain
values that may be secret, and copies of these in other fields are redacted afterwards. So no caller
can forget either.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from framework.core.changes import FieldChange
from framework.core.field_paths import (
    MISSING,
    ROOT,
    FieldPath,
    Step,
    identify_items,
    match_items,
)
from framework.core.quantities import is_same_quantity, may_be_custom
from framework.core.redaction import (
    REDACTED,
    find_copied_secrets,
    find_name_of_value,
    find_secret_arguments,
    is_secret_key,
    redact,
    redact_arguments,
    redact_value,
)
from framework.core.secret_patterns import can_be_secret
from framework.kube.managed_fields import is_own, owner_of
from framework.kube.objects import (
    FIELD_MANAGER,
    ObjectState,
    is_same_value,
    is_terminating,
    without_internal,
)
from framework.kube.ownership import describe_recreation, is_absent_zero, was_recreated_by_others

# Written by the API server or by controllers, and never part of a manifest.
SERVER_METADATA = frozenset(
    {
        "managedFields",
        "resourceVersion",
        "generation",
        "uid",
        "creationTimestamp",
        "selfLink",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    }
)
NOISE_ANNOTATIONS = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        "deployment.kubernetes.io/revision",
    }
)
# If one of these appears or disappears as a whole, each entry in it is a change of its own. For
# example, the first two labels of an object are two changes, `labels.a` and `labels.b`.
OPEN_FIELDS = frozenset(
    {"metadata", "annotations", "labels", "data", "binaryData", "stringData", "env"}
)
SECRET_PARTS = frozenset({"data", "stringData"})


class LiveStatus(Enum):
    """The state of a live object, compared with the recorded one."""

    SAME = auto()
    CHANGED = auto()
    RECREATED = auto()
    TERMINATING = auto()
    GONE = auto()


@dataclass(frozen=True)
class LiveComparison:
    """The difference between a recorded object and the live one; `note` is one sentence."""

    status: LiveStatus
    fields: tuple[FieldChange, ...] = ()
    note: str = ""

    @property
    def exists(self) -> bool:
        """False if the object is gone or is being deleted."""
        return self.status not in (LiveStatus.GONE, LiveStatus.TERMINATING)


def compare_with_live(
    recorded: ObjectState, live: ObjectState | None, ignore_changes: Collection[str]
) -> LiveComparison:
    """Compares a recorded object with the live one, as `ObjectReader.read` returns it.

    Replicas that the inputs do not send, or that are ignored, belong to an autoscaler.
    """
    if live is None:
        return LiveComparison(LiveStatus.GONE, note="is gone from the cluster")
    if is_terminating(live.outputs):
        return LiveComparison(LiveStatus.TERMINATING, note="is being deleted")
    manager = str(recorded.outputs.get(FIELD_MANAGER, ""))
    before, now = without_internal(recorded.outputs), without_internal(live.outputs)
    fields = compare_objects(before, now, written=now, manager=manager)
    is_sent = "replicas" in (recorded.inputs.get("spec") or {})
    if not is_sent or "spec.replicas" in ignore_changes:
        fields = tuple(field for field in fields if field.path != "spec.replicas")
    if was_recreated_by_others(live.outputs, recorded, manager):
        return LiveComparison(LiveStatus.RECREATED, fields, describe_recreation(live.outputs))
    return LiveComparison(LiveStatus.CHANGED if fields else LiveStatus.SAME, fields)


@dataclass(frozen=True)
class _Difference:
    path: FieldPath
    old: Any
    new: Any
    secret: bool = False
    # The path in the new object, where a key on the way changed: `ports[9999].port`.
    new_path: FieldPath | None = None


def compare_objects(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    *,
    written: Mapping[str, Any] | None = None,
    manager: str = "",
) -> tuple[FieldChange, ...]:
    """Returns every field that differs, sorted by key; list items keep their order.

    `written` is the one of the two that is the live object. With it, each change names the manager
    that wrote the live value, unless that is `manager` itself. Secrets of other objects, which an
    interpolation may have brought here, are for the caller to redact (`redact_fields`).
    """
    secret = (new.get("kind") or old.get("kind")) == "Secret"
    before, after = _without_noise(old), _without_noise(new)
    changes = tuple(
        _build_change(difference, secret, written, manager)
        for difference in _list_differences(before, after)
    )
    return redact_fields(changes, find_copied_secrets((before, after))) if changes else ()


def redact_fields(
    fields: tuple[FieldChange, ...], secrets: Collection[str]
) -> tuple[FieldChange, ...]:
    """Returns the field changes with every secret text in their values redacted."""
    if not secrets:
        return fields
    return tuple(
        replace(field, old=redact_value(field.old, secrets), new=redact_value(field.new, secrets))
        for field in fields
    )


def pruned(obj: Any, shape: Any, path: FieldPath = ROOT, *, extra_items: bool = True) -> Any:
    """Returns a copy of `obj` with only the fields that `shape` has as well.

    List items are matched as in `compare_objects`. An item that is not in the shape stays, unless
    `extra_items` is False, and so does a list of another length whose items have no names. `path`
    is the path of both in their objects.
    """
    if isinstance(obj, Mapping) and isinstance(shape, Mapping):
        return {
            key: pruned(obj[key], shape[key], path.child(key), extra_items=extra_items)
            for key in shape
            if key in obj
        }
    if not isinstance(obj, list) or not isinstance(shape, list):
        return obj
    names = identify_items(path, obj, shape)
    if names is None:
        # Index 1 of a longer list may be another item than index 1 of the shape.
        if len(obj) != len(shape):
            return obj
        names = (list(range(len(obj))), list(range(len(obj))))
    shapes = dict(zip(names[1], shape, strict=True))
    return [
        pruned(item, shapes[name], path.child(name), extra_items=extra_items)
        if name in shapes
        else item
        for name, item in zip(names[0], obj, strict=True)
        if extra_items or name in shapes
    ]


def find_left_out(live: Mapping[str, Any], sent: Mapping[str, Any]) -> set[str]:
    """Returns the paths that were sent, and that the server leaves out because the value is 0.

    Such a field still has an owner, and a field that somebody removed has none. If 0 means the same
    as no value, the owner is not checked, because managedFields may have been emptied.
    """
    version = str(sent.get("apiVersion", ""))
    return {
        str(found.path)
        for found in _list_differences(sent, pruned(live, sent))
        if found.new is None
        and (
            is_absent_zero(version, str(found.path.steps[-1]), found.old)
            or owner_of(live, found.path) is not None
        )
    }


def _without_noise(obj: Mapping[str, Any]) -> dict[str, Any]:
    # Controllers write the status all the time, and no input sets it.
    kept = {key: value for key, value in obj.items() if key != "status"}
    metadata = obj.get("metadata")
    if not isinstance(metadata, Mapping):
        return kept
    kept_metadata = {k: v for k, v in metadata.items() if k not in SERVER_METADATA}
    annotations = {
        key: value
        for key, value in (metadata.get("annotations") or {}).items()
        if key not in NOISE_ANNOTATIONS
    }
    # An object whose only annotations are noise equals one that has none.
    kept_metadata.pop("annotations", None)
    if annotations:
        kept_metadata["annotations"] = annotations
    kept.pop("metadata")
    return {**kept, "metadata": kept_metadata} if kept_metadata else kept


def _list_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[_Difference]:
    is_custom_resource = may_be_custom(new.get("apiVersion") or old.get("apiVersion"))
    for found in _find_differences(ROOT, old, new):
        if not is_same_quantity(
            found.path.steps, found.old, found.new, is_custom_resource=is_custom_resource
        ):
            yield found


def _find_differences(path: FieldPath, old: Any, new: Any) -> Iterator[_Difference]:
    if is_same_value(old, new):
        return
    # Without this, the first label would be one change of the whole mapping: `labels: None -> {a:
    # b}`.
    if path.steps and path.steps[-1] in OPEN_FIELDS:
        old, new = _open_missing(old, new), _open_missing(new, old)
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        # The path of `{name: X-Api-Key, value: x}` has an index in place of the name.
        is_secret = any(is_secret_key((find_name_of_value(side),)) for side in (old, new))
        for key in sorted({*old, *new}):
            before, after, child = old.get(key), new.get(key), path.child(key)
            if key == "args" and isinstance(before, list) and isinstance(after, list):
                commands = (old.get("command") or (), new.get("command") or ())
                yield from _find_list_differences(child, before, after, commands)
                continue
            if key == "args" and before != after:
                # In `-px`, the password is found only with the `command` of the same container.
                before, after = (redact_arguments(side).get("args") for side in (old, new))
            for found in _find_differences(child, before, after):
                yield replace(found, secret=True) if is_secret and key == "value" else found
    elif isinstance(old, list) and isinstance(new, list):
        yield from _find_list_differences(path, old, new)
    else:
        yield _Difference(path, old, new)


def _open_missing(value: Any, other: Any) -> Any:
    """Returns an empty mapping or list in place of None, of the type of `other`."""
    return type(other)() if value is None else value


def _find_list_differences(
    path: FieldPath,
    old: list[Any],
    new: list[Any],
    commands: tuple[Sequence[Any], Sequence[Any]] = ((), ()),
) -> Iterator[_Difference]:
    secret = {
        found.item
        for arguments, command in zip((old, new), commands, strict=True)
        for found in find_secret_arguments(arguments, command)
    }
    items = list(match_items(path, old, new))
    renamed = _find_renamed(items)
    for step, before, after in items:
        if step in renamed.values():
            continue
        below = path.child(step)
        if step in renamed:
            moved = path.child(renamed[step])
            after = next(item for other, _, item in items if other == renamed[step])
            for found in _find_differences(below, before, after):
                steps = (found.new_path or found.path).steps[len(below.steps) :]
                yield replace(found, new_path=FieldPath((*moved.steps, *steps)))
            continue
        for found in _find_differences(below, read_item(below, before), read_item(below, after)):
            # `--api-key` and its value are two arguments: the path of the second one does not tell.
            yield replace(found, secret=True) if step in secret else found
    # Order is a difference even where the items are the same: a variable may refer to those before
    # it, as in $(HOST):$(PORT).
    names = identify_items(path, old, new)
    if names and names[0] != names[1] and set(names[0]) == set(names[1]):
        yield _Difference(path, [str(n) for n in names[0]], [str(n) for n in names[1]])


def _find_renamed(items: Sequence[tuple[Step, Any, Any]]) -> dict[Step, Step]:
    """Returns the new key of each list item whose key changed and whose `name` did not.

    The server identifies a port by its number, people know it by its name: a port `http` that moves
    from 8080 to 9999 is one change, not a removed port and an added one.
    """
    gone, come = dict[str, list[Step]](), dict[str, list[Step]]()
    for step, before, after in items:
        if (before is MISSING) is not (after is MISSING):
            item, side = (after, come) if before is MISSING else (before, gone)
            if isinstance(item, Mapping) and isinstance(item.get("name"), str):
                side.setdefault(item["name"], []).append(step)
    return {
        steps[0]: come[name][0]
        for name, steps in gone.items()
        if len(steps) == 1 and len(come.get(name, ())) == 1
    }


def read_item(path: FieldPath, item: Any) -> Any:
    """Returns a list item in the form that people read; MISSING becomes None.

    An environment variable with a plain value becomes the value, so that a change reads
    `env[LOG_LEVEL]: info -> debug`. One that occurs twice has an index as its path. It stays a
    mapping, because the value may be secret by its name.
    """
    if item is MISSING:
        return None
    is_named = path.steps[-2:-1] == ("env",) and not isinstance(path.steps[-1], int)
    is_variable = is_named and isinstance(item, Mapping) and item.keys() <= {"name", "value"}
    return item.get("value", "") if is_variable else item


def redact_object(obj: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an object with its secrets redacted, as those in a change are.

    Redact the whole object to show a part of it: beside an argument stands its command.
    """
    redacted: dict[str, Any] = redact((), dict(obj), of_manifest=True)
    if obj.get("kind") == "Secret":
        redacted |= {part: _redact(obj[part]) for part in SECRET_PARTS & obj.keys()}
    return redacted


def _build_change(
    difference: _Difference, secret: bool, written: Mapping[str, Any] | None, manager: str
) -> FieldChange:
    path, old, new = difference.path, difference.old, difference.new
    written_path = difference.new_path or path
    if secret and path.steps[0] in SECRET_PARTS:
        old, new = _redact(old), _redact(new)
    elif difference.secret:
        old, new = (REDACTED if can_be_secret(value) else value for value in (old, new))
    else:
        old, new = (redact(path.steps, value, of_manifest=True) for value in (old, new))
    entry = owner_of(written, written_path) if written else None
    if entry is None or is_own(entry, manager):
        return FieldChange(str(path), old, new)
    return FieldChange(str(path), old, new, str(entry["manager"]), str(entry.get("time", "")))


def _redact(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict.fromkeys(value, REDACTED)
    return None if value is None else REDACTED
