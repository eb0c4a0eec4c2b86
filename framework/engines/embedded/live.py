"""Recorded objects against the cluster: refresh and drift.

Kept apart from the program's runs because neither needs the program: only state and server.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from framework.core.changes import Change, FieldChange, Op
from framework.core.errors import EngineError, FrameworkError
from framework.engines.embedded.checkpoint import Resource, timestamp
from framework.engines.embedded.components import Components
from framework.engines.embedded.planner import CALLS_AT_ONCE, Planner
from framework.engines.embedded.records import object_state
from framework.engines.embedded.state import StackState
from framework.engines.embedded.values import (
    Secret,
    has_secret,
    mark_secrets,
    redact_fields,
    reveal,
    secret_texts,
)
from framework.engines.ordering import order_changes
from framework.kube.object_diff import compare_objects
from framework.kube.objects import FIELD_MANAGER, ObjectState, is_going, without_internal
from framework.kube.ownership import describe_maker, is_strangers

GONE = "is gone from the cluster"
GOING = "is being deleted"
NAMESPACE_GOING = "its Namespace is being deleted"


@dataclass(frozen=True)
class Look:
    """One recorded object as it is now: `live` None when it is gone, or being deleted."""

    entry: Resource
    change: Change
    live: ObjectState | None


def look_at_objects(state: StackState, planner: Planner) -> list[Look]:
    """Every targeted object of the stack, compared with the cluster; in state order."""
    entries = [
        entry
        for entry in state.current().resources
        if entry.is_object and not entry.pending_delete and planner.components.is_target(entry.urn)
    ]
    with ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="look") as pool:
        looks = list(pool.map(lambda entry: _look(state, planner, entry), entries))
    going = {
        (look.entry.provider_urn, look.entry.id)
        for look in looks
        if look.change.note == GOING and look.change.kind == "Namespace"
    }
    return [_gone_with_namespace(look, going) for look in looks]


def _gone_with_namespace(look: Look, going: set[tuple[str, str]]) -> Look:
    """The look of an object that goes with its Namespace: as good as gone."""
    namespace = look.entry.id.rpartition("/")[0]
    if look.live is None or (look.entry.provider_urn, namespace) not in going:
        return look
    return Look(look.entry, replace(look.change, op=Op.DELETE, note=NAMESPACE_GOING), None)


def _look(state: StackState, planner: Planner, entry: Resource) -> Look:
    recorded = object_state(state, entry)
    try:
        live = planner.provider(str(entry.raw["provider"])).read(recorded)
    except FrameworkError:
        raise
    except Exception as exc:
        raise EngineError(f"{entry.urn}: {type(exc).__name__}: {exc}") from exc
    change = _change(entry, planner.components)
    if live is None:
        return Look(entry, replace(change, op=Op.DELETE, note=GONE), None)
    if is_going(live.outputs):
        return Look(entry, replace(change, op=Op.DELETE, note=GOING), None)
    fields = _fields(state, entry, recorded, live)
    manager = str(recorded.outputs.get(FIELD_MANAGER, ""))
    if is_strangers(live.outputs, recorded, manager):
        note = describe_maker(live.outputs)
        return Look(entry, replace(change, op=Op.UPDATE, fields=fields, note=note), live)
    return Look(entry, replace(change, op=Op.UPDATE if fields else Op.SAME, fields=fields), live)


def _change(entry: Resource, components: Components) -> Change:
    return Change(
        urn=entry.urn,
        type=entry.type,
        name=entry.name,
        op=Op.SAME,
        object=entry.id,
        component=components.nearest(entry.urn),
    )


def _fields(
    state: StackState, entry: Resource, recorded: ObjectState, live: ObjectState
) -> tuple[FieldChange, ...]:
    before, now = without_internal(recorded.outputs), without_internal(live.outputs)
    manager = str(recorded.outputs.get(FIELD_MANAGER, ""))
    fields = compare_objects(before, now, written=now, manager=manager)
    kept = tuple(f for f in fields if not _is_scaled_by_others(f, entry, recorded.inputs))
    return redact_fields(kept, secret_texts(state.inputs(entry), state.outputs(entry)))


def _is_scaled_by_others(field: FieldChange, entry: Resource, inputs: Mapping[str, Any]) -> bool:
    """An autoscaler owns the replicas that the inputs do not send."""
    if field.path != "spec.replicas":
        return False
    unsent = "replicas" not in (inputs.get("spec") or {})
    return unsent or "spec.replicas" in (entry.raw.get("ignoreChanges") or ())


def refreshed(state: StackState, look: Look) -> Resource:
    """The entry with the object as it now is."""
    assert look.live is not None
    recorded = state.outputs(look.entry)
    outputs: Any = mark_secrets(look.live.outputs, recorded)
    inputs = recorded.get("__inputs")
    if inputs is not None:
        outputs = {**outputs, "__inputs": inputs}
    if look.entry.type.endswith(":Secret"):
        outputs = _hide(outputs)
    return Resource({**look.entry.raw, "outputs": state.seal(outputs), "modified": timestamp()})


def _hide(outputs: Mapping[str, Any]) -> dict[str, Any]:
    # What somebody added to a Secret is a secret too, whatever was recorded of it.
    data = outputs.get("data")
    if data is None or isinstance(data, Secret):
        return dict(outputs)
    return {**outputs, "data": Secret(reveal(data) if has_secret(data) else data)}


def found_changes(looks: Iterable[Look]) -> tuple[Change, ...]:
    """The changes of all looks, in the order of every change list."""
    return order_changes(look.change for look in looks)
