"""Collects what happens during a run on many threads: progress, failures, messages."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from framework.core.changes import SHOWN_SEVERITIES, Change, Failure, Progress
from framework.core.redaction import redact_text
from framework.engines.base import OnProgress
from framework.kube.waiting import RolloutCounts


class ProgressFeed:
    """Reports progress, one event at a time; collects failures and the seconds of components."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._spans: dict[str, tuple[float, float]] = {}
        self._failures: list[Failure] = []

    def report(self, change: Change, state: str, message: str = "") -> None:
        """Reports a step; `state` and `message` are those of `Progress`."""
        self.pass_on(Progress(change, state, message=message))

    def report_counts(self, change: Change, state: str, counts: RolloutCounts) -> None:
        """Reports the counts of a Deployment's Pods."""
        self.pass_on(
            Progress(
                change,
                state,
                counts.updated,
                counts.ready,
                counts.available,
                counts.desired,
                counts.message,
            )
        )

    def report_done(self, change: Change, counts: Sequence[RolloutCounts]) -> None:
        """Reports a step that is done, with the last counts of its Pods if it has any."""
        if counts:
            self.report_counts(change, "done", counts[-1])
        else:
            self.report(change, "done")

    def report_blockers(self, change: Change) -> Callable[[str], None]:
        """Returns a function that reports what a deletion waits for, such as a finalizer."""
        return lambda blockers: self.report(change, "waiting", blockers)

    def report_failure(self, failure: Failure) -> None:
        """Reports a step that failed, and adds it to the failures."""
        self.add_failure(failure)
        self.report(failure.change, "failed", failure.reason)

    def add_failure(self, failure: Failure) -> None:
        """Adds a failure without reporting it."""
        with self._lock:
            self._failures.append(failure)

    def pass_on(self, progress: Progress) -> None:
        """Reports an event that is already built."""
        # Under the lock: `on_progress` writes to a terminal and may assume one thread.
        with self._lock:
            now = time.monotonic()
            component = progress.change.component
            if component:
                first, _ = self._spans.get(component, (now, now))
                self._spans[component] = (first, now)
            self._on_progress(progress)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The failures so far, by URN."""
        with self._lock:
            return tuple(sorted(self._failures, key=lambda failure: failure.change.urn))

    @property
    def seconds(self) -> dict[str, float]:
        """The time of each component from its first event to its last."""
        with self._lock:
            return {name: last - first for name, (first, last) in sorted(self._spans.items())}


class Messages:
    """Collects the warnings and errors that the program logs, each once.

    Safe for use from any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._messages: set[str] = set()

    def add(self, severity: str, text: str) -> None:
        """Adds a message; ignores those of severity debug and info."""
        if severity in SHOWN_SEVERITIES:
            with self._lock:
                self._messages.add(f"{severity}: {text}")

    def __bool__(self) -> bool:
        return bool(self._messages)

    def redacted(self, secrets: frozenset[str]) -> tuple[str, ...]:
        """Returns the messages with `secrets` redacted; sorted, since threads log in any order."""
        with self._lock:
            return tuple(sorted({redact_text(text, secrets) for text in self._messages}))
