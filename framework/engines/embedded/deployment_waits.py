"""Makes the steps of an apply wait for other Deployments, as `deployment_order.py` finds them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from framework.core.errors import EngineError
from framework.engines.embedded.planner import Step
from framework.engines.urns import parse_urn
from framework.kube.waiting import WaitStoppedError

# A wait for another Deployment fails after this many seconds in which nothing else was in progress.
_IDLE_LIMIT_S = 10.0
_TICK_S = 0.1


class DeploymentWaits:
    """Makes the steps of an apply wait for the Deployments that `find_deployment_waits` names.

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
