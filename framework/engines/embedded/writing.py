"""Carries out the step of one Kubernetes object: write, record, wait, record.

Kept apart from the run because here the order of the journal's lines decides what a crash leaves
behind: intent before the call, the object right after it, the end of its rollout last.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from framework.core.changes import Op
from framework.core.errors import EngineError
from framework.engines.embedded.checkpoint import Resource
from framework.engines.embedded.feed import ProgressFeed
from framework.engines.embedded.monitor import Answer
from framework.engines.embedded.planner import UNFINISHED, Planner, Step
from framework.engines.embedded.records import (
    answer_outputs,
    build_object,
    object_state,
    secret_outputs,
)
from framework.engines.embedded.state import StackState, begin_line, end_line, set_line
from framework.engines.embedded.values import reveal
from framework.kube.objects import ObjectState
from framework.kube.waiting import RolloutCounts, WaitStoppedError

_WAIT_S = 600.0
_TIMEOUT_ANNOTATION = "pulumi.com/timeoutSeconds"
_REPLICAS = "spec.replicas"


class ObjectWriter:
    """Writes objects, each on the thread that asks; `stop` ends the waits."""

    def __init__(
        self, state: StackState, planner: Planner, feed: ProgressFeed, stop: threading.Event
    ) -> None:
        self._state, self._planner, self._feed, self._stop = state, planner, feed, stop

    def write(self, step: Step) -> Answer:
        """Create, update or replace one object and wait until it does its work."""
        self._feed.started(step.change)
        provider = self._planner.provider(step.registration.provider)
        with self._planner.slots:
            made = self._apply(step, provider)
        counts: list[RolloutCounts] = []
        made = self._wait(step, provider, made, counts)
        self._record(step, made)
        self._feed.done(step.change, counts[-1] if counts else None)
        outputs = secret_outputs(step.registration, made)
        shown = answer_outputs(outputs)
        return Answer(step.urn, made.id, shown)

    def _apply(self, step: Step, provider: Any) -> ObjectState:
        registration, old = step.registration, step.old
        inputs = reveal(registration.inputs)
        before = object_state(self._state, old) if old else None
        creates = before is None or step.change.op is Op.REPLACE
        if creates and before is not None and _REPLICAS in registration.ignore_changes:
            inputs = _with_replicas(inputs, provider.read(before))
        self._state.record(
            begin_line("creating" if creates else "updating", self._intent(step, inputs))
        )
        if creates and before is not None and step.delete_first:
            provider.delete(
                before, timeout_s=_WAIT_S, on_held=self._feed.held(step.change), stop=self._stop
            )
        if creates or before is None:
            made: ObjectState = provider.create(step.urn, inputs)
        else:
            made = provider.update(step.urn, before, inputs, registration.ignore_changes)
        lines = []
        if creates and old is not None and not step.delete_first:
            lines.append(set_line(old.with_fields(delete=True)))
        entry = self._entry(step, made, [UNFINISHED] if _rolls(made) else [])
        # From here on the entry itself says that its rollout is not over: nothing is pending.
        self._state.record(*lines, set_line(entry), end_line(step.urn))
        return made

    def _intent(self, step: Step, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """The resource of a pending operation: what is asked, nothing of what came of it."""
        entry = build_object(
            self._state,
            step.registration,
            step.urn,
            step.old,
            ObjectState(step.old.id if step.old else "", dict(inputs), {}),
        )
        return {key: value for key, value in entry.raw.items() if key not in ("outputs", "id")}

    def _wait(
        self, step: Step, provider: Any, made: ObjectState, counts: list[RolloutCounts]
    ) -> ObjectState:
        try:
            waited: ObjectState = provider.wait(
                made,
                timeout_s=_timeout(step),
                on_counts=self._feed.counts(step.change, counts.append),
                stop=self._stop,
            )
        except WaitStoppedError:
            raise
        except EngineError as exc:
            live = provider.read(made) or made
            self._record(step, live, [str(exc)])
            raise
        return waited

    def _record(self, step: Step, made: ObjectState, errors: Sequence[str] = ()) -> None:
        self._state.record(set_line(self._entry(step, made, errors)))

    def _entry(self, step: Step, made: ObjectState, errors: Sequence[str]) -> Resource:
        old = step.old if step.change.op is not Op.REPLACE else None
        return build_object(self._state, step.registration, step.urn, old, made, errors)


def _with_replicas(inputs: dict[str, Any], live: ObjectState | None) -> dict[str, Any]:
    """Returns the inputs with the replicas of the object they replace, where those are more.

    An autoscaler may have made more Pods than a new object starts with, and they all serve.
    """
    now = int(((live.outputs if live else {}).get("spec") or {}).get("replicas") or 0)
    if now <= int(inputs["spec"].get("replicas") or 0):
        return inputs
    return {**inputs, "spec": {**inputs["spec"], "replicas": now}}


def _rolls(made: ObjectState) -> bool:
    return made.outputs.get("kind") == "Deployment"


def _timeout(step: Step) -> float:
    timeouts = step.registration.timeouts
    name = "create" if step.old is None else "update"
    annotations = (reveal(step.registration.inputs).get("metadata") or {}).get("annotations") or {}
    return float(timeouts.get(name) or annotations.get(_TIMEOUT_ANNOTATION) or _WAIT_S)
