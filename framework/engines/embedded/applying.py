"""The apply: the program runs again, and every registration is answered once it is done.

Kept apart from the preview, whose steps it carries out: what was confirmed is what happens, or the
resource fails. Every finished step is on disk before the program hears of it.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from framework.core.changes import Change, Failure, Op, Preview, Result
from framework.core.errors import EngineError, FrameworkError
from framework.core.redaction import redact_text
from framework.engines.embedded.checkpoint import Resource
from framework.engines.embedded.deletion import Deletions, find_needed
from framework.engines.embedded.feed import ProgressFeed
from framework.engines.embedded.messages import Messages
from framework.engines.embedded.monitor import Answer
from framework.engines.embedded.planner import Planner, Step
from framework.engines.embedded.previewing import (
    PreviewRun,
    answer_step,
    build_deletion,
    recorded_outputs,
    with_outputs,
)
from framework.engines.embedded.records import build_component, build_kept, build_provider
from framework.engines.embedded.registration import Registration
from framework.engines.embedded.state import StackState, end_line, set_line
from framework.engines.embedded.values import secret_texts
from framework.engines.embedded.writing import ObjectWriter
from framework.engines.ordering import order_changes
from framework.engines.urns import failed_urn, parse_urn
from framework.kube.api_error import ApiError
from framework.kube.waiting import RolloutError, WaitStoppedError

# So long nothing else is under way: what is waited for will not come.
_NEVER_S = 10.0


class ApplyRun:
    """Handles one program run that applies. `finish` deletes what is left and gives the result."""

    def __init__(
        self, state: StackState, planner: Planner, previewed: PreviewRun, feed: ProgressFeed
    ) -> None:
        self._state, self._planner, self._feed = state, planner, feed
        self._previewed = previewed
        self._by_position = {_position(s.registration): s for s in previewed.steps.values()}
        self.stop = threading.Event()
        self._writer = ObjectWriter(state, planner, feed, self.stop)
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._running = 0
        self._waiting = 0
        self._ended: set[str] = set()
        self._failed: dict[str, Failure] = {}
        self._changes: dict[str, Change] = {}
        self._entries: dict[str, Resource] = {}
        self.messages = Messages()
        self.registered: list[Registration] = []

    # --- the program's side

    def register(self, registration: Registration) -> Answer:
        """Carry one registration out; the answer comes once it is done, or has `failed`."""
        with self._lock:
            self._running += 1
            self.registered.append(registration)
        try:
            return self._register(registration)
        finally:
            with self._idle:
                self._running -= 1
                if step := self._by_position.get(_position(registration)):
                    self._ended.add(step.urn)
                self._idle.notify_all()

    def register_outputs(self, urn: str, outputs: Mapping[str, Any]) -> None:
        """Record a component's outputs, where they differ from the recorded ones."""
        with self._lock:
            entry = self._entries.get(urn)
        if entry is None:
            return
        changed = with_outputs(self._state, entry, outputs)
        if changed is not entry:
            self._state.record(set_line(changed))

    def refuse(self, fault: str) -> None:
        """Count as a failure what the preview, which refuses before all else, did not meet."""
        self._program_fault(fault)

    def log(self, severity: str, message: str) -> None:
        """Keep a message of the program's for the result."""
        self.messages.add(severity, message)

    def _program_fault(self, fault: str) -> None:
        change = Change("", "", "program", Op.SAME)
        self._feed.failed(Failure(change, f"not in the preview: {fault}"))

    def _register(self, registration: Registration) -> Answer:
        step = self._previewed_step(registration)
        with self._lock:
            failed_need = next((u for u in registration.needs if u in self._failed), None)
        if step is not None and failed_need is not None:
            return self._skip(step, failed_need, "needs")
        if step is not None and not step.target:
            return answer_step(self._state, step)
        try:
            if self.stop.is_set():
                raise WaitStoppedError(registration.name)
            step = self._current_step(step, registration)
            if failed_first := self._wait_for_capacity(step):
                return self._skip(step, failed_first, "keeps its Pods because it waits for")
            with self._lock:
                self._changes[step.urn] = step.change
            return self._carry_out(step)
        except FrameworkError as exc:
            return self._fail(step, registration, exc)
        except Exception as exc:
            return self._fail(step, registration, EngineError(f"{type(exc).__name__}: {exc}"))

    def _wait_for_capacity(self, step: Step) -> str:
        """Waits for the Deployments that must be available before this one shrinks.

        Returns the URN of one that failed, "" once all are there. WaitStoppedError on `stop`.
        """
        first = self._previewed.waits.get(step.urn, ())
        idle_since = None
        with self._idle:
            self._waiting += 1
            try:
                while missing := [urn for urn in first if urn not in self._ended]:
                    if self.stop.is_set():
                        raise WaitStoppedError(step.registration.name)
                    # The program never registers what it meets an error before.
                    idle = self._running == self._waiting
                    idle_since = (idle_since or time.monotonic()) if idle else None
                    if idle_since and time.monotonic() - idle_since > _NEVER_S:
                        name = parse_urn(missing[0]).name
                        raise EngineError(f"keeps its Pods, because {name} was not deployed")
                    self._idle.wait(0.1)
            finally:
                self._waiting -= 1
            return next((urn for urn in first if urn in self._failed), "")

    def _previewed_step(self, registration: Registration) -> Step | None:
        step = self._by_position.get(_position(registration))
        return replace(step, registration=registration) if step else None

    def _current_step(self, previewed: Step | None, registration: Registration) -> Step:
        """The previewed step, planned anew where its inputs were not known then."""
        before = self._by_position.get(_position(registration))
        if previewed is None or before is None:
            step = self._planner.plan(registration)
        elif before.known and before.registration.inputs == registration.inputs:
            return previewed
        else:
            step = self._planner.plan_again(previewed, registration)
        if not step.known:
            raise EngineError("needs a value that nothing has given it; see what failed before it")
        confirmed = before is not None and before.change.op is Op.REPLACE
        if step.change.op is Op.REPLACE and not confirmed:
            raise EngineError("would be replaced, which the preview could not know; run again")
        return step

    # --- steps

    def _carry_out(self, step: Step) -> Answer:
        registration = step.registration
        if step.refusal:
            raise EngineError(step.refusal)
        if registration.is_object and (step.change.op is not Op.SAME or step.old is None):
            return self._writer.write(step)
        if registration.is_object and step.old is not None:
            self._record(step, build_kept(registration, step.urn, step.old))
            return answer_step(self._state, step)
        if registration.is_provider:
            id_ = step.old.id if step.old else str(uuid.uuid4())
            entry = build_provider(self._state, registration, step.urn, step.old, id_)
            if step.old and step.change.op is Op.SAME:
                entry = build_kept(registration, step.urn, step.old)
            self._record(step, entry)
            return replace(answer_step(self._state, step), id=id_)
        entry = (
            build_kept(registration, step.urn, step.old)
            if step.old
            else build_component(registration, step.urn)
        )
        self._record(step, entry)
        return Answer(step.urn)

    def _record(self, step: Step, entry: Resource) -> None:
        with self._lock:
            self._entries[step.urn] = entry
        if entry is not step.old:
            self._state.record(set_line(entry))

    # --- failures

    def _fail(self, step: Step | None, registration: Registration, exc: FrameworkError) -> Answer:
        change = step.change if step else _unplanned(registration)
        reason = redact_text(str(exc), secret_texts(registration.inputs))
        failure = Failure(change, reason, rollout=isinstance(exc, RolloutError))
        urn = change.urn or failed_urn(registration.type, registration.name)
        with self._lock:
            self._failed[urn] = failure
        if isinstance(exc, ApiError):
            # The server said no: nothing is under way.
            self._state.record(end_line(urn))
        if not self.stop.is_set():
            self._feed.failed(failure)
        return Answer(urn, failed=True)

    def _skip(self, step: Step, failed_need: str, relation: str) -> Answer:
        with self._lock:
            cause = self._failed[failed_need]
            self._failed[step.urn] = cause
        if step.change.op is Op.SAME:
            return Answer(step.urn, failed=True)
        cause_name = f"{cause.change.kind} {cause.change.name}"
        why = f"skipped: it {relation} {cause_name}, which failed"
        self._feed.skipped(step.change, why)
        lane = step.change.component != cause.change.component
        if lane and step.change.kind == "Deployment":
            self._feed.note(Failure(step.change, why, rollout=cause.rollout))
        return Answer(step.urn, failed=True)

    # --- the engine's side

    def wait_idle(self, seconds: float) -> None:
        """Give running steps a moment, once `stop` is set."""
        end = time.monotonic() + seconds
        with self._idle:
            while self._running and time.monotonic() < end:
                self._idle.wait(0.1)

    def finish(self, preview: Preview) -> Result:
        """Delete what the program no longer has, save of components that failed."""
        components = self._planner.components
        failed = {components.nearest(urn) for urn in self._failed} - {""}
        leftovers = self._leftovers()
        # Its old Pods may still be the ones that serve, and need what they were made with.
        kept = {
            entry.key: "kept: its component did not finish"
            for entry in leftovers
            if components.nearest(entry.urn) in failed
        }
        going = [entry for entry in leftovers if entry.key not in kept]
        for key, user in find_needed(self._state.current().resources, going).items():
            kept[key] = f"kept: {user.kind} {user.name} still needs it"
        going = [entry for entry in going if entry.key not in kept]
        for entry in leftovers:
            if entry.key in kept:
                self._feed.skipped(build_deletion(entry, components), kept[entry.key])
        Deletions(self._state, self._planner, self._feed, self.stop).run(
            going, lambda entry: build_deletion(entry, components)
        )
        changes = {change.urn: change for change in preview.changes if change.op is not Op.DELETE}
        changes.update(self._changes)
        # What this run's replacements left behind belongs to the replacement.
        replaced = {change.urn for change in changes.values() if change.op is Op.REPLACE}
        deleted = [
            build_deletion(entry, components)
            for entry in going
            if not (entry.pending_delete and entry.urn in replaced)
            and not self._previewed.is_wanted_again(entry)
        ]
        return Result(
            order_changes([*changes.values(), *deleted]),
            self._feed.failures,
            recorded_outputs(self._state),
            self._feed.seconds,
        )

    def _leftovers(self) -> list[Resource]:
        kept = self._changes.keys() | self._planner.renames.keys()
        return [
            entry
            for entry in self._previewed.leftovers()
            if entry.pending_delete or entry.urn not in kept
        ]


def _position(registration: Registration) -> tuple[str, str, str]:
    return registration.type, registration.name, registration.parent


def _unplanned(registration: Registration) -> Change:
    return Change("", registration.type, registration.name, Op.CREATE)
