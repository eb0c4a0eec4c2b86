"""Waits for a Deployment to roll out, for an object to be gone and for a Namespace to be active.

The criteria of a rollout are those of the Deployment controller, read from the object's status
(pkg/controller/deployment/util: DeploymentComplete, DeploymentProgressing, DeploymentTimedOut).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from queue import Empty
from typing import Any

from framework.core.durations import render_duration
from framework.core.errors import ClusterError, EngineError
from framework.core.field_paths import FieldPath
from framework.kube.api_error import ApiError
from framework.kube.client import KubeClient
from framework.kube.managed_fields import owner_of
from framework.kube.objects import Object, list_conditions, object_name
from framework.kube.reasons import NO_FAILURE, find_deletion_blockers, find_rollout_reason
from framework.kube.watching import Queue, SharedWatch, WatchEvent

DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
# The API server's default of progressDeadlineSeconds.
DEFAULT_DEADLINE_S = 600
# The controller reports an exceeded deadline up to a second late. Its report takes precedence over
# the time measured here, so wait for it this much longer.
CONTROLLER_LAG_S = 2.0

# The longest wait for one event, after which `stop` is checked.
TICK_S = 0.25
# The reason is looked up after this long without progress, and again after the same time.
STUCK_S = 5.0
# Loading a large model takes minutes. A rollout for which nothing reports a failure counts as stuck
# only after this long without progress.
SLOW_S = 120.0
# The object is read after this long without an event: a watch may be open and deliver nothing.
SILENT_S = 3.0
# The same if the object cannot be watched, or the server does not answer.
READ_S = 1.0
# Each read that finds nothing new doubles the time to the next one, up to this.
MAX_SILENT_S = 15.0
# The wait fails when the server has not answered for this long.
NO_ANSWER_S = 20.0
# What delays a deletion is reported after this long, and repeated after a minute.
BLOCKED_S, BLOCKED_AGAIN_S = 5.0, 60.0
POLL_FIRST_S, POLL_LAST_S = 0.05, 1.0


class RolloutError(EngineError):
    """A Deployment did not roll out. `symptom` is what was seen, `reason` its cause."""

    def __init__(self, name: str, symptom: str, reason: str) -> None:
        self.name, self.symptom, self.reason = name, symptom, reason
        super().__init__(f"Deployment {name} {symptom}: {reason}")


class WaitStoppedError(EngineError):
    """The wait was stopped; the rollout or deletion itself continues."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name}: no longer waited for; run the same command again to continue to wait"
        )


@dataclass(frozen=True)
class RolloutCounts:
    """The progress of a rollout in Pods; `message` is the reason if it is stuck."""

    updated: int = 0
    ready: int = 0
    available: int = 0
    desired: int = 0
    message: str = ""


def rollout_counts(deployment: Mapping[str, Any]) -> RolloutCounts:
    """Returns the counts of a Deployment. `updated` is 0 while its status is outdated."""
    status = deployment.get("status") or {}
    return RolloutCounts(
        updated=status.get("updatedReplicas", 0) if is_observed(deployment) else 0,
        ready=status.get("readyReplicas", 0),
        available=status.get("availableReplicas", 0),
        desired=_desired(deployment),
    )


def is_observed(deployment: Mapping[str, Any]) -> bool:
    """Returns True where the status is of the Deployment's current generation."""
    status = deployment.get("status") or {}
    return bool(status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0))


def is_complete(deployment: Mapping[str, Any]) -> bool:
    """Returns True if all Pods have the newest template and are available, and no old one is
    left."""
    status = deployment.get("status") or {}
    # `replicas` counts old Pods as well: equal to `updatedReplicas` it means that no old Pod is
    # left.
    names = ("updatedReplicas", "replicas", "availableReplicas")
    desired = _desired(deployment)
    return is_observed(deployment) and all(status.get(name, 0) == desired for name in names)


def deadline_exceeded_at(deployment: Mapping[str, Any]) -> str:
    """Returns the time at which the controller reported an exceeded deadline, "" for none.

    The condition stays until there is progress again, even if the template changes. So a condition
    from before an update proves nothing about the update: compare the times.
    """
    for condition in list_conditions(deployment):
        if condition["type"] == "Progressing" and condition.get("reason") == DEADLINE_EXCEEDED:
            return str(condition.get("lastUpdateTime") or condition.get("lastTransitionTime"))
    return ""


