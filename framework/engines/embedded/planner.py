"""Decides what happens to one registered resource, without doing it.

Used by the preview for every registration and by the apply again for those whose inputs were not
known before. Kept apart from both because a step must be decided in one way only.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from framework.core.changes import Change, FieldChange, Op
from framework.core.errors import EngineError
from framework.engines.embedded.checkpoint import Resource
from framework.engines.embedded.clusters import Clusters
from framework.engines.embedded.components import Components
from framework.engines.embedded.records import object_state, provider_inputs
from framework.engines.embedded.registration import Alias, Registration
from framework.engines.embedded.state import StackState
from framework.engines.embedded.values import (
    has_unknown,
    mask,
    redact_fields,
    reveal,
    secret_texts,
)
from framework.engines.urns import build_urn, parse_urn, split_provider_reference
from framework.kube.objects import object_name
from framework.kube.ownership import RecordedNameTakenError
from framework.kube.reading import ObjectDiff

# So many calls to one API server at once; waits are not bounded.
CALLS_AT_ONCE = 16
UNFINISHED = "its last rollout did not finish"


@dataclass(frozen=True)
class Step:
    """What is to happen to one resource. `target` False: answered from state, untouched.
    `refusal` is why it cannot be done, while everything else can; "" where it can."""

    urn: str
    registration: Registration
    old: Resource | None
    change: Change
    target: bool = True
    delete_first: bool = False
    inputs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    predicted: Mapping[str, Any] = field(default_factory=dict, repr=False)
    known: bool = True
    refusal: str = ""

    @property
    def provider_urn(self) -> str:
        """The URN of the provider of an object, "" for none."""
        return split_provider_reference(self.registration.provider)[0]


class Planner:
    """Plans registrations against the state. Safe for use from any number of threads."""

    def __init__(self, state: StackState, clusters: Clusters, components: Components) -> None:
        self._state, self._clusters = state, clusters
        self.components = components
        self._live = state.current().live
        self._lock = threading.Lock()
        self.slots = threading.BoundedSemaphore(CALLS_AT_ONCE)
        self.renames: dict[str, str] = {}
        self._taken: set[str] = set()
        self._absent: set[str] = set()

    def plan(self, registration: Registration) -> Step:
        """The step of one registration. EngineError, ClusterError."""
        return self._decide(self._admit(registration))

    def plan_again(self, step: Step, registration: Registration) -> Step:
        """The step of a planned registration whose inputs have become known."""
        change = replace(step.change, object=_known_name(registration, step.old), note="")
        return self._decide(replace(step, registration=registration, change=change, known=True))

    def _decide(self, step: Step) -> Step:
        if not step.target:
            return step
        self._refuse_absent(step.registration)
        if step.registration.is_provider:
            return self._plan_provider(step)
        if step.registration.is_object:
            return self._plan_object(step)
        return step

    def provider(self, reference: str) -> Any:
        """The cluster behind a provider reference."""
        return self._clusters.connection(split_provider_reference(reference)[0]).provider

    def _admit(self, registration: Registration) -> Step:
        where = self._state.backend
        urn = build_urn(
            where.stack, where.project, registration.parent, registration.type, registration.name
        )
        with self._lock:
            if urn in self._taken:
                raise EngineError(f"{urn} is registered twice; give one a different name")
            self._taken.add(urn)
            old = self._find_old(urn, registration)
        self.components.add(urn, registration.parent, is_component=not registration.custom)
        # The provider and the Namespace of a narrowed command are answered from state as well.
        target = registration.is_stack or self.components.is_target(urn)
        if not target:
            self._note_untouched(urn, old)
        change = Change(
            urn=urn,
            type=registration.type,
            name=registration.name,
            op=Op.CREATE if old is None and target else Op.SAME,
            object=_known_name(registration, old),
            component=self.components.nearest(urn),
        )
        return Step(urn, registration, old, change, target)

    def _note_untouched(self, urn: str, old: Resource | None) -> None:
        if old is None:
            self._absent.add(urn)
        elif old.is_provider:
            self._clusters.add_recorded(urn, reveal(self._state.inputs(old)))

    def _find_old(self, urn: str, registration: Registration) -> Resource | None:
        if urn in self._live:
            return self._live[urn]
        for candidate in self._former_urns(urn, registration):
            if candidate in self._live and candidate not in self._taken:
                self.renames[candidate] = urn
                self._taken.add(candidate)
                return self._live[candidate].renamed(self.renames)
        return None

    def _former_urns(self, urn: str, registration: Registration) -> Iterator[str]:
        here = parse_urn(urn)
        former_parents = [old for old, new in self.renames.items() if new == registration.parent]
        for alias in (*registration.aliases, Alias()):
            if alias.urn:
                yield alias.urn
                continue
            parents = [registration.parent, *former_parents]
            if alias.no_parent or alias.parent:
                parents = [alias.parent]
            for parent in parents:
                name = alias.name or registration.name
                if parent in former_parents and not alias.name:
                    yield from _inherited(here, registration, parent, alias)
                yield build_urn(
                    alias.stack or here.stack,
                    alias.project or here.project,
                    parent,
                    alias.type or registration.type,
                    name,
                )

    def _refuse_absent(self, registration: Registration) -> None:
        provider = split_provider_reference(registration.provider)[0]
        needs = (provider, *registration.needs)
        missing = sorted(parse_urn(urn).name for urn in needs if urn in self._absent)
        if missing:
            where = self._state.backend.stack
            raise EngineError(
                f'{registration.type} "{registration.name}" needs {", ".join(missing)}, which does '
                f"not exist yet and is left out by MODEL; next: `make up ENV={where}` once, "
                "without MODEL"
            )

    def _plan_provider(self, step: Step) -> Step:
        inputs = provider_inputs(step.registration)
        self._clusters.add(step.urn, reveal(inputs))
        if step.old is None:
            return step
        recorded = self._state.inputs(step.old)
        fields = tuple(
            FieldChange(name, mask(recorded.get(name)), mask(inputs.get(name)))
            for name in sorted({*recorded, *inputs})
            if recorded.get(name) != inputs.get(name)
        )
        op = Op.UPDATE if fields else Op.SAME
        return replace(step, change=replace(step.change, op=op, fields=fields))

    def _plan_object(self, step: Step) -> Step:
        registration = step.registration
        if has_unknown(registration.inputs):
            op = Op.CREATE if step.old is None else Op.UPDATE
            note = "not validated by the server: some values are known only after other changes"
            return replace(step, change=replace(step.change, op=op, note=note), known=False)
        inputs = reveal(registration.inputs)
        old = object_state(self._state, step.old) if step.old else None
        provider = self.provider(registration.provider)
        try:
            with self.slots:
                diff = provider.diff(step.urn, old, inputs, registration.ignore_changes)
        except RecordedNameTakenError as exc:
            # Only what needs this object fails with it; the other models are not held up.
            change = replace(step.change, op=Op.UPDATE, note=f"refused: {exc}")
            return replace(step, change=change, inputs=inputs, refusal=str(exc))
        return self._with_diff(step, inputs, diff)

    def _with_diff(self, step: Step, inputs: Mapping[str, Any], diff: ObjectDiff) -> Step:
        op, note = diff.op, diff.note
        if op is Op.SAME and step.old is not None and step.old.init_errors:
            op, note = Op.UPDATE, UNFINISHED
        fields = self._mask(step, diff)
        change = replace(step.change, op=op, fields=fields, note=note, takes_over=diff.takes_over)
        return replace(
            step,
            change=change,
            inputs=inputs,
            predicted=diff.predicted,
            delete_first=diff.delete_first or step.registration.delete_before_replace,
        )

    def _mask(self, step: Step, diff: ObjectDiff) -> tuple[FieldChange, ...]:
        old = self._state.inputs(step.old) if step.old else {}
        return redact_fields(diff.fields, secret_texts(old, step.registration.inputs))


def _inherited(here: Any, registration: Registration, parent: str, alias: Alias) -> Iterator[str]:
    """A child named after its parent was named after the parent's former name, too."""
    now, before = parse_urn(registration.parent).name, parse_urn(parent).name
    if registration.name.startswith(now):
        name = before + registration.name.removeprefix(now)
        type_ = alias.type or registration.type
        yield build_urn(here.stack, here.project, parent, type_, name)


def _known_name(registration: Registration, old: Resource | None) -> str:
    """`namespace/name` or `name` as the cluster has it; "" for what is no object."""
    if not registration.is_object:
        return ""
    metadata = reveal(registration.inputs).get("metadata") or {}
    if not isinstance(metadata.get("name"), str) or has_unknown(metadata):
        return old.id if old else ""
    return object_name(metadata)
