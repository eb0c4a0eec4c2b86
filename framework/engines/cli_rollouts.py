"""Waits for all Pods of the Deployments that the CLI has applied, as the embedded engine does.

The CLI reports a Deployment as done once the minimum of its Pods is available, for example one of
two. From then on a thread waits for the other Pods, while the CLI continues with other objects.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import Self

from framework.core.changes import Failure, Op, Progress
from framework.core.errors import FrameworkError
from framework.core.redaction import redact_text
from framework.engines.clusters import CALLS_AT_ONCE
from framework.engines.embedded.progress import ProgressFeed
from framework.engines.live_plan import LiveStep
from framework.engines.values import collect_message_secrets
from framework.kube.objects import ObjectState
from framework.kube.provider import KubernetesProvider
from framework.kube.waiting import RolloutCounts, RolloutError, WaitStoppedError

# For a Deployment without a deadline of its own, as in the embedded engine.
_WAIT_S = 600.0


class RolloutFollower:
    """Passes the CLI's progress on, and waits for each Deployment that the CLI reports as done.

    Used as a context manager around the CLI's run, with `show` as its callback; leaving it waits
    for the Pods. `failed` maps the URNs of Deployments whose Pods did not become available to the
    reasons.
    """

    def __init__(
        self, provider: KubernetesProvider | None, feed: ProgressFeed, steps: Iterable[LiveStep]
    ) -> None:
        """Without a provider the progress is only passed on."""
        self._provider, self._feed = provider, feed
        self._steps = {step.change.urn: step for step in steps}
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="follow")
        self._waits: dict[str, Future[None]] = {}
        self.failed: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._stop.set()
        try:
            self.wait()
        finally:
            # A Ctrl-C may end `wait` as well, and `shutdown` waits for the threads. The rollouts
            # themselves continue in the cluster.
            self._stop.set()
            self._pool.shutdown()

    def wait(self) -> None:
        """Waits for the Pods of all Deployments that the CLI has reported as done so far."""
        for wait in tuple(self._waits.values()):
            wait.result()

    def show(self, progress: Progress) -> None:
        """Passes one event of the CLI on. A Deployment is done only when all its Pods are."""
        step = self._steps.get(progress.change.urn)
        is_applied = progress.state == "done" and progress.change.op is not Op.DELETE
        is_deployment = step is not None and step.manifest.kind == "Deployment"
        if self._provider is None or step is None or not is_deployment or not is_applied:
            self._feed.pass_on(progress)
            return
        # One `up` may run the CLI several times, and each run reports the same Deployments.
        if progress.change.urn not in self._waits:
            wait = self._pool.submit(self._wait, self._provider, step, progress)
            self._waits[progress.change.urn] = wait

    def _wait(self, provider: KubernetesProvider, step: LiveStep, progress: Progress) -> None:
        counts = RolloutCounts()

        def on_counts(current: RolloutCounts) -> None:
            nonlocal counts
            counts = current
            self._feed.report_counts(progress.change, "rolling", current)

        manifest = step.manifest
        try:
            inputs = manifest.build_inputs()
            state = provider.read(ObjectState(manifest.id, inputs, {}))
            # None if somebody has deleted the Deployment since; the next preview shows that.
            if state is not None:
                timeout = float(manifest.timeout_seconds or _WAIT_S)
                provider.wait(state, timeout_s=timeout, on_counts=on_counts, stop=self._stop)
            self._feed.report_counts(progress.change, "done", counts)
        except WaitStoppedError:
            return
        except FrameworkError as exc:
            # The messages of containers may quote the values of their variables.
            reason = redact_text(str(exc), collect_message_secrets(manifest.object))
            is_rollout = isinstance(exc, RolloutError)
            # The CLI lists only fields that differ from what is recorded, not from the live object.
            change = replace(progress.change, fields=step.change.fields)
            self.failed[change.urn] = reason
            self._feed.report_failure(Failure(change, reason, rollout=is_rollout))
