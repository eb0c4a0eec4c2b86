"""The preview: the program runs, every registration is planned, nothing is applied.

Kept apart from the apply because its answers differ (what is not known yet stays unknown), and
because everything that can be refused is refused here, all of it in one run.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from framework.core.changes import Change, Op, Preview
from framework.core.errors import EngineError, FrameworkError
from framework.core.redaction import redact_text
from framework.engines.embedded.capacity import find_waits
from framework.engines.embedded.checkpoint import Resource
from framework.engines.embedded.clusters import Clusters
from framework.engines.embedded.components import Components
from framework.engines.embedded.messages import Messages
from framework.engines.embedded.monitor import Answer
from framework.engines.embedded.planner import Planner, Step
from framework.engines.embedded.records import (
    answer_outputs,
    build_kept,
    provider_inputs,
    secret_inputs,
)
from framework.engines.embedded.registration import Registration
from framework.engines.embedded.state import StackState
from framework.engines.embedded.values import (
    has_secret,
    has_unknown,
    map_tree,
    mark_secrets,
    mask,
    secret_texts,
)
from framework.engines.marks import UNKNOWN, mask_sealed
from framework.engines.ordering import order_changes
from framework.engines.urns import STACK_TYPE, failed_urn, parse_urn

_RETAINED = "stays in the cluster (retainOnDelete)"
_REPLACED = "left behind by a replacement"
# So many faults are read; more of them are mostly the same one.
_MOST = 50


class PreviewRun:
    """Handles one program run in preview. `finish` gives the change list."""

    def __init__(self, state: StackState, planner: Planner, clusters: Clusters) -> None:
        self._state, self._planner, self._clusters = state, planner, clusters
        self._lock = threading.Lock()
        self._faults: set[str] = set()
        self._failed: set[str] = set()
        self.steps: dict[str, Step] = {}
        self.outputs: dict[str, Mapping[str, Any]] = {}
        self.messages = Messages()
        self.waits: dict[str, tuple[str, ...]] = {}

    # --- the program's side

    def register(self, registration: Registration) -> Answer:
        """Plan one registration and answer from what is known; faults are kept for `check`."""
        if not self._failed.isdisjoint(registration.needs):
            return self._answer_failed(registration)
        try:
            step = self._planner.plan(registration)
        except FrameworkError as exc:
            self._note_fault(registration, exc)
            return self._answer_failed(registration)
        except Exception as exc:
            self._note_fault(registration, EngineError(f"{type(exc).__name__}: {exc}"))
            return self._answer_failed(registration)
        with self._lock:
            self.steps[step.urn] = step
        return answer_step(self._state, step)

    def register_outputs(self, urn: str, outputs: Mapping[str, Any]) -> None:
        """Keep a component's outputs; those of the Stack are the preview's."""
        with self._lock:
            self.outputs[urn] = outputs

    def refuse(self, fault: str) -> None:
        """Keep what only the CLI can do for `check`, which raises all of it."""
        with self._lock:
            self._faults.add(fault)

    def log(self, severity: str, message: str) -> None:
        """Keep a message of the program's for the preview."""
        self.messages.add(severity, message)

    def _note_fault(self, registration: Registration, exc: FrameworkError) -> None:
        what = redact_text(str(exc), secret_texts(registration.inputs))
        own = registration.name in what
        with self._lock:
            self._faults.add(what if own else f'{registration.type} "{registration.name}": {what}')

    def _answer_failed(self, registration: Registration) -> Answer:
        urn = failed_urn(registration.type, registration.name)
        with self._lock:
            self._failed.add(urn)
        return Answer(urn, failed=True)

    # --- the engine's side

    def check(self) -> None:
        """Raise what stops everything: refusals, faults, a cluster that cannot be used."""
        if self._clusters.fault is not None:
            raise self._clusters.fault
        if self._faults:
            listed = sorted(self._faults)
            more = [f"and {len(listed) - _MOST} more"] if len(listed) > _MOST else []
            raise EngineError("\n".join([*listed[:_MOST], *more]))

    def finish(self) -> Preview:
        """The change list, once the program has ended. EngineError for what is protected."""
        self.check()
        self._planner.components.check_wanted()
        leftovers = self.leftovers()
        self._check_protected(leftovers)
        self._note_protection()
        self._order_capacity()
        changes = [step.change for step in self.steps.values()]
        changes += [
            build_deletion(entry, self._planner.components)
            for entry in leftovers
            if not self.is_wanted_again(entry)
        ]
        return Preview(order_changes(changes), self.stack_outputs())

    def _order_capacity(self) -> None:
        """Settles which Deployment shrinks only after which others, and notes it on the change."""
        self.waits = find_waits(self.steps.values())
        for urn, first in self.waits.items():
            step = self.steps[urn]
            names = " and ".join(parse_urn(other).name for other in first)
            be = "is" if len(first) == 1 else "are"
            note = "; ".join(filter(None, (step.change.note, f"once {names} {be} available")))
            self.steps[urn] = replace(step, change=replace(step.change, note=note))

    def leftovers(self) -> list[Resource]:
        """What the program no longer has: to be deleted, as far as the command reaches."""
        components = self._planner.components
        return [
            entry
            for entry in self._state.current().resources
            if (entry.pending_delete or entry.urn not in self._accounted())
            and components.is_target(entry.urn)
            and entry.type != STACK_TYPE
        ]

    def is_wanted_again(self, entry: Resource) -> bool:
        """True for a replaced object that the program declares again: only its old record goes."""
        return entry.pending_delete and any(
            (step.registration.type, step.change.object, step.provider_urn) == entry.object_key
            for step in self.steps.values()
        )

    def _accounted(self) -> set[str]:
        return self.steps.keys() | self._planner.renames.keys()

    def _check_protected(self, leftovers: Iterable[Resource]) -> None:
        faults = [f"{entry.urn} would be deleted" for entry in leftovers if entry.protect]
        faults += [
            f"{step.urn} would be replaced"
            for step in self.steps.values()
            if step.change.op is Op.REPLACE and step.registration.protect
        ]
        if faults:
            listed = "\n".join(f"protected: {fault}" for fault in sorted(faults))
            raise EngineError(
                f"{listed}\nNothing was changed; to go on, take protect off "
                "in the program and run `up` with nothing else changed, then run again"
            )

    def _note_protection(self) -> None:
        """Taking protect off, or putting it on, changes no object, and yet `up` has to record it
        before anything may be deleted."""
        for protect, word in ((False, "from"), (True, "to")):
            count = sum(
                step.target and step.old is not None and step.old.protect is not protect
                for step in self.steps.values()
                if step.registration.protect is protect
            )
            if count:
                what = "1 resource" if count == 1 else f"{count} resources"
                self.messages.add("warning", f"`up` takes protect {word} {what}")

    def stack_outputs(self) -> Mapping[str, Any]:
        """What the program exports, secrets masked."""
        found = [
            values for urn, values in self.outputs.items() if parse_urn(urn).type == STACK_TYPE
        ]
        return show_outputs(found[0]) if found else {}

    def has_secrets(self) -> bool:
        """Whether what is to be recorded needs encrypting."""
        trees = [step.registration.inputs for step in self.steps.values() if step.target]
        kinds = {tree.get("kind") for tree in trees}
        return "Secret" in kinds or any(map(has_secret, [*trees, *self.outputs.values()]))

    def kept(self) -> list[Resource]:
        """Entries of unchanged resources whose options or outputs differ from the recorded."""
        entries = []
        for step in self.steps.values():
            if step.old is None or not step.target or step.change.op is not Op.SAME:
                continue
            entry = build_kept(step.registration, step.urn, step.old)
            entry = with_outputs(self._state, entry, self.outputs.get(step.urn))
            if entry is not step.old:
                entries.append(entry)
        return entries


