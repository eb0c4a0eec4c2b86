"""Waits for a Deployment to roll out and for a deleted object to be gone.

Kept apart from the provider because waiting is about clocks, threads and being stopped; what counts
as done is rollouts.py.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from queue import Empty
from typing import Any

from framework.core.durations import render_duration
from framework.core.errors import ClusterError
from framework.core.field_paths import FieldPath
from framework.kube.api_error import ApiError
from framework.kube.client import KubeClient, Object
from framework.kube.holders import find_holders
from framework.kube.object_name import object_name
from framework.kube.ownership import owner_of
from framework.kube.rollouts import (
    ProgressDeadline,
    RolloutCounts,
    RolloutError,
    WaitStoppedError,
    find_reason,
    is_complete,
    is_observed,
    rollout_counts,
)
from framework.kube.watching import Queue, SharedWatch, WatchEvent

# How soon a stop is noticed; an event wakes the wait at once.
TICK_S = 0.25
# Nothing moved for this long: look for what holds the rollout up, and again after as long.
STUCK_S = 5.0
# No event of the object for this long: read it, since a watch may be silent although it is open.
SILENT_S = 3.0
# The same once it cannot be watched, or the server is away.
READ_S = 1.0
# Each read that finds nothing new doubles the time to the next one, up to this.
MOST_SILENT_S = 15.0
# The server could not be reached for this long: the wait fails.
AWAY_S = 20.0
# A deletion takes this long: say what holds it, and say so again after a minute.
HELD_S, HELD_AGAIN_S = 5.0, 60.0
POLL_FIRST_S, POLL_LAST_S = 0.05, 1.0


class RolloutWait:
    """One wait for one Deployment, fed by the watch its Namespace's waits share.

    `applied` is the Deployment as our apply returned it. `may_pause` says that it is to be paused:
    then nothing is waited for.
    """

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
        self._client, self._applied, self._stop = client, applied, stop
        self._name = object_name(applied["metadata"])
        self._timeout_s, self._on_counts, self._may_pause = timeout_s, on_counts, may_pause
        self._live: Object | None = None
        self._told: RolloutCounts | None = None
        self._deadline = ProgressDeadline(applied)
        self._first_pause_s = self._pause_s = SILENT_S
        self._told_at = self._heard_at = self._read_at = time.monotonic()

    def run(self, watch: SharedWatch) -> Object:
        """Returns the Deployment once it has rolled out, never older than what was applied.

        RolloutError, WaitStoppedError, or ClusterError when it cannot be read.
        """
        with watch.subscribed(self._applied["metadata"]["name"]) as queue:
            for live in self._versions(queue):
                if self._is_done(live):
                    return self._newest(live)
        raise self._failed(f"did not roll out within {render_duration(self._timeout_s)}")

    def _versions(self, queue: Queue) -> Iterator[Object]:
        """Yields each newer version of the Deployment, watched or read, until the timeout."""
        end = time.monotonic() + self._timeout_s
        while (left := end - time.monotonic()) > 0:
            if self._stop.is_set() or self._client.closed:
                raise WaitStoppedError(f"Deployment {self._name}")
            try:
                event = queue.get(timeout=min(TICK_S, left))
            except Empty:
                found = self._read() if self._is_silent() else None
            else:
                found = self._take(event)
            if found is not None and self._is_newer(found):
                self._heard_at = time.monotonic()
                self._pause_s = self._first_pause_s
                self._live = found
                yield found
            self._check_progress()

    def _take(self, event: WatchEvent) -> Object | None:
        """Returns the object to look at after an event of the watch; None when there is none."""
        if isinstance(event, ClusterError):
            # It may not be watched, or its watch is broken: reading it may still work.
            self._first_pause_s = self._pause_s = READ_S
            return None
        if event is None or event["metadata"]["uid"] != self._applied["metadata"]["uid"]:
            # Deleted, or an old event of an object that this one replaced.
            return self._read()
        return event

    def _is_silent(self) -> bool:
        last = max(self._heard_at, self._read_at)
        return time.monotonic() - last > self._pause_s

    def _read(self) -> Object | None:
        """Returns the object as the server has it; None while the server is away."""
        metadata = self._applied["metadata"]
        self._read_at = time.monotonic()
        self._pause_s = min(2 * self._pause_s, MOST_SILENT_S)
        try:
            found = self._client.get(
                self._applied["apiVersion"], "Deployment", metadata["name"], metadata["namespace"]
            )
        except ClusterError as exc:
            if self._client.closed:
                raise WaitStoppedError(f"Deployment {self._name}") from exc
            if _is_forbidden(exc) or time.monotonic() - self._heard_at > AWAY_S:
                raise
            self._pause_s = READ_S
            return None
        self._heard_at = time.monotonic()
        if found is None or found["metadata"]["uid"] != metadata["uid"]:
            raise RolloutError(self._name, "did not roll out", "it was deleted meanwhile")
        return found

    def _is_newer(self, item: Object) -> bool:
        # The watch may still show the object before our apply, or before it was last read.
        known = self._live or self._applied
        mine, its = known["metadata"], item["metadata"]
        if self._live and its["resourceVersion"] == mine["resourceVersion"]:
            return False
        return bool(its["generation"] >= mine["generation"]) and not is_older(item, known)

    def _is_done(self, live: Object) -> bool:
        counts = rollout_counts(live)
        if self._told is None or counts != replace(self._told, message=""):
            self._tell(counts)
        if is_complete(live):
            return True
        if live["spec"].get("paused") and is_observed(live):
            if self._may_pause:
                return True
            raise self._paused(live)
        return False

    def _check_progress(self) -> None:
        if self._live is None:
            return
        if self._deadline.is_exceeded(self._live):
            raise self._failed("made no progress within progressDeadlineSeconds")
        if time.monotonic() - self._told_at > STUCK_S:
            self._tell(replace(rollout_counts(self._live), message=self._reason(self._live)))

    def _newest(self, live: Object) -> Object:
        # Versions that cannot be compared say nothing about which is newer, so ask.
        known = self._applied["metadata"]["resourceVersion"]
        if _is_comparable(known) and _is_comparable(live["metadata"]["resourceVersion"]):
            return live
        return self._read() or live

    def _tell(self, counts: RolloutCounts) -> None:
        self._told, self._told_at = counts, time.monotonic()
        self._on_counts(counts)

    def _paused(self, live: Object) -> RolloutError:
        owner = owner_of(live, FieldPath(("spec", "paused")))
        name, namespace = live["metadata"]["name"], live["metadata"]["namespace"]
        return RolloutError(
            self._name,
            f"is paused by {owner['manager'] if owner else 'an unknown manager'}",
            "none of its Pods are replaced; run the same command again, which resumes it, or "
            f"`kubectl rollout resume deployment/{name} --namespace {namespace}`",
        )

    def _failed(self, why: str) -> RolloutError:
        return RolloutError(self._name, why, self._reason(self._live or self._applied))

    def _reason(self, live: Object) -> str:
        try:
            return find_reason(self._client, live)
        except ClusterError as exc:
            return f"the reason could not be read ({exc})"


def is_older(item: Object, other: Object) -> bool:
    """True when `item` is an earlier version of an object than `other`.

    resourceVersions of one object are comparable integers (Kubernetes 1.35 documents it, earlier
    ones do so in practice); False where one of them is not.
    """
    versions = [obj["metadata"].get("resourceVersion") for obj in (item, other)]
    if not all(map(_is_comparable, versions)):
        return False
    return int(versions[0]) < int(versions[1])


def _is_forbidden(exc: ClusterError) -> bool:
    return isinstance(exc, ApiError) and exc.status == 403


def _is_comparable(version: object) -> bool:
    return isinstance(version, str) and version.isdecimal()


def wait_gone(
    client: KubeClient,
    obj: Mapping[str, Any],
    uid: str,
    timeout_s: float,
    *,
    on_held: Callable[[str], None] = lambda holders: None,
    stop: threading.Event | None = None,
) -> None:
    """Returns when the object of this UID no longer exists.

    `on_held` is told what holds the deletion up once it takes long, then when that changes and
    once a minute. WaitStoppedError on `stop`; ClusterError after `timeout_s`.
    """
    metadata = obj["metadata"]
    what = f"{obj['kind']} {object_name(metadata)}"
    stop = stop or threading.Event()
    begun = heard_at = time.monotonic()
    pause, told_at = POLL_FIRST_S, begun
    told: str | None = None
    look_at = begun + HELD_S
    found: Object | None = None
    while True:
        try:
            found = client.get(
                obj["apiVersion"], obj["kind"], metadata["name"], metadata.get("namespace", "")
            )
        except ClusterError as exc:
            if client.closed:
                raise WaitStoppedError(what) from exc
            if _is_forbidden(exc) or time.monotonic() - heard_at > AWAY_S:
                raise
        else:
            if found is None or (uid and found["metadata"]["uid"] != uid):
                return
            heard_at = time.monotonic()
        now = time.monotonic()
        if now - begun >= timeout_s:
            raise ClusterError(_still_there(what, timeout_s, find_holders(client, found or obj)))
        if found is not None and now >= look_at:
            look_at = now + HELD_S
            holders = find_holders(client, found)
            if holders != told or now - told_at >= HELD_AGAIN_S:
                told, told_at = holders, now
                on_held(holders or "unknown; the object has no finalizer and no condition")
        if stop.wait(min(pause, begun + timeout_s - now)):
            raise WaitStoppedError(what)
        pause = min(pause * 1.5, POLL_LAST_S)


def _still_there(what: str, timeout_s: float, holders: str) -> str:
    by = f"; held by: {holders}" if holders else ""
    return (
        f"{what}: still there {render_duration(timeout_s)} after "
        f"its deletion was asked for{by}; see what holds it, then run the same command again"
    )


def wait_namespace_active(client: KubeClient, name: str, timeout_s: float) -> None:
    """Return when the Namespace takes objects."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = client.get("v1", "Namespace", name)
        phase = (found or {}).get("status", {}).get("phase", "gone")
        if phase == "Active":
            return
        if time.monotonic() >= deadline:
            raise ClusterError(
                f"Namespace {name}: is {phase} instead of Active after "
                f"{render_duration(timeout_s)}, so it takes no objects; see what holds it with "
                f"`kubectl describe namespace {name}`, then run the same command again"
            )
        time.sleep(POLL_FIRST_S)
