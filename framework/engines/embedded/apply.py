"""Applies the steps of a preview, while the program runs a second time.

Each registration is answered when its step is done. A resource that would now be replaced, and was
not in the preview, fails: the user has not confirmed it.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from framework.core.changes import Change, Failure, Op, Preview, Result
from framework.core.errors import EngineError, FrameworkError
from framework.core.redaction import redact_text
from framework.engines.base import order_changes
from framework.engines.embedded.deletion import Deletions, find_needed
from framework.engines.embedded.planner import UNFINISHED, Planner, Step
from framework.engines.embedded.preview import PreviewRun, answer_step, build_deletion
from framework.engines.embedded.progress import Messages, ProgressFeed
from framework.engines.embedded.records import (
    build_component,
    build_object,
    build_program_outputs,
    build_provider,
    build_unchanged,
    mark_secret_outputs,
    read_object_state,
    with_outputs,
)
from framework.engines.embedded.registration import Answer, Registration
from framework.engines.state.checkpoint import Resource
from framework.engines.state.journal import begin_line, end_line, set_line
from framework.engines.state.stack_state import StackState
from framework.engines.urns import build_failed_urn, parse_urn
from framework.engines.values import collect_secret_texts, reveal
from framework.kube.api_error import ApiError
from framework.kube.objects import ObjectState
from framework.kube.provider import KubernetesProvider
from framework.kube.waiting import RolloutCounts, RolloutError, WaitStoppedError

# A wait for another Deployment fails after this many seconds in which nothing else was in progress.
_IDLE_LIMIT_S = 10.0
_WAIT_S = 600.0
_TIMEOUT_ANNOTATION = "pulumi.com/timeoutSeconds"


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
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        # Registrations that are being handled, and those of them that wait for capacity.
        self._running = 0
        self._waiting = 0
        self._ended: set[str] = set()
        self._failed: dict[str, Failure] = {}
        self._changes: dict[str, Change] = {}
        self._recorded: dict[str, Resource] = {}
        self.messages = Messages()
        self.registered: list[Registration] = []

    # Called by the program, from many threads

    def register(self, registration: Registration) -> Answer:
        """Carries out a registration. Answers once it is done, or has `failed`."""
        with self._lock:
            self._running += 1
            self.registered.append(registration)
        try:
            return self._register(registration)
        finally:
            with self._changed:
                self._running -= 1
                if step := self._by_name.get(_build_key(registration)):
                    self._ended.add(step.urn)
                self._changed.notify_all()

    def register_outputs(self, urn: str, outputs: Mapping[str, Any]) -> None:
        """Records the outputs of a component or the Stack, where they differ."""
        with self._lock:
            resource = self._recorded.get(urn)
        if resource is None:
            return
        changed = with_outputs(self._state, resource, outputs)
        if changed is not resource:
            self._state.record(set_line(changed))

    def refuse(self, reason: str) -> None:
        """Reports a failure. Refusals of the preview stop `up` before this run, so it is new."""
        change = Change("", "", "program", Op.SAME)
        self._feed.report_failure(Failure(change, f"not in the preview: {reason}"))

    def log(self, severity: str, message: str) -> None:
        """Keeps a message of the program for the result."""
        self.messages.add(severity, message)

    def _register(self, registration: Registration) -> Answer:
        previewed = self._by_name.get(_build_key(registration))
        step = replace(previewed, registration=registration) if previewed else None
        with self._lock:
            failed_need = next((urn for urn in registration.needs if urn in self._failed), None)
        if step is not None and failed_need is not None:
            return self._skip(step, failed_need, "needs")
        if step is not None and not step.target:
            return answer_step(self._state, step)
        try:
            if self.stop.is_set():
                raise WaitStoppedError(registration.name)
            step = self._plan_known(previewed, registration)
            if failed_before := self._wait_for_capacity(step):
                return self._skip(step, failed_before, "keeps its Pods because it waits for")
            with self._lock:
                self._changes[step.urn] = step.change
            return self._carry_out(step)
        except FrameworkError as exc:
            return self._fail(step, registration, exc)
        except Exception as exc:
            return self._fail(step, registration, EngineError(f"{type(exc).__name__}: {exc}"))

    def _plan_known(self, previewed: Step | None, registration: Registration) -> Step:
        """Returns the previewed step; plans it again where its inputs were not known then."""
        if previewed is None:
            step = self._planner.plan(registration)
        elif previewed.known and previewed.registration.inputs == registration.inputs:
            return replace(previewed, registration=registration)
        else:
            step = self._planner.plan_again(previewed, registration)
        if not step.known:
            raise EngineError("needs a value that is still unknown; see what failed before it")
        confirmed = previewed is not None and previewed.change.op is Op.REPLACE
        if step.change.op is Op.REPLACE and not confirmed:
            raise EngineError("would be replaced, which the preview could not know; run again")
        return step

    def _wait_for_capacity(self, step: Step) -> str:
        """Waits for the Deployments that must be available before this one shrinks.

        Returns the URN of one that failed; "" when all are available. WaitStoppedError on `stop`.
        """
        before = self._previewed.waits.get(step.urn, ())
        idle_since = None
        with self._changed:
            self._waiting += 1
            try:
                while missing := [urn for urn in before if urn not in self._ended]:
                    if self.stop.is_set():
                        raise WaitStoppedError(step.registration.name)
                    # A program that has failed does not register its remaining resources. If only
                    # waits like this one are in progress, the Deployment will never come.
                    idle = self._running == self._waiting
                    idle_since = (idle_since or time.monotonic()) if idle else None
                    if idle_since and time.monotonic() - idle_since > _IDLE_LIMIT_S:
                        name = parse_urn(missing[0]).name
                        raise EngineError(f"keeps its Pods, because {name} was not deployed")
                    self._changed.wait(0.1)
            finally:
                self._waiting -= 1
            return next((urn for urn in before if urn in self._failed), "")

    # Steps

    def _carry_out(self, step: Step) -> Answer:
        registration, old = step.registration, step.old
        if step.refusal:
            raise EngineError(step.refusal)
        if registration.is_object:
            if old is None or step.change.op is not Op.SAME:
                return self._writer.write(step)
            self._record(step, build_unchanged(registration, step.urn, old))
            return answer_step(self._state, step)
        if registration.is_provider:
            id_ = old.id if old else str(uuid.uuid4())
            if old is not None and step.change.op is Op.SAME:
                self._record(step, build_unchanged(registration, step.urn, old))
            else:
                self._record(step, build_provider(self._state, registration, step.urn, old, id_))
            return replace(answer_step(self._state, step), id=id_)
        if old is not None:
            self._record(step, build_unchanged(registration, step.urn, old))
        else:
            self._record(step, build_component(registration, step.urn))
        return Answer(step.urn)

    def _record(self, step: Step, resource: Resource) -> None:
        with self._lock:
            self._recorded[step.urn] = resource
        if resource is not step.old:
            self._state.record(set_line(resource))

    # Failures

    def _fail(self, step: Step | None, registration: Registration, exc: FrameworkError) -> Answer:
        change = step.change if step else None
        change = change or Change("", registration.type, registration.name, Op.CREATE)
        reason = redact_text(str(exc), collect_secret_texts(registration.inputs))
        failure = Failure(change, reason, rollout=isinstance(exc, RolloutError))
        urn = change.urn or build_failed_urn(registration.type, registration.name)
        with self._lock:
            self._failed[urn] = failure
        if isinstance(exc, ApiError):
            # The server refused: nothing is pending. After any other error, such as a lost
            # connection, the write may have happened, and the operation stays pending.
            self._state.record(end_line(urn))
        if not self.stop.is_set():
            self._feed.report_failure(failure)
        return Answer(urn, failed=True)

    def _skip(self, step: Step, failed_need: str, relation: str) -> Answer:
        with self._lock:
            cause = self._failed[failed_need]
            self._failed[step.urn] = cause
        if step.change.op is Op.SAME:
            return Answer(step.urn, failed=True)
        reason = f"skipped: it {relation} {cause.change.kind} {cause.change.name}, which failed"
        self._feed.report(step.change, "skipped", reason)
        # A skipped Deployment of another model counts as a failure, since that model was to roll
        # out. Within the model that failed, one failure is enough.
        if step.change.kind == "Deployment" and step.change.component != cause.change.component:
            self._feed.add_failure(Failure(step.change, reason, rollout=cause.rollout))
        return Answer(step.urn, failed=True)

    # Called by the engine

    def wait_idle(self, seconds: float) -> None:
        """Waits for the steps in progress. Call it after `stop` is set."""
        end = time.monotonic() + seconds
        with self._changed:
            while self._running and time.monotonic() < end:
                self._changed.wait(0.1)

    def finish(self, preview: Preview) -> Result:
        """Deletes the leftovers, except those of components that failed. Returns the result."""
        components = self._planner.components
        leftovers = self._find_leftovers()
        kept = self._find_kept(leftovers)
        for resource in leftovers:
            if resource.key in kept:
                deletion = build_deletion(resource, components)
                self._feed.report(deletion, "skipped", kept[resource.key])
        to_delete = [resource for resource in leftovers if resource.key not in kept]
        Deletions(self._state, self._planner, self._feed, self.stop).run(
            to_delete, lambda resource: build_deletion(resource, components)
        )
        changes = {change.urn: change for change in preview.changes if change.op is not Op.DELETE}
        changes.update(self._changes)
        # The deletion of an object that this run replaced is a part of that replacement.
        replaced = {change.urn for change in changes.values() if change.op is Op.REPLACE}
        deletions = [
            build_deletion(resource, components)
            for resource in to_delete
            if not (resource.pending_delete and resource.urn in replaced)
            and not self._previewed.is_wanted_again(resource)
        ]
        return Result(
            order_changes([*changes.values(), *deletions]),
            self._feed.failures,
            self._state.read_stack_outputs(),
            self._feed.seconds,
        )

    def _find_leftovers(self) -> list[Resource]:
        applied = self._changes.keys() | self._planner.renames.keys()
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
            resource.key: "kept: its component did not finish"
            for resource in leftovers
            if components.find_nearest(resource.urn) in failed
        }
        to_delete = [resource for resource in leftovers if resource.key not in kept]
        for key, user in find_needed(self._state.get_current().resources, to_delete).items():
            kept[key] = f"kept: {user.kind} {user.name} still needs it"
        return kept


def _build_key(registration: Registration) -> tuple[str, str, str]:
    return registration.type, registration.name, registration.parent


class ObjectWriter:
    """Writes Kubernetes objects, each on the thread of its registration; `stop` ends the waits.

    The order of the journal's lines decides what a crash leaves behind. Before the call, a line
    makes the operation pending, so the next command looks for the object. After the call, a line
    records the object, with an init error while a rollout is in progress, so the next command waits
    for the rollout. At the end, a line records the object without errors.
    """

    def __init__(
        self, state: StackState, planner: Planner, feed: ProgressFeed, stop: threading.Event
    ) -> None:
        self._state, self._planner, self._feed, self._stop = state, planner, feed, stop

    def write(self, step: Step) -> Answer:
        """Creates, updates or replaces an object, and waits until it is ready."""
        self._feed.report(step.change, "started")
        provider = self._planner.connect(step.registration.provider)
        with self._planner.slots:
            made = self._write(step, provider)
        counts: list[RolloutCounts] = []
        made = self._wait(step, provider, made, counts)
        self._record(step, made)
        if counts:
            self._feed.report_counts(step.change, "done", counts[-1])
        else:
            self._feed.report(step.change, "done")
        outputs = build_program_outputs(mark_secret_outputs(step.registration, made))
        return Answer(step.urn, made.id, outputs)

    def _write(self, step: Step, provider: KubernetesProvider) -> ObjectState:
        registration, old = step.registration, step.old
        inputs = reveal(registration.inputs)
        before = read_object_state(self._state, old) if old else None
        replaces = before is not None and step.change.op is Op.REPLACE
        if before is not None and replaces and "spec.replicas" in registration.ignore_changes:
            inputs = _keep_replicas(inputs, provider.read(before))
        operation = "creating" if before is None or replaces else "updating"
        self._state.record(begin_line(operation, self._build_pending(step, inputs)))
        if before is not None and replaces and step.delete_first:
            provider.delete(
                before,
                timeout_s=_WAIT_S,
                on_held=self._feed.report_holders(step.change),
                stop=self._stop,
            )
        if before is None or replaces:
            made = provider.create(step.urn, inputs)
        else:
            made = provider.update(step.urn, before, inputs, registration.ignore_changes)
        lines = []
        if old is not None and replaces and not step.delete_first:
            lines.append(set_line(old.with_fields(delete=True)))
        is_rolling = made.outputs.get("kind") == "Deployment"
        resource = self._build(step, made, [UNFINISHED] if is_rolling else [])
        self._state.record(*lines, set_line(resource), end_line(step.urn))
        return made

    def _build_pending(self, step: Step, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns the resource of a pending operation: its inputs and options, no outputs."""
        id_ = step.old.id if step.old else ""
        wanted = ObjectState(id_, dict(inputs), {})
        resource = build_object(self._state, step.registration, step.urn, step.old, wanted)
        return {key: value for key, value in resource.raw.items() if key not in ("outputs", "id")}

    def _wait(
        self,
        step: Step,
        provider: KubernetesProvider,
        made: ObjectState,
        counts: list[RolloutCounts],
    ) -> ObjectState:
        def on_counts(current: RolloutCounts) -> None:
            counts.append(current)
            self._feed.report_counts(step.change, "rolling", current)

        try:
            return provider.wait(
                made, timeout_s=_find_timeout(step), on_counts=on_counts, stop=self._stop
            )
        except WaitStoppedError:
            raise
        except EngineError as exc:
            live = provider.read(made) or made
            self._record(step, live, [str(exc)])
            raise

    def _record(self, step: Step, made: ObjectState, errors: Sequence[str] = ()) -> None:
        self._state.record(set_line(self._build(step, made, errors)))

    def _build(self, step: Step, made: ObjectState, errors: Sequence[str]) -> Resource:
        old = step.old if step.change.op is not Op.REPLACE else None
        return build_object(self._state, step.registration, step.urn, old, made, errors)


def _keep_replicas(inputs: dict[str, Any], live: ObjectState | None) -> dict[str, Any]:
    """Returns the inputs with the replicas of the object that they replace, if those are more.

    An autoscaler may have scaled to 8 Pods, all of them serving, while the inputs have 2.
    """
    replicas = int(((live.outputs if live else {}).get("spec") or {}).get("replicas") or 0)
    if replicas <= int(inputs["spec"].get("replicas") or 0):
        return inputs
    return {**inputs, "spec": {**inputs["spec"], "replicas": replicas}}


def _find_timeout(step: Step) -> float:
    """Returns the seconds to wait: customTimeouts, else the provider's annotation, else _WAIT_S."""
    timeouts = step.registration.timeouts
    name = "create" if step.old is None else "update"
    annotations = (reveal(step.registration.inputs).get("metadata") or {}).get("annotations") or {}
    return float(timeouts.get(name) or annotations.get(_TIMEOUT_ANNOTATION) or _WAIT_S)