class ProgressDeadline:
    """Decides when a Deployment has made no progress for its progressDeadlineSeconds.

    For a rollout the Deployment controller decides, and reports its verdict as a condition. For a
    scale-up it reports nothing, because its syncRolloutStatus skips a completed rollout. So the
    time is measured here as well.
    """

    def __init__(self, applied: Mapping[str, Any]) -> None:
        """`applied` is the Deployment as written. A verdict in its status is an old one."""
        self._old_verdict = deadline_exceeded_at(applied)
        self._progress: tuple[object, ...] = ()
        self._progress_at = time.monotonic()

    def is_exceeded(self, live: Mapping[str, Any]) -> bool:
        """Returns True when the deadline has passed without progress. Call it every few seconds."""
        progress = _progress(live)
        if progress != self._progress:
            self._progress, self._progress_at = progress, time.monotonic()
        verdict = deadline_exceeded_at(live)
        # A second failure of the same rollout would have another time, so equal means old.
        if verdict and verdict != self._old_verdict and is_observed(live):
            return True
        # For example, a scale-up from 2 to 8 Pods on nodes that have room for 5: no condition
        # ever reports it.
        allowed = live["spec"].get("progressDeadlineSeconds", DEFAULT_DEADLINE_S)
        return bool(time.monotonic() - self._progress_at > allowed + CONTROLLER_LAG_S)


def _progress(deployment: Mapping[str, Any]) -> tuple[object, ...]:
    """Returns the values that change while a rollout progresses, as DeploymentProgressing does."""
    status = deployment.get("status") or {}
    names = ("observedGeneration", "replicas", "updatedReplicas", "readyReplicas")
    counts = [status.get(name, 0) for name in (*names, "availableReplicas")]
    times = [
        c.get("lastUpdateTime") for c in list_conditions(deployment) if c["type"] == "Progressing"
    ]
    return (deployment["metadata"].get("generation"), *counts, *times)


def _desired(deployment: Mapping[str, Any]) -> int:
    return int((deployment.get("spec") or {}).get("replicas", 1))


