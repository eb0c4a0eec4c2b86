"""Applies the steps of a preview, while the program runs a second time.

Each registration is answered when its step is done. A resource that would now be replaced, and was
not in the preview, fails: the user has not confirmed it. A failure stops the resources that need
the failed one; all others continue.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from framework.core.changes import Change, Failure, Op, Preview, Result
from framework.core.errors import EngineError, FrameworkError, StateError, StateFileError
from framework.core.redaction import redact_text
from framework.engines.base import order_changes
from framework.engines.deployment_order import (
    KEPT_UNFINISHED,
    describe_kept_pods,
    find_obsolete_autoscalers,
)
from framework.engines.embedded.deletion import Deletions, find_needed
from framework.engines.embedded.deployment_waits import DeploymentWaits
from framework.engines.embedded.object_writer import ObjectWriter
from framework.engines.embedded.planner import Planner, Step
from framework.engines.embedded.preview import PreviewRun, answer_step
from framework.engines.embedded.progress import Messages, ProgressFeed
from framework.engines.embedded.records import (
    build_component,
    build_provider,
    build_unchanged,
    with_outputs,
)
from framework.engines.embedded.registration import Answer, Registration
from framework.engines.recorded import build_deletion
from framework.engines.state.checkpoint import Resource
from framework.engines.state.journal import end_line, set_line
from framework.engines.state.stack_state import StackState
from framework.engines.urns import build_failed_urn
from framework.engines.values import collect_message_secrets
from framework.kube.api_error import ApiError
from framework.kube.waiting import RolloutError, WaitStoppedError


class ApplyRun:
    """Handles the program's registrations in an apply; then `finish` returns the result.

    Every finished step is on disk before the program is answered. Leftovers are the recorded
    resources that the program no longer has; `finish` deletes them.
    """

    def __init__(
        self, state: StackState, planner: Planner, previewed: PreviewRun, feed: ProgressFeed
    ) -> None:
        self._state, self._planner, self._feed = state, planner, feed
        self._previewed = previewed
        self._by_name = {_build_key(s.registration): s for s in previewed.steps.values()}
        self.stop = threading.Event()
        self._writer = ObjectWriter(state, planner, feed, self.stop)
        self._waits = DeploymentWaits(previewed.waits, self.stop)
        # Guards all that follows.
        self._lock = threading.Lock()
        self._failed: dict[str, Failure] = {}
        self._changes: dict[str, Change] = {}
        self._recorded: dict[str, Resource] = {}
        self._deleted_first: tuple[Change, ...] = ()
        self.messages = Messages()
        self.registered: list[Registration] = []

    def delete_autoscalers(self, preview: Preview) -> None:
        """Deletes the autoscalers that must be gone before the program writes their Deployments."""
        self._deleted_first = find_obsolete_autoscalers(preview.changes)
        urns = {change.urn for change in self._deleted_first}
        self._delete(r for r in self._previewed.find_leftovers() if r.urn in urns)

    def _delete(self, resources: Iterable[Resource]) -> None:
        Deletions(self._state, self._planner, self._feed, self.stop).run(resources)

    # Called by the program, from many threads

    def register(self, registration: Registration) -> Answer:
        """Carries out a registration. Answers once it is done, or has `failed`."""
        previewed = self._by_name.get(_build_key(registration))
        with self._lock:
            self.registered.append(registration)
        # Around everything, so that a step that fails or is skipped also ends the waits for it.
        with self._waits.track(previewed.urn if previewed else ""):
            return self._register(registration, previewed)

    def register_outputs(self, urn: str, outputs: Mapping[str, Any]) -> None:
        """Records the outputs of a component or the Stack, where they differ."""
        with self._lock:
            resource = self._recorded.get(urn)
        if resource is None:
            return
        outputs = self._planner.complete_outputs(urn, outputs)
        try:
            changed = with_outputs(self._state, resource, outputs)
            if changed is not resource:
                self._state.record(set_line(changed))
        except StateError as exc:
            # Raised from here, the program would fail with an error of gRPC instead.
            change = Change(urn, resource.type, resource.name, Op.UPDATE)
            self._feed.report_failure(Failure(change, f"its outputs are not recorded: {exc}"))

    def refuse(self, reason: str) -> None:
        """Reports a failure. Refusals of the preview stop `up` before this run, so it is new."""
        change = Change("", "", "program", Op.SAME)
        self._feed.report_failure(Failure(change, f"not in the preview: {reason}"))

    def log(self, severity: str, message: str) -> None:
        """Keeps a message of the program for the result."""
        self.messages.add(severity, message)

    def _register(self, registration: Registration, previewed: Step | None) -> Answer:
        step = replace(previewed, registration=registration) if previewed else None
        if step is not None:
            if cause := self._find_failed(registration.needs):
                failed = f"{cause.change.kind} {cause.change.name}"
                return self._skip(step, cause, f"it needs {failed}, which failed")
            if not step.target:
                return answer_step(self._state, step)
        try:
            if self.stop.is_set():
                raise WaitStoppedError(registration.name)
            step = self._plan_known(previewed, registration)
            if cause := self._find_failed(self._waits.wait(step)):
                return self._skip(step, cause, describe_kept_pods(cause.change))
            with self._lock:
                self._changes[step.urn] = step.change
            return self._carry_out(step)
        except FrameworkError as exc:
            return self._fail(step, registration, exc)
        except Exception as exc:
            return self._fail(step, registration, EngineError(f"{type(exc).__name__}: {exc}"))

    def _find_failed(self, urns: Iterable[str]) -> Failure | None:
        with self._lock:
            return next((self._failed[urn] for urn in urns if urn in self._failed), None)

    def _plan_known(self, previewed: Step | None, registration: Registration) -> Step:
        """Returns the previewed step; plans it again where its inputs were not known then."""
        if previewed is None:
            step = self._planner.plan(registration)
        # The program runs twice, in the preview and in the apply. Inputs differ where the preview
        # had unknown values, or where the program is not deterministic.
        elif previewed.known and previewed.registration.inputs == registration.inputs:
            step = replace(previewed, registration=registration)
        else:
            step = self._planner.plan_again(previewed, registration)
        if not step.known:
            raise EngineError("needs a value that is still unknown; see what failed before it")
        confirmed = previewed is not None and previewed.change.op is Op.REPLACE
        # For example, an input is the output of another resource and known only now, and its field
        # cannot change in place. To replace a Deployment is an outage, so it needs a yes.
        if step.change.op is Op.REPLACE and not confirmed:
            raise EngineError("would be replaced, which the preview could not know; run again")
        return step

    # Steps

    def _carry_out(self, step: Step) -> Answer:
        if step.problem:
            raise EngineError(str(step.problem))
        registration, old = step.registration, step.old
        is_same = old is not None and step.change.op is Op.SAME
        if registration.is_object and not is_same:
            return self._writer.write(step)
        answer = answer_step(self._state, step)
        if registration.is_provider:
            answer = replace(answer, id=old.id if old else str(uuid.uuid4()))
        # A component always has Op.SAME or Op.CREATE: it has no inputs that could change.
        if old is not None and (is_same or not registration.is_provider):
            resource = build_unchanged(registration, step.urn, old)
        elif registration.is_provider:
            resource = build_provider(self._state, registration, step.urn, old, answer.id)
        else:
            resource = build_component(registration, step.urn)
        self._record(step, resource)
        return answer

    def _record(self, step: Step, resource: Resource) -> None:
        with self._lock:
            self._recorded[step.urn] = resource
        if resource is not step.old:
            self._state.record(set_line(resource))

    # Failures

    def _fail(self, step: Step | None, registration: Registration, exc: FrameworkError) -> Answer:
        change = step.change if step else None
        change = change or Change("", registration.type, registration.name, Op.CREATE)
        reason = redact_text(str(exc), collect_message_secrets(registration.inputs))
        failure = Failure(change, reason, rollout=isinstance(exc, RolloutError))
        urn = change.urn or build_failed_urn(registration.type, registration.name)
        with self._lock:
            self._failed[urn] = failure
        if isinstance(exc, ApiError) and exc.status < 500:
            # The server refused: nothing is pending. After any other error the write may have
            # happened, and the operation stays pending: the next command looks for the object. So
            # it is after a lost connection, a proxy's 502 or 504, and a 500 with a timeout of etcd.
            # A state that cannot be written is reported when it is saved at the end.
            with suppress(StateFileError):
                self._state.record(end_line(urn))
        if not self.stop.is_set():
            self._feed.report_failure(failure)
        return Answer(urn, failed=True)

    def _skip(self, step: Step, cause: Failure, reason: str) -> Answer:
        with self._lock:
            self._failed[step.urn] = cause
        if step.change.op is Op.SAME:
            return Answer(step.urn, failed=True)
        self._feed.report(step.change, "skipped", reason)
        # A skipped Deployment of another model counts as a failure, since that model was to roll
        # out. Within the model that failed, one failure is enough.
        if step.change.kind == "Deployment" and step.change.component != cause.change.component:
            self._feed.add_failure(
                Failure(step.change, f"skipped: {reason}", rollout=cause.rollout)
            )
        return Answer(step.urn, failed=True)

    # Called by the engine

    def wait_idle(self, seconds: float) -> None:
        """Waits for the steps in progress. Call it after `stop` is set."""
        self._waits.wait_idle(seconds)

    def finish(self, preview: Preview) -> Result:
        """Deletes the leftovers, except those of components that failed. Returns the result."""
        components = self._planner.components
        leftovers = self._find_leftovers()
        kept = self._find_kept(leftovers)
        for resource in leftovers:
            if resource.key in kept and resource.key not in self._previewed.needed:
                deletion = build_deletion(resource, components)
                self._feed.report(deletion, "skipped", kept[resource.key])
        to_delete = [resource for resource in leftovers if resource.key not in kept]
        self._delete(to_delete)
        # Deletions are computed again: a failure may have made some impossible. All other changes
        # are those of the preview, unless their steps were planned again since.
        changes = {change.urn: change for change in preview.changes if change.op is not Op.DELETE}
        changes.update(self._changes)
        # The deletion of an object that this run replaced is a part of that replacement.
        replaced = {change.urn for change in changes.values() if change.op is Op.REPLACE}
        deletions = [
            build_deletion(resource, components)
            for resource in to_delete
            if not (resource.pending_delete and resource.urn in replaced)
            and not self._previewed.is_in_use_again(resource)
        ]
        return Result(
            order_changes([*changes.values(), *self._deleted_first, *deletions]),
            self._feed.failures,
            self._state.read_stack_outputs(),
            self._feed.seconds,
        )

    def _find_leftovers(self) -> list[Resource]:
        # What the program registers only in this run was a leftover in the preview.
        applied = self._changes.keys() | self._planner.renames.keys()
        # An autoscaler that could not be deleted first has failed: it is not tried a second time.
        applied |= {change.urn for change in self._deleted_first}
        return [
            resource
            for resource in self._previewed.find_leftovers()
            if resource.pending_delete or resource.urn not in applied
        ]

    def _find_kept(self, leftovers: Sequence[Resource]) -> dict[str, str]:
        """Maps the key of each leftover that must not be deleted to the reason."""
        components = self._planner.components
        failed = {components.find_nearest(urn) for urn in self._failed} - {""}
        # The old Pods of a failed component may still be the ones that serve, and they need the
        # ConfigMap that they were started with.
        kept = {
            resource.key: KEPT_UNFINISHED
            for resource in leftovers
            if components.find_nearest(resource.urn) in failed
        }
        to_delete = [resource for resource in leftovers if resource.key not in kept]
        needed = find_needed(self._state.get_current().resources, to_delete)
        # What stays according to the preview does so even if the resource that needs it has failed:
        # nobody has confirmed its deletion, and nothing has checked what would go with it.
        for key, user in {**self._previewed.needed, **needed}.items():
            kept.setdefault(key, f"kept: {user.kind} {user.name} still needs it")
        return kept


def _build_key(registration: Registration) -> tuple[str, str, str]:
    return registration.type, registration.name, registration.parent
