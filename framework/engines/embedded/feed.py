"""Progress events, one at a time, and what they add up to.

Kept apart because steps run on many threads while screens are written for one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from framework.core.changes import Change, Failure, Progress
from framework.engines.base import OnProgress
from framework.kube.waiting import RolloutCounts


class ProgressFeed:
    """Tells a screen what happens; collects failures and the wall time of each component."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._tell = on_progress
        self._lock = threading.Lock()
        self._spans: dict[str, tuple[float, float]] = {}
        self._failures: list[Failure] = []

    def started(self, change: Change) -> None:
        """A step is about to ask the cluster."""
        self._emit(Progress(change, "started"))

    def done(self, change: Change, counts: RolloutCounts | None = None) -> None:
        """A step has ended well; `counts` are the last of its rollout."""
        self._emit(_progress(change, "done", counts))

    def skipped(self, change: Change, why: str) -> None:
        """A step was left out; no failure of its own."""
        self._emit(Progress(change, "skipped", message=why))

    def failed(self, failure: Failure) -> None:
        """A step failed: shown at once, and counted for the result."""
        with self._lock:
            self._failures.append(failure)
        self._emit(Progress(failure.change, "failed", message=failure.reason))

    def note(self, failure: Failure) -> None:
        """Count a failure of which the screen was told otherwise."""
        with self._lock:
            self._failures.append(failure)

    def counts(
        self, change: Change, remember: Callable[[RolloutCounts], None]
    ) -> Callable[[RolloutCounts], None]:
        """What a rollout calls with its counts."""

        def tell(counts: RolloutCounts) -> None:
            remember(counts)
            self._emit(_progress(change, "rolling", counts))

        return tell

    def held(self, change: Change) -> Callable[[str], None]:
        """What a deletion calls with what holds it up."""
        return lambda holders: self._emit(Progress(change, "waiting", message=holders))

    def _emit(self, progress: Progress) -> None:
        with self._lock:
            now = time.monotonic()
            component = progress.change.component
            if component:
                first, _ = self._spans.get(component, (now, now))
                self._spans[component] = (first, now)
            self._tell(progress)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What has failed so far, by URN."""
        with self._lock:
            return tuple(sorted(self._failures, key=lambda failure: failure.change.urn))

    @property
    def seconds(self) -> dict[str, float]:
        """The wall time of each component, from its first event to its last."""
        with self._lock:
            return {name: last - first for name, (first, last) in sorted(self._spans.items())}


def _progress(change: Change, state: str, counts: RolloutCounts | None) -> Progress:
    if counts is None:
        return Progress(change, state)
    return Progress(
        change,
        state,
        counts.updated,
        counts.ready,
        counts.available,
        counts.desired,
        counts.message,
    )
