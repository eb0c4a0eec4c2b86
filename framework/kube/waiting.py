"""Waits for a Deployment to roll out and for a deleted object to be gone.

Kept apart from the provider because waiting is about clocks, threads and being stopped; what counts
as done is rollouts.py.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from queue import Empty
from typing import Any

from framework.errors import ClusterError
from framework.kube.client import KubeClient, Object
from framework.kube.object_name import object_name
from framework.kube.rollouts import (
    RolloutCounts,
    RolloutError,
    WaitStoppedError,
    deadline_exceeded_at,
    find_reason,
    is_complete,
    is_observed,
    render_duration,
    rollout_counts,
)
from framework.kube.watching import SharedWatch, WatchEvent

# How soon a stop is noticed; an event wakes the wait at once.
TICK_S = 0.25
# Nothing moved for this long: look for what holds the rollout up, and again after as long.
STUCK_S = 5.0
# Nothing heard of the object for this long: ask whether it still exists.
SILENT_S = 3.0
POLL_FIRST_S, POLL_LAST_S = 0.05, 1.0


class RolloutWait:
    """One wait for one Deployment, fed by the watch its Namespace's waits share."""

    def __init__(
        self,
        client: KubeClient,
        applied: Object,
        timeout_s: float,
        on_counts: Callable[[RolloutCounts], None],
        stop: threading.Event,
    ) -> None:
        self._client, self._applied, self._stop = client, applied, stop
        self._name = object_name(applied["metadata"])
        self._timeout_s, self._on_counts = timeout_s, on_counts
        self._live: Object | None = None
        self._told: RolloutCounts | None = None
        self._moved = time.monotonic()

    def run(self, watch: SharedWatch) -> Object:
        """The Deployment once it has rolled out; RolloutError, WaitStoppedError or ClusterError."""
        with watch.subscribed(self._applied["metadata"]["name"]) as queue:
            for event in self._events(queue.get):
                if self._is_done(event):
                    assert self._live is not None
                    return self._live
        raise self._failed(f"did not roll out within {render_duration(self._timeout_s)}")

    def _events(self, get: Callable[..., WatchEvent]) -> Iterator[WatchEvent]:
        deadline = time.monotonic() + self._timeout_s
        while (left := deadline - time.monotonic()) > 0:
            if self._stop.is_set() or self._client.closed:
                raise WaitStoppedError(f"Deployment {self._name}")
            try:
                yield get(timeout=min(TICK_S, left))
            except Empty:
                self._look_around()

    def _is_done(self, event: WatchEvent) -> bool:
        if isinstance(event, ClusterError):
            raise event
        if event is None:
            if self._live is not None:
                raise self._deleted()
            return False
        if not self._is_current(event):
            return False
        self._live = event
        counts = rollout_counts(event)
        if counts != self._told:
            self._tell(counts)
            self._moved = time.monotonic()
        if is_complete(event) or event["spec"].get("paused"):
            return True
        if self._has_given_up(event):
            raise self._failed("made no progress within progressDeadlineSeconds")
        return False

    def _has_given_up(self, live: Object) -> bool:
        """The controller's own verdict; one on the spec before our apply does not count."""
        gave_up = deadline_exceeded_at(live)
        stale = not is_observed(self._applied) and gave_up == deadline_exceeded_at(self._applied)
        return bool(gave_up) and is_observed(live) and not stale

    def _is_current(self, item: Object) -> bool:
        # The watch may still show the object before our apply, or one deleted to be replaced.
        mine, its = self._applied["metadata"], item["metadata"]
        return bool(its["uid"] == mine["uid"] and its["generation"] >= mine["generation"])

    def _look_around(self) -> None:
        silent = time.monotonic() - self._moved
        if self._live is None and silent > SILENT_S:
            self._ask()
        elif self._live is not None and silent > STUCK_S:
            self._moved = time.monotonic()
            self._tell(rollout_counts(self._live, find_reason(self._client, self._live)))

    def _ask(self) -> None:
        metadata = self._applied["metadata"]
        self._moved = time.monotonic()
        found = self._client.get(
            self._applied["apiVersion"], "Deployment", metadata["name"], metadata["namespace"]
        )
        if found is None or found["metadata"]["uid"] != metadata["uid"]:
            raise self._deleted()

    def _tell(self, counts: RolloutCounts) -> None:
        self._told = counts
        self._on_counts(counts)

    def _deleted(self) -> RolloutError:
        return RolloutError(self._name, "did not roll out", "it was deleted meanwhile")

    def _failed(self, why: str) -> RolloutError:
        try:
            reason = find_reason(self._client, self._live or self._applied)
        except ClusterError as exc:
            reason = f"the reason could not be read ({exc})"
        return RolloutError(self._name, why, reason)


def wait_gone(client: KubeClient, obj: Mapping[str, Any], uid: str, timeout_s: float) -> None:
    """Return when the object of this UID is no more; ClusterError after `timeout_s`."""
    metadata = obj["metadata"]
    name, namespace = metadata["name"], metadata.get("namespace", "")
    deadline, pause = time.monotonic() + timeout_s, POLL_FIRST_S
    while True:
        found = client.get(obj["apiVersion"], obj["kind"], name, namespace)
        if found is None or (uid and found["metadata"]["uid"] != uid):
            return
        left = deadline - time.monotonic()
        if left <= 0:
            raise ClusterError(_still_there(found, timeout_s))
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, POLL_LAST_S)


def _still_there(found: Object, timeout_s: float) -> str:
    metadata = found["metadata"]
    held = [f"finalizer {finalizer}" for finalizer in metadata.get("finalizers") or ()]
    for condition in (found.get("status") or {}).get("conditions") or ():
        if found["kind"] == "Namespace" and condition["status"] == "True":
            held.append(condition.get("message", condition["type"]))
    by = f"; held by: {', '.join(held)}" if held else ""
    return (
        f"{found['kind']} {object_name(metadata)}: still there {render_duration(timeout_s)} after "
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
