"""Plans every registration of a run of the program, without applying anything.

The preview collects everything that must be refused, and reports it at once, before the first
write.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from framework.core.changes import Change, Op, Preview
from framework.core.errors import EngineError, FrameworkError
from framework.core.redaction import redact_text
from framework.engines.base import order_changes
from framework.engines.clusters import Clusters
from framework.engines.deployment_order import find_deployment_waits, note_waits
from framework.engines.embedded.deletion import find_needed
from framework.engines.embedded.planner import Planner, Step
from framework.engines.embedded.progress import Messages
from framework.engines.embedded.records import (
    build_planned,
    build_program_outputs,
    build_provider_inputs,
    build_unchanged,
    mark_secret_inputs,
    with_outputs,
)
from framework.engines.embedded.registration import Answer, Registration
from framework.engines.recorded import build_deletion, build_same
from framework.engines.state.checkpoint import Resource, identify_object
from framework.engines.state.journal import drop_line, end_line, set_line
from framework.engines.state.stack_state import StackState
from framework.engines.urns import STACK_TYPE, build_failed_urn, parse_urn
from framework.engines.values import (
    UNKNOWN,
    collect_message_secrets,
    has_secret,
    map_tree,
    mark_secrets,
    redact_copies,
    redact_secrets,
    reveal,
)
from framework.kube.api_error import ApiError
from framework.kube.objects import object_name

# Further refusals mostly have the same cause, so they are only counted.
_MAX_REFUSALS = 50


class PreviewRun:
    """Handles the program's registrations in a preview; then `finish` returns the change list."""

    def __init__(self, state: StackState, planner: Planner, clusters: Clusters) -> None:
        self._state, self._planner, self._clusters = state, planner, clusters
        self._lock = threading.Lock()
        self._refusals: set[str] = set()
        self._outage: ApiError | None = None
        self._failed: set[str] = set()
        self.steps: dict[str, Step] = {}
        self.outputs: dict[str, Mapping[str, Any]] = {}
        self.messages = Messages()
        self.waits: dict[str, tuple[str, ...]] = {}
        # The resources that will not be deleted, by key, each with one that still needs it.
        self.needed: dict[str, Resource] = {}
        # The URNs of those that are replaced: the new object is created, and the old one stays.
        self.kept: set[str] = set()

    # Called by the program, from many threads

    def register(self, registration: Registration) -> Answer:
        """Plans a registration and returns the known values; `check` raises the refusals."""
        # A resource that needs a refused one is not planned: it would only add a refusal that
        # follows from the first one.
        if not self._failed.isdisjoint(registration.needs):
            return self._answer_failed(registration)
        try:
            step = self._planner.plan(registration)
        except Exception as exc:
            self._note_refusal(registration, exc)
            return self._answer_failed(registration)
        with self._lock:
            self.steps[step.urn] = step
        return answer_step(self._state, step)

    def register_outputs(self, urn: str, outputs: Mapping[str, Any]) -> None:
        """Keeps the outputs of a component or the Stack."""
        outputs = self._planner.complete_outputs(urn, outputs)
        with self._lock:
            self.outputs[urn] = outputs

    def refuse(self, reason: str) -> None:
        """Keeps a reason for `check`, which raises all of them together."""
        with self._lock:
            self._refusals.add(reason)

    def log(self, severity: str, message: str) -> None:
        """Keeps a message of the program for the preview."""
        self.messages.add(severity, message)

    def _note_refusal(self, registration: Registration, exc: Exception) -> None:
        if isinstance(exc, ApiError) and exc.is_outage:
            self._outage = exc
        text = str(exc) if isinstance(exc, FrameworkError) else f"{type(exc).__name__}: {exc}"
        reason = redact_text(text, collect_message_secrets(registration.inputs))
        if registration.name not in reason:
            reason = f'{registration.type} "{registration.name}": {reason}'
        self.refuse(reason)

    def _answer_failed(self, registration: Registration) -> Answer:
        urn = build_failed_urn(registration.type, registration.name)
        with self._lock:
            self._failed.add(urn)
        return Answer(urn, failed=True)

    # Called by the engine, once the program has ended

    def check(self) -> None:
        """Raises EngineError with all refusals, or ClusterError if a cluster cannot be used."""
        # First the cluster: without it every object was refused for this one reason.
        if self._clusters.failure is not None:
            raise self._clusters.failure
        if self._outage is not None:
            raise self._outage
        if self._refusals:
            refusals = sorted(self._refusals)
            rest = len(refusals) - _MAX_REFUSALS
            more = [f"and {rest} more"] if rest > 0 else []
            raise EngineError("\n".join([*refusals[:_MAX_REFUSALS], *more]))

    def finish(self) -> Preview:
        """Returns the change list. EngineError for refusals, and for changes of protected
        resources."""
        self.check()
        self._planner.components.check_targets()
        leftovers = self.find_leftovers()
        self._find_needed(leftovers)
        self._check_protected([found for found in leftovers if found.key not in self.needed])
        self._note_protection()
        self._note_waits()
        changes = [step.change for step in self.steps.values()]
        changes += self._list_others()
        changes += [
            build_deletion(resource, self._planner.components)
            for resource in leftovers
            if resource.key not in self.needed and not self.is_in_use_again(resource)
        ]
        problems = sorted(step.problem for step in self.steps.values() if step.problem)
        outputs = self._build_stack_outputs()
        preview = Preview(order_changes(changes), outputs, problems=tuple(problems))
        preview = redact_copies(preview, self._list_objects(leftovers))
        # `up` does not need the live objects: those of 1,000 models take 100 MB.
        for urn, step in self.steps.items():
            self.steps[urn] = replace(step, live={}) if step.live else step
        return preview

    def _find_needed(self, leftovers: Iterable[Resource]) -> None:
        """Finds what stays because a resource needs it that the stack has after `up`.

        Adds a warning for each, because its deletion is in no change list. For example, the program
        names another Namespace, and one of its objects still names the old one.
        """
        steps = [step for step in self.steps.values() if step.target]
        replaced = [
            step.old.with_fields(delete=True)
            for step in steps
            if step.old and step.change.op is Op.REPLACE and not step.delete_first
        ]
        to_delete = [*leftovers, *replaced]
        if not to_delete:
            return
        known = {step.urn for step in steps} | {found.urn for found in leftovers}
        known |= self._planner.renames.keys()
        recorded = self._state.get_current().resources
        after = [build_planned(s.registration, s.urn, s.change.object) for s in steps]
        after += [found for found in recorded if found.urn not in known]
        self.needed = find_needed([*after, *to_delete], to_delete)
        self.kept = {found.urn for found in replaced if found.key in self.needed}
        for found in to_delete:
            user = self.needed.get(found.key)
            # A component is not named: it stays because of a resource in it.
            if user is not None and found.custom:
                self.messages.add(
                    "warning",
                    f"{found.kind} {found.id} stays, because {user.kind} {user.name} of this "
                    "stack still needs it; next: change that one or remove it",
                )

    def _list_objects(
        self, leftovers: Iterable[Resource]
    ) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yields the objects of the models that change, as `list_objects` does from a plan."""
        steps = self.steps.values()
        changed = {s.change.component for s in steps if s.change.fields or s.problem}
        for step in steps:
            model = step.change.component
            if model in changed:
                yield model, reveal(step.registration.inputs)
                yield model, reveal(self._state.read_inputs(step.old)) if step.old else {}
                yield model, step.live
        renames = self._planner.renames
        for resource in leftovers:
            parent = renames.get(resource.parent, resource.parent)
            model = self._planner.components.find_nearest(parent)
            if model in changed:
                yield model, reveal(self._state.read_inputs(resource))

    def _list_others(self) -> list[Change]:
        """Returns the recorded resources that the command does not work on, as unchanged.

        With MODEL, the program does not register them.
        """
        components = self._planner.components
        return [
            build_same(resource, components)
            for resource in self._state.get_current().resources
            if resource.urn not in self.steps
            and resource.urn not in self._planner.renames
            and resource.type != STACK_TYPE
            and not components.is_target(resource.urn)
        ]

    def _note_waits(self) -> None:
        needs = {urn: step.registration.needs for urn, step in self.steps.items()}
        self.waits = find_deployment_waits((step.change for step in self.steps.values()), needs)
        for urn in self.waits:
            step = self.steps[urn]
            self.steps[urn] = replace(step, change=note_waits(step.change, self.waits))

    def find_leftovers(self) -> list[Resource]:
        """Returns the recorded resources that are targets and that the program no longer has."""
        accounted = self.steps.keys() | self._planner.renames.keys()
        return [
            resource
            for resource in self._state.get_current().resources
            if (resource.pending_delete or resource.urn not in accounted)
            and self._planner.components.is_target(resource.urn)
            and resource.type != STACK_TYPE
        ]

    def is_in_use_again(self, resource: Resource) -> bool:
        """Returns whether another resource of the program has the object of a leftover.

        Then only the old record is dropped, and the object stays. For example, `up` fails after it
        created the new object of a replacement, and the user then reverts the change.
        """
        return any(
            identify_object(step.registration.type, step.change.object, step.provider_urn)
            == resource.object_key
            for step in self.steps.values()
            if step.registration.is_object
        )

    def _check_protected(self, leftovers: Iterable[Resource]) -> None:
        refusals = [
            f"{resource.urn} would be deleted" for resource in leftovers if resource.protect
        ]
        refusals += [
            f"{step.urn} would be replaced"
            for step in self.steps.values()
            if step.change.op is Op.REPLACE and step.registration.protect
        ]
        if refusals:
            lines = "\n".join(f"protected: {refusal}" for refusal in sorted(refusals))
            raise EngineError(
                f"{lines}\nNothing was changed; to continue, set `protect: false` in "
                "environment.yaml (or in your own program), run `up` with nothing else changed, "
                "then run this again"
            )

    def _note_protection(self) -> None:
        """Adds a warning where `up` changes `protect`.

        That changes no object, so the preview is clean; yet `up` must record it before anything
        may be deleted.
        """
        for protect, verb, word in ((False, "removes", "from"), (True, "adds", "to")):
            count = sum(
                step.target and step.old is not None and step.old.protect is not protect
                for step in self.steps.values()
                if step.registration.protect is protect
            )
            if count:
                resources = "1 resource" if count == 1 else f"{count} resources"
                self.messages.add("warning", f"`up` {verb} `protect` {word} {resources}")

    def _build_stack_outputs(self) -> Mapping[str, Any]:
        """Returns the program's exports, secrets redacted, unknown values marked as such."""
        for urn, outputs in self.outputs.items():
            if parse_urn(urn).type == STACK_TYPE:
                shown = redact_secrets(dict(sorted(outputs.items())))
                return dict(
                    map_tree(shown, lambda leaf: "[known after up]" if leaf == UNKNOWN else leaf)
                )
        return {}

    def has_secrets(self) -> bool:
        """Returns whether the state will have values that must be encrypted."""
        inputs = [step.registration.inputs for step in self.steps.values() if step.target]
        kinds = {tree.get("kind") for tree in inputs}
        return "Secret" in kinds or any(map(has_secret, [*inputs, *self.outputs.values()]))

    def record_unchanged(self) -> None:
        """Records new options, outputs and names of resources whose objects do not change."""
        if self._planner.renames:
            self._state.record({"rename": dict(self._planner.renames)})
        if resources := list(self._find_unrecorded()):
            self._state.record(*map(set_line, resources))
            self._state.keep_salt()
        if used_again := [found for found in self.find_leftovers() if self.is_in_use_again(found)]:
            self._state.record(*map(drop_line, used_again))
        self.end_pending()

    def _find_unrecorded(self) -> Iterator[Resource]:
        """Yields unchanged resources whose options or outputs differ from the recorded ones."""
        for step in self.steps.values():
            if step.old is None or not step.target or step.change.op is not Op.SAME:
                continue
            resource = build_unchanged(step.registration, step.urn, step.old)
            resource = with_outputs(self._state, resource, self.outputs.get(step.urn))
            if resource is not step.old:
                yield resource

    def end_pending(self) -> None:
        """Ends the pending operations of resources that are deployed now."""
        pending = self._state.get_current().pending
        urns = {operation["resource"]["urn"] for operation in pending} & self.steps.keys()
        if urns:
            self._state.record(*map(end_line, sorted(urns)))


def answer_step(state: StackState, step: Step) -> Answer:
    """Returns the answer to a registration, from the state and the plan, without applying it."""
    registration, old = step.registration, step.old
    if registration.is_object and old is None and not step.target:
        # Not recorded, and a command with MODEL does not create it: nothing of it is known.
        return Answer(step.urn, failed=True)
    if registration.is_provider:
        return Answer(step.urn, old.id if old else "", build_provider_inputs(registration))
    if not registration.is_object:
        return Answer(step.urn)
    if old is not None and step.change.op is Op.SAME:
        return Answer(step.urn, old.id, build_program_outputs(state.read_outputs(old)))
    if old is not None and step.change.op is Op.UPDATE and step.predicted:
        # The status of the dry run is the one before the update.
        predicted = {key: value for key, value in step.predicted.items() if key != "status"}
        outputs = build_program_outputs(mark_secrets(predicted, registration.inputs))
        return Answer(step.urn, old.id, outputs)
    # A new object: the fields that the server adds are known only after the apply.
    id_ = object_name(step.predicted["metadata"]) if step.predicted else ""
    return Answer(step.urn, id_, mark_secret_inputs(registration, registration.inputs))
