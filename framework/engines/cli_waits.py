"""Follows the rollout of a Deployment while the CLI itself waits for it.

The CLI reports nothing during its wait, and waits until its timeout even if the rollout has missed
its deadline long before. So a thread shows the Pods and what they lack, as the embedded engine
does. It also keeps the reason of a failed rollout, because the CLI repeats the messages of every
Pod.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from framework.core.changes import Change
from framework.core.durations import render_duration
from framework.core.errors import FrameworkError
from framework.engines.cli_steps import CliStep, redact_message
from framework.engines.embedded.progress import ProgressFeed
from framework.kube.objects import ObjectState
from framework.kube.provider import KubernetesProvider
from framework.kube.waiting import RolloutCounts, RolloutError


class CliWaits:
    """Follows the Deployments that the CLI works on. `reasons` are those of failures, by URN."""

    def __init__(self, provider: KubernetesProvider, feed: ProgressFeed, most: int) -> None:
        """`most` is the largest number of Deployments at a time."""
        self._provider, self._feed = provider, feed
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="cli-wait")
        self._ended: dict[str, threading.Event] = {}
        self.reasons: dict[str, str] = {}

    def start(self, step: CliStep, change: Change, timeout_s: float) -> None:
        """Follows a Deployment that the CLI begins to write; it waits for `timeout_s` at most."""
        self.end(change.urn)
        ended = self._ended[change.urn] = threading.Event()
        self.reasons.pop(change.urn, None)
        self._pool.submit(self._follow, step, change, timeout_s, ended)

    def end(self, urn: str) -> None:
        """Ends following a Deployment that the CLI has reported as done or failed."""
        if (ended := self._ended.pop(urn, None)) is not None:
            ended.set()

    def close(self) -> None:
        """Ends following all of them."""
        for urn in tuple(self._ended):
            self.end(urn)
        self._pool.shutdown()

    def _follow(
        self, step: CliStep, change: Change, timeout_s: float, ended: threading.Event
    ) -> None:
        counts = RolloutCounts()

        def on_counts(current: RolloutCounts) -> None:
            nonlocal counts
            counts = current
            # The CLI reports the end itself, and that event must stay the last one.
            if not ended.is_set():
                self._feed.report_counts(change, "rolling", current)

        known = _build_known(step)
        try:
            while (written := self._provider.wait_for_write(known, ended)) is not None:
                self._provider.wait(written, timeout_s=timeout_s, on_counts=on_counts, stop=ended)
                # The rollout is complete, but the CLI is not done: this was an earlier change by
                # somebody else. So wait for the write of the CLI.
                known = written
        except RolloutError as exc:
            self.reasons[change.urn] = redact_message(str(exc), step.manifest)
            late = f"missed its deadline, and pulumi waits up to {render_duration(timeout_s)}"
            on_counts(
                replace(counts, message=f"{late}: {redact_message(exc.reason, step.manifest)}")
            )
        except FrameworkError:
            # This only shows progress: the CLI reports whatever else is wrong.
            return


def _build_known(step: CliStep) -> ObjectState:
    """Returns the Deployment as it is recorded; without outputs for a new one."""
    inputs = step.manifest.build_inputs()
    outputs = dict(step.recorded.outputs) if step.recorded is not None else {}
    return ObjectState(step.manifest.id, inputs, outputs)
