"""Waits for all Pods of the Deployments that the CLI has applied, as the embedded engine does.

The CLI reports a Deployment as done once the minimum of its Pods is available, for example one of
two. From then on a thread waits for the other Pods, while the CLI continues with other objects.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import Self

from framework.core.changes import Change, Failure, Op, Progress
from framework.core.durations import render_duration
from framework.core.errors import FrameworkError
from framework.engines.cli_steps import CliStep, redact_message
from framework.engines.embedded.planner import UNFINISHED
from framework.engines.embedded.progress import ProgressFeed
from framework.kube.objects import ObjectState
from framework.kube.provider import KubernetesProvider
from framework.kube.waiting import RolloutCounts, RolloutError, WaitStoppedError


class RolloutFollower:
    """Passes the CLI's progress on, and waits for each Deployment that the CLI reports as done.

    Used as a context manager around the CLI's run, with `show` as its callback; leaving it waits
    for the Pods. `unfinished` maps the URNs of Deployments whose Pods are not available, or are no
    longer waited for, to the reasons.
    """

    def __init__(
        self, provider: KubernetesProvider, feed: ProgressFeed, steps: Iterable[CliStep]
    ) -> None:
        self._provider, self._feed = provider, feed
        self._steps = {
            step.change.urn: step for step in steps if step.manifest.kind == "Deployment"
        }
        self._stop = threading.Event()
        # One for each: with fewer, some would be waited for only after others, which may be stuck,
        # have reached their deadlines.
        most = max(1, len(self._steps))
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="follow")
        self._waits: dict[str, list[Future[None]]] = {}
        self._cli_waits = _CliWaitFollower(provider, feed, most)
        # Guards all changes of `unfinished`.
        self._lock = threading.Lock()
        self.unfinished: dict[str, str] = {}

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
            self._cli_waits.close()

    def wait(self) -> None:
        """Waits for the Pods of all Deployments that the CLI has reported as done so far."""
        for waits in tuple(self._waits.values()):
            # Each wait begins with those before it.
            waits[-1].result()

    def show(self, progress: Progress) -> None:
        """Passes one event of the CLI on. A Deployment is done only when all its Pods are."""
        urn = progress.change.urn
        step = self._steps.get(urn)
        is_applied = progress.state == "done" and progress.change.op is not Op.DELETE
        if step is not None:
            progress = self._show_cli_wait(step, progress)
        if step is None or not is_applied:
            self._feed.pass_on(progress)
            return
        waits = self._waits.setdefault(urn, [])
        with self._lock:
            # Until its wait ends well it counts as unfinished, whatever ends this command.
            self.unfinished.setdefault(urn, UNFINISHED)
            # One `up` may run the CLI several times, and a later run may update a Deployment again.
            number = len(waits)
            wait = self._pool.submit(self._wait, step, progress, number)
            waits.append(wait)

    @property
    def reasons(self) -> Mapping[str, str]:
        """The reasons why rollouts failed that the CLI itself waited for, by URN."""
        return self._cli_waits.reasons

    def _show_cli_wait(self, step: CliStep, progress: Progress) -> Progress:
        """Follows a Deployment while the CLI waits for it. Returns the event with its reason."""
        urn, waits = progress.change.urn, self._cli_waits
        if progress.state == "started" and progress.change.op is not Op.DELETE:
            waits.start(step, progress.change, step.timeout_s)
        elif progress.state in ("done", "failed"):
            waits.end(urn)
        if progress.state == "failed" and urn in waits.reasons:
            return replace(progress, message=waits.reasons[urn])
        return progress

    def _wait(self, step: CliStep, progress: Progress, number: int) -> None:
        """Waits for a Deployment, after the `number` waits for earlier updates of it."""
        urn, manifest = progress.change.urn, step.manifest
        for before in self._waits[urn][:number]:
            before.result()
        counts = RolloutCounts()

        def on_counts(current: RolloutCounts) -> None:
            nonlocal counts
            counts = current
            self._feed.report_counts(progress.change, "rolling", current)

        try:
            state = self._provider.read(ObjectState(manifest.id, manifest.build_inputs(), {}))
            if state is None:
                raise RolloutError(
                    manifest.id, "did not roll out", "it was deleted in the meantime"
                )
            self._provider.wait(
                state, timeout_s=step.timeout_s, on_counts=on_counts, stop=self._stop
            )
        except WaitStoppedError:
            return
        except FrameworkError as exc:
            self._fail(step, progress.change, exc)
            return
        with self._lock:
            is_last = number + 1 == len(self._waits[urn])
            # A failure stays one, even if a later run of the CLI repairs it: it was reported.
            if not is_last or self.unfinished[urn] != UNFINISHED:
                return
            del self.unfinished[urn]
        self._feed.report_counts(progress.change, "done", counts)

    def _fail(self, step: CliStep, applied: Change, exc: FrameworkError) -> None:
        # The messages of containers may quote the values of their variables.
        reason = redact_message(str(exc), step.manifest)
        with self._lock:
            is_known = self.unfinished[applied.urn] != UNFINISHED
            self.unfinished[applied.urn] = reason
        if not is_known:
            # The CLI lists only fields that differ from what is recorded, not from the live object.
            change = replace(applied, fields=step.change.fields)
            self._feed.report_failure(
                Failure(change, reason, rollout=isinstance(exc, RolloutError))
            )


class _CliWaitFollower:
    """Follows the Deployments that the CLI works on, while it waits for them itself.

    The CLI reports nothing during its wait, and waits until its timeout even if the rollout has
    missed its deadline long before. So a thread shows the Pods and what they lack, as the embedded
    engine does. `reasons` has the reasons of failures by URN, because the CLI repeats the messages
    of every Pod.
    """

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

        # The Deployment as it is recorded; without outputs for a new one.
        outputs = dict(step.recorded.outputs) if step.recorded is not None else {}
        known = ObjectState(step.manifest.id, step.manifest.build_inputs(), outputs)
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