def with_outputs(state: StackState, entry: Resource, outputs: Mapping[str, Any] | None) -> Resource:
    """The entry of a component or the Stack with these outputs; an unknown one stays as it was."""
    if outputs is None:
        return entry
    if state.outputs(entry) == outputs:
        return entry
    recorded = entry.raw.get("outputs") or {}
    sealed = _keep_recorded(state, dict(sorted(outputs.items())), recorded)
    return Resource({**entry.raw, "outputs": sealed})


def _keep_recorded(state: StackState, value: Any, recorded: Any) -> Any:
    """Returns an output as state keeps it, what is unknown as it was recorded; without a record it
    is left out."""
    if not has_unknown(value):
        return state.seal(value)
    if not isinstance(value, Mapping):
        return recorded
    before = recorded if isinstance(recorded, Mapping) else {}
    return {
        key: _keep_recorded(state, each, before.get(key))
        for key, each in value.items()
        if not has_unknown(each) or isinstance(each, Mapping) or key in before
    }


def show_outputs(outputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Outputs for people: secrets masked, unknown ones named so."""
    shown = mask(dict(sorted(outputs.items())))
    result: Mapping[str, Any] = map_tree(
        shown, lambda leaf: "[known after up]" if leaf == UNKNOWN else leaf
    )
    return result


def recorded_outputs(state: StackState) -> Mapping[str, Any]:
    """The stack's outputs as state has them, secrets masked; needs no passphrase."""
    for entry in state.current().resources:
        if entry.type == STACK_TYPE:
            return dict(mask_sealed(entry.raw.get("outputs") or {}))
    return {}


def answer_step(state: StackState, step: Step) -> Answer:
    """What the program learns of a resource in preview."""
    registration, old = step.registration, step.old
    if registration.is_object and old is None and not step.target:
        # Not there, and not to be made by a narrowed command: all that it has is unknown.
        return Answer(step.urn, failed=True)
    if registration.is_object:
        return _answer_object(state, step)
    if registration.is_provider:
        return Answer(step.urn, old.id if old else "", provider_inputs(registration))
    return Answer(step.urn)


def _answer_object(state: StackState, step: Step) -> Answer:
    registration, old = step.registration, step.old
    if old is not None and step.change.op is Op.SAME:
        return Answer(step.urn, old.id, answer_outputs(state.outputs(old)))
    if old is not None and step.change.op is Op.UPDATE and step.predicted:
        predicted = {k: v for k, v in step.predicted.items() if k != "status"}
        shown = answer_outputs(mark_secrets(predicted, registration.inputs))
        return Answer(step.urn, old.id, shown)
    # Its id, and what only the server knows, come with the apply.
    return Answer(step.urn, "", secret_inputs(registration, registration.inputs))


def build_deletion(entry: Resource, components: Components) -> Change:
    """The change that deletes an entry."""
    note = _RETAINED if entry.retain_on_delete and entry.is_object else ""
    return Change(
        urn=entry.urn,
        type=entry.type,
        name=entry.name,
        op=Op.DELETE,
        object=entry.id if entry.is_object else "",
        component=components.nearest(entry.urn),
        note=note or (_REPLACED if entry.pending_delete else ""),
    )