class RolloutWait:
    """One wait for one Deployment, fed by the watch that all waits in its Namespace share."""

    def __init__(
        self,
        client: KubeClient,
        applied: Object,
        timeout_s: float,
        on_counts: Callable[[RolloutCounts], None],
        stop: threading.Event,
        *,
        may_pause: bool = False,
    ) -> None:
        """`applied` is the Deployment as our apply returned it. With `may_pause` the program wants
        the Deployment to be paused, so the wait ends when it is."""
        self._client, self._applied, self._stop = client, applied, stop
        self._name = object_name(applied["metadata"])
        self._timeout_s, self._on_counts, self._may_pause = timeout_s, on_counts, may_pause
        self._live: Object | None = None
        self._counts: RolloutCounts | None = None
        self._deadline = ProgressDeadline(applied)
        self._first_pause_s = self._pause_s = SILENT_S
        self._changed_at = self._reported_at = time.monotonic()
        self._heard_at = self._read_at = self._changed_at

    def run(self, watch: SharedWatch) -> Object:
        """Returns the Deployment once it has rolled out, never older than what was applied.

        Raises RolloutError, WaitStoppedError, and ClusterError when it cannot be read.
        """
        with watch.subscribed(self._applied["metadata"]["name"]) as queue:
            for live in self._follow_versions(queue):
                if self._is_done(live):
                    return self._read_newest(live)
        raise self._build_error(f"did not roll out within {render_duration(self._timeout_s)}")

    def _follow_versions(self, queue: Queue) -> Iterator[Object]:
        """Yields each newer version of the Deployment until the timeout, from events or reads."""
        end = time.monotonic() + self._timeout_s
        while (left := end - time.monotonic()) > 0:
            if self._stop.is_set() or self._client.closed:
                raise WaitStoppedError(f"Deployment {self._name}")
            try:
                event = queue.get(timeout=min(TICK_S, left))
            except Empty:
                live = self._read() if self._is_silent() else None
            else:
                live = self._handle_event(event)
            if live is not None and self._is_newer(live):
                self._heard_at = time.monotonic()
                self._pause_s = self._first_pause_s
                self._live = live
                yield live
            self._check_progress()

    def _handle_event(self, event: WatchEvent) -> Object | None:
        """Returns the object after an event of the watch; None if there is nothing new to check."""
        if isinstance(event, ClusterError):
            # The user may not watch, or the watch cannot be opened again. Reading may still work.
            self._first_pause_s = self._pause_s = READ_S
            return None
        if event is None or event["metadata"]["uid"] != self._applied["metadata"]["uid"]:
            # The Deployment was deleted, or the event is about an older object that it replaced. A
            # read shows which of the two.
            return self._read()
        return event

    def _is_silent(self) -> bool:
        # After a read as well, so that a server which does not answer gets no call every quarter of
        # a second.
        last = max(self._heard_at, self._read_at)
        return time.monotonic() - last > self._pause_s

    def _read(self) -> Object | None:
        """Returns the object as the server has it; None while the server does not answer."""
        metadata = self._applied["metadata"]
        self._read_at = time.monotonic()
        self._pause_s = min(2 * self._pause_s, MAX_SILENT_S)
        try:
            live = self._client.get(
                self._applied["apiVersion"], "Deployment", metadata["name"], metadata["namespace"]
            )
        except ClusterError as exc:
            if self._client.closed:
                raise WaitStoppedError(f"Deployment {self._name}") from exc
            if _is_forbidden(exc) or time.monotonic() - self._heard_at > NO_ANSWER_S:
                raise
            self._pause_s = READ_S
            return None
        self._heard_at = time.monotonic()
        if live is None or live["metadata"]["uid"] != metadata["uid"]:
            raise RolloutError(self._name, "did not roll out", "it was deleted in the meantime")
        return live

    def _is_newer(self, live: Object) -> bool:
        # The shared watch may still deliver the object as it was before our apply, whose complete
        # status would end the wait at once; or as it was before it was last read.
        known = self._live or self._applied
        before, now = known["metadata"], live["metadata"]
        if self._live and now["resourceVersion"] == before["resourceVersion"]:
            return False
        # The generation counts changes of `spec` only. So it cannot tell two versions of the status
        # apart, and a change of labels alone does not raise it: the resourceVersion decides between
        # those.
        return bool(now["generation"] >= before["generation"]) and not is_older(live, known)

    def _is_done(self, live: Object) -> bool:
        counts = rollout_counts(live)
        if self._counts is None or counts != replace(self._counts, message=""):
            self._changed_at = time.monotonic()
            self._report(counts)
        if is_complete(live):
            return True
        if live["spec"].get("paused") and is_observed(live):
            if self._may_pause:
                return True
            raise self._build_paused_error(live)
        return False

    def _check_progress(self) -> None:
        if self._live is None:
            return
        if self._deadline.is_exceeded(self._live):
            raise self._build_error("made no progress within progressDeadlineSeconds")
        if time.monotonic() - self._reported_at > STUCK_S:
            reason = self._find_reason(self._live)
            is_slow = time.monotonic() - self._changed_at > SLOW_S
            if NO_FAILURE not in reason or is_slow:
                self._report(replace(rollout_counts(self._live), message=reason))
            else:
                self._reported_at = time.monotonic()

    def _read_newest(self, live: Object) -> Object:
        # Without comparable versions `live` may be older than what was applied, so read it.
        versions = (
            self._applied["metadata"]["resourceVersion"],
            live["metadata"]["resourceVersion"],
        )
        return live if all(map(_is_comparable, versions)) else self._read() or live

    def _report(self, counts: RolloutCounts) -> None:
        self._counts, self._reported_at = counts, time.monotonic()
        self._on_counts(counts)

    def _build_paused_error(self, live: Object) -> RolloutError:
        owner = owner_of(live, FieldPath(("spec", "paused")))
        name, namespace = live["metadata"]["name"], live["metadata"]["namespace"]
        return RolloutError(
            self._name,
            f"is paused by {owner['manager'] if owner else 'an unknown manager'}",
            "none of its Pods are replaced; run the same command again, which resumes it, or "
            f"`kubectl rollout resume deployment/{name} --namespace {namespace}`",
        )

    def _build_error(self, symptom: str) -> RolloutError:
        return RolloutError(self._name, symptom, self._find_reason(self._live or self._applied))

    def _find_reason(self, live: Object) -> str:
        try:
            return find_rollout_reason(self._client, live)
        except ClusterError as exc:
            return f"the reason could not be read ({exc})"


