"""Writes the Kubernetes objects of an apply, and records every write in the journal.

The order of the journal's lines decides what a crash leaves behind:

    begin creating     before the call: the next command looks for the object in the cluster
    set, end           after the call: the object is recorded. A Deployment is recorded with the
                       error UNFINISHED, so the next command waits for its rollout
    set                at the end: the object is recorded without errors
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from framework.core.changes import Op
from framework.core.errors import EngineError
from framework.engines.embedded.planner import UNFINISHED, Planner, Step
from framework.engines.embedded.progress import ProgressFeed
from framework.engines.embedded.records import (
    build_object,
    build_program_outputs,
    mark_secret_outputs,
    read_object_state,
)
from framework.engines.embedded.registration import Answer
from framework.engines.kept_replicas import KeptReplicas, find_replicas_to_keep
from framework.engines.state.checkpoint import Resource
from framework.engines.state.journal import begin_line, end_line, set_line
from framework.engines.state.stack_state import StackState
from framework.engines.values import reveal
from framework.kube.objects import ObjectState
from framework.kube.provider import KubernetesProvider
from framework.kube.reading import REPLICAS_FIELD
from framework.kube.waiting import RolloutCounts, WaitStoppedError

# For a Deployment without a deadline of its own, and for a deletion.
WAIT_S = 600.0
_TIMEOUT_ANNOTATION = "pulumi.com/timeoutSeconds"


class ObjectWriter:
    """Writes Kubernetes objects, each on the thread of its registration; `stop` ends the waits."""

    def __init__(
        self, state: StackState, planner: Planner, feed: ProgressFeed, stop: threading.Event
    ) -> None:
        self._state, self._planner, self._feed, self._stop = state, planner, feed, stop
        self._kept_replicas = KeptReplicas(state.backend)

    def write(self, step: Step) -> Answer:
        """Creates, updates or replaces an object, and waits until it is ready."""
        self._feed.report(step.change, "started")
        provider = self._planner.connect(step.registration.provider)
        with self._planner.slots:
            made = self._write(step, provider)
        counts: list[RolloutCounts] = []
        made = self._wait(step, provider, made, counts)
        self._state.record(set_line(self._build(step, made)))
        self._feed.report_done(step.change, counts)
        outputs = build_program_outputs(mark_secret_outputs(step.registration, made))
        return Answer(step.urn, made.id, outputs)

    def _write(self, step: Step, provider: KubernetesProvider) -> ObjectState:
        """Writes an object and records it as not ready yet."""
        registration, old = step.registration, step.old
        before = read_object_state(self._state, old) if old is not None else None
        inputs = self._build_inputs(step, provider, before)
        left_behind = []
        if step.adopts:
            self._begin("creating" if old is None else "updating", step, inputs)
            uid = str(step.predicted["metadata"].get("uid", ""))
            made = provider.adopt(step.urn, inputs, registration.ignore_changes, uid)
        elif old is None or before is None:
            self._begin("creating", step, inputs)
            made = provider.create(step.urn, inputs, registration.ignore_changes)
        elif step.change.op is Op.REPLACE:
            made = self._replace(step, provider, before, inputs)
            if not step.delete_first:
                # The old object is recorded as pending deletion; `finish` deletes it at the end.
                # Without this line the new record, which has the same URN, would take its place,
                # and nobody would delete the old object.
                left_behind.append(set_line(old.with_fields(delete=True)))
        else:
            self._begin("updating", step, inputs)
            made = provider.update(step.urn, before, inputs, registration.ignore_changes)
        # In this order, since a crash may lose the last of the lines: an operation that stays
        # pending only makes the next command look for the object once more.
        is_rolling = made.outputs.get("kind") == "Deployment"
        resource = self._build(step, made, [UNFINISHED] if is_rolling else [])
        self._state.record(*left_behind, set_line(resource), end_line(step.urn))
        return made

    def _build_inputs(
        self, step: Step, provider: KubernetesProvider, before: ObjectState | None
    ) -> dict[str, Any]:
        """Builds the inputs of the object to write.

        A Deployment under an autoscaler that is created or replaced gets the replicas that it had:
        the minimum would be too few. Records them before a replacement that deletes first.
        """
        inputs: dict[str, Any] = reveal(step.registration.inputs)
        is_new = step.change.op in (Op.CREATE, Op.REPLACE)
        if not is_new or REPLICAS_FIELD not in step.registration.ignore_changes:
            return inputs
        declared = int(inputs["spec"].get("replicas") or 0)
        live = provider.read(before) if before and step.change.op is Op.REPLACE else None
        replicas = find_replicas_to_keep(declared, live)
        if live is None:
            replicas = max(declared, self._kept_replicas.find(step.change.object, before))
        elif before is not None and step.delete_first:
            self._kept_replicas.keep(before, replicas, step.change.component)
        if not replicas:
            return inputs
        return {**inputs, "spec": {**inputs["spec"], "replicas": replicas}}

    def _replace(
        self, step: Step, provider: KubernetesProvider, before: ObjectState, inputs: dict[str, Any]
    ) -> ObjectState:
        """Creates the new object of a replacement; with `delete_first`, after deleting the old."""
        self._begin("creating", step, inputs)
        if step.delete_first:
            provider.delete(
                before,
                timeout_s=WAIT_S,
                on_blocked=self._feed.report_blockers(step.change),
                stop=self._stop,
            )
        return provider.create(step.urn, inputs)

    def _begin(self, operation: str, step: Step, inputs: Mapping[str, Any]) -> None:
        """Records a pending operation: the inputs and options of the resource, no outputs."""
        id_ = step.old.id if step.old else ""
        wanted = ObjectState(id_, dict(inputs), {})
        resource = build_object(self._state, step.registration, step.urn, step.old, wanted)
        # The CLI records pending operations in this form too.
        raw = {key: value for key, value in resource.raw.items() if key not in ("outputs", "id")}
        self._state.record(begin_line(operation, raw))

    def _wait(
        self,
        step: Step,
        provider: KubernetesProvider,
        made: ObjectState,
        counts: list[RolloutCounts],
    ) -> ObjectState:
        """Waits until an object is ready; adds each state of its rollout to `counts`."""

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
            # Recorded as it is now, with the reason: the next `up` continues this rollout even if
            # no input has changed.
            live = provider.read(made) or made
            self._state.record(set_line(self._build(step, live, [str(exc)])))
            raise

    def _build(self, step: Step, made: ObjectState, errors: Sequence[str] = ()) -> Resource:
        # A replacement gets a new record, with its own time of creation.
        old = step.old if step.change.op is not Op.REPLACE else None
        return build_object(self._state, step.registration, step.urn, old, made, errors)


def _find_timeout(step: Step) -> float:
    """Returns the seconds to wait: customTimeouts, else the provider's annotation, else WAIT_S."""
    timeouts = step.registration.timeouts
    name = "create" if step.old is None else "update"
    annotations = (reveal(step.registration.inputs).get("metadata") or {}).get("annotations") or {}
    return float(timeouts.get(name) or annotations.get(_TIMEOUT_ANNOTATION) or WAIT_S)
