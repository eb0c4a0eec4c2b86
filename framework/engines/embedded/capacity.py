"""The order of the Deployments of one component, so that Pods are removed only after others serve.

A canary may take its Pods from the stable track: it grows while the stable track shrinks. If both
were applied at once, Pods would be removed before others serve.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from framework.core.changes import Op
from framework.core.errors import EngineError
from framework.engines.embedded.planner import Step
from framework.engines.urns import parse_urn
from framework.kube.waiting import WaitStoppedError

# A wait for another Deployment fails after this many seconds in which nothing else was in progress.
_IDLE_LIMIT_S = 10.0
_TICK_S = 0.1


def find_capacity_waits(steps: Iterable[Step]) -> dict[str, tuple[str, ...]]:
    """Maps each Deployment that shrinks to the Deployments that must be available first, by URN.

    A Deployment that shrinks waits for every other changed Deployment of its component, and keeps
    its Pods if one of them fails. Deletions come after all of this. A Deployment that depends on
    the shrinking one, in any number of steps, is not waited for: each would wait for the other.
    For example, with `canary.mode: within` and 10 replicas, of which the canary takes 2:

        ranker          10 -> 8 Pods     waits for ranker-canary
        ranker-canary    0 -> 2 Pods     waits for nothing
    """
    by_urn = {step.urn: step for step in steps}
    by_component: dict[str, list[Step]] = {}
    for step in by_urn.values():
        change = step.change
        if change.kind == "Deployment" and change.component and change.op is not Op.SAME:
            by_component.setdefault(change.component, []).append(step)
    waits: dict[str, tuple[str, ...]] = {}
    for deployments in by_component.values():
        # A new image with the same number of replicas counts as growing: its rollout may fail as
        # well.
        growing = [step for step in deployments if not _shrinks(step)]
        for step in deployments:
            before = sorted(other.urn for other in growing if not _needs(other, step.urn, by_urn))
            if _shrinks(step) and before:
                waits[step.urn] = tuple(before)
    return waits


def _shrinks(step: Step) -> bool:
    return step.change.op is Op.UPDATE and any(
        change.path == "spec.replicas"
        and isinstance(change.old, int)
        and isinstance(change.new, int)
        and change.new < change.old
        for change in step.change.fields
    )


def _needs(step: Step, urn: str, steps: Mapping[str, Step]) -> bool:
    """Returns True if a step needs the resource `urn`, directly or through other resources."""
    unvisited, seen = list(step.registration.needs), {step.urn}
    while unvisited:
        needed = unvisited.pop()
        if needed == urn:
            return True
        if needed not in seen and needed in steps:
            unvisited.extend(steps[needed].registration.needs)
        seen.add(needed)
    return False


class CapacityWaits:
    """Makes the steps of an apply wait for the Deployments that `find_capacity_waits` names.

    `stop` ends the waits.
    """

    def __init__(self, waits: Mapping[str, tuple[str, ...]], stop: threading.Event) -> None:
        self._waits, self._stop = waits, stop
        self._changed = threading.Condition()
        # Registrations that are being handled, and those of them that wait for a Deployment.
        self._running = 0
        self._waiting = 0
        self._ended: set[str] = set()

    @contextmanager
    def track(self, urn: str) -> Iterator[None]:
        """Counts a registration as running; at its end, the step of `urn` ("" for none) has ended.

        A step that failed has ended as well.
        """
        with self._changed:
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                # The waits of steps that were not in the preview are tracked under "", which
                # nothing waits for.
                self._ended.add(urn)
                self._changed.notify_all()

    def wait(self, step: Step) -> tuple[str, ...]:
        """Waits until the Deployments that `step` waits for have ended; returns their URNs.

        EngineError if one of them will not come. WaitStoppedError after `stop`.
        """
        before = self._waits.get(step.urn, ())
        idle_since = None
        with self._changed:
            self._waiting += 1
            try:
                while missing := [urn for urn in before if urn not in self._ended]:
                    if self._stop.is_set():
                        raise WaitStoppedError(step.registration.name)
                    # A program that has failed does not register its remaining resources. If only
                    # waits like this one are in progress, the Deployment will never come.
                    idle = self._running == self._waiting
                    idle_since = (idle_since or time.monotonic()) if idle else None
                    if idle_since and time.monotonic() - idle_since > _IDLE_LIMIT_S:
                        name = parse_urn(missing[0]).name
                        raise EngineError(f"keeps its Pods, because {name} was not deployed")
                    self._changed.wait(_TICK_S)
            finally:
                self._waiting -= 1
        return before

    def wait_idle(self, seconds: float) -> None:
        """Waits for the steps in progress. Call it after `stop` is set."""
        end = time.monotonic() + seconds
        with self._changed:
            while self._running and time.monotonic() < end:
                self._changed.wait(_TICK_S)