def is_older(item: Object, other: Object) -> bool:
    """Returns True where `item` is an earlier version of an object than `other`.

    Kubernetes 1.35 documents that resourceVersions of one object are comparable integers, and they
    are etcd revisions in earlier versions as well. Returns False where one of them is not an
    integer: a wait for a newer version could then last forever.
    """
    versions = [obj["metadata"].get("resourceVersion") for obj in (item, other)]
    if not all(map(_is_comparable, versions)):
        return False
    # As integers: as text "9" comes after "10".
    return int(versions[0]) < int(versions[1])


def _is_comparable(version: object) -> bool:
    return isinstance(version, str) and version.isdecimal()


def _is_forbidden(exc: ClusterError) -> bool:
    return isinstance(exc, ApiError) and exc.status == 403


def wait_gone(
    client: KubeClient,
    obj: Mapping[str, Any],
    uid: str,
    timeout_s: float,
    *,
    on_blocked: Callable[[str], None] = lambda blockers: None,
    stop: threading.Event | None = None,
) -> None:
    """Waits until the object of this UID no longer exists.

    If the deletion takes long, `on_blocked` is called with what delays it, again when that changes,
    and once a minute. Raises WaitStoppedError on `stop`, ClusterError after `timeout_s`.
    """
    metadata = obj["metadata"]
    name = f"{obj['kind']} {object_name(metadata)}"
    stop = stop or threading.Event()
    started = heard_at = reported_at = time.monotonic()
    pause, look_at = POLL_FIRST_S, started + BLOCKED_S
    reported: str | None = None
    live: Object | None = None
    while True:
        try:
            live = client.get(
                obj["apiVersion"], obj["kind"], metadata["name"], metadata.get("namespace", "")
            )
        except ClusterError as exc:
            if client.closed:
                raise WaitStoppedError(name) from exc
            if _is_forbidden(exc) or time.monotonic() - heard_at > NO_ANSWER_S:
                raise
        else:
            if live is None or (uid and live["metadata"]["uid"] != uid):
                return
            heard_at = time.monotonic()
        now = time.monotonic()
        if now - started >= timeout_s:
            blockers = find_deletion_blockers(client, live or obj)
            where = f" --namespace {metadata['namespace']}" if metadata.get("namespace") else ""
            raise ClusterError(
                f"{name}: still exists {render_duration(timeout_s)} after its deletion was "
                f"requested{f'; waiting for: {blockers}' if blockers else ''}; `kubectl describe "
                f"{obj['kind'].lower()} {metadata['name']}{where}` shows why; then run the same "
                "command again"
            )
        if live is not None and now >= look_at:
            look_at = now + BLOCKED_S
            blockers = find_deletion_blockers(client, live)
            if blockers != reported or now - reported_at >= BLOCKED_AGAIN_S:
                reported, reported_at = blockers, now
                on_blocked(blockers or "unknown; the object has no finalizer and no condition")
        if stop.wait(min(pause, started + timeout_s - now)):
            raise WaitStoppedError(name)
        pause = min(pause * 1.5, POLL_LAST_S)


def wait_namespace_active(client: KubeClient, name: str, timeout_s: float) -> None:
    """Waits until the Namespace accepts objects. Raises ClusterError after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        namespace = client.get("v1", "Namespace", name) or {}
        phase = namespace.get("status", {}).get("phase", "gone")
        if phase == "Active":
            return
        if time.monotonic() >= deadline:
            raise ClusterError(
                f"Namespace {name}: is {phase} instead of Active after "
                f"{render_duration(timeout_s)}, so it accepts no objects; see what holds it with "
                f"`kubectl describe namespace {name}`, then run the same command again"
            )
        time.sleep(POLL_FIRST_S)
