"""One watch for everyone who waits for objects of the same kind and Namespace.

Kept apart from rollouts because it owns a thread: a hundred Deployments waited for by a hundred
threads cost one connection, and each event wakes only the thread whose object changed. An error of
that thread is a broken stream, whatever it is: the objects are listed again, and an error that
stays is passed to every subscriber.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

from framework.core.errors import ClusterError
from framework.kube.api_error import ApiError
from framework.kube.client import KubeClient, Object

# The server ends a watch after this; it is taken up again where it ended.
WATCH_S = 120
GONE = 410
# Trying again does not help: the user may not list or watch, or the server does not let anyone.
REFUSED = frozenset({403, 405})
# After an error; long enough not to spin, short enough not to be felt.
RETRY_S = 0.5
MOST_FAILURES = 20

# An object, None when it was deleted, or the error that ended the watch.
WatchEvent = Object | None | ClusterError
Queue = SimpleQueue[WatchEvent]


class SharedWatch:
    """The live objects of one kind in one Namespace, told to whoever subscribed to a name."""

    def __init__(self, client: KubeClient, api_version: str, kind: str, namespace: str) -> None:
        self._client = client
        self._what = (api_version, kind, namespace)
        self._name = f"watch of {kind} in {namespace or 'all'}"
        self._objects: dict[str, Object] = {}
        self._queues: dict[str, list[Queue]] = {}
        self._lock = threading.Lock()
        self._version = ""
        self._failures = 0
        self._thread: threading.Thread | None = None

    @contextmanager
    def subscribed(self, name: str) -> Iterator[Queue]:
        """The events of one object, beginning with what is known of it."""
        queue: Queue = SimpleQueue()
        with self._lock:
            self._queues.setdefault(name, []).append(queue)
            if name in self._objects:
                queue.put(self._objects[name])
            if self._thread is None:
                label = "/".join(("watch", *self._what))
                thread = threading.Thread(target=self._run, name=label, daemon=True)
                thread.start()
                self._thread = thread
        try:
            yield queue
        finally:
            with self._lock:
                self._queues[name].remove(queue)

    def _run(self) -> None:
        error: ClusterError = ClusterError(f"{self._name}: ended, because its connection is closed")
        try:
            while not self._client.closed and self._is_wanted():
                try:
                    self._version = self._version or self._list()
                    self._follow()
                    self._failures = 0
                except Exception as exc:
                    # Nobody sees what a thread raises, so it is either repaired or passed on.
                    self._version = ""
                    if not self._tries_again(exc):
                        error = self._described(exc)
                        return
        finally:
            self._end(error)

    def _is_wanted(self) -> bool:
        # The thread ends with its last subscriber; the next one starts a new thread and list.
        with self._lock:
            if any(self._queues.values()):
                return True
            self._forget()
            return False

    def _tries_again(self, exc: Exception) -> bool:
        self._failures += 1
        if isinstance(exc, ApiError) and exc.status in REFUSED:
            return False
        if self._failures >= MOST_FAILURES or self._client.closed:
            return False
        if not (isinstance(exc, ApiError) and exc.status == GONE):
            time.sleep(RETRY_S)
        return True

    def _described(self, exc: Exception) -> ClusterError:
        if isinstance(exc, ClusterError):
            return exc
        described = ClusterError(f"{self._name}: failed with {type(exc).__name__}: {exc}")
        described.__cause__ = exc
        return described

    def _end(self, error: ClusterError) -> None:
        """Passes the error to whoever still waits; another thread's subscribers are left alone."""
        with self._lock:
            if self._thread is not threading.current_thread():
                return
            for queues in self._queues.values():
                for queue in queues:
                    queue.put(error)
            self._forget()

    def _forget(self) -> None:
        self._thread, self._objects, self._version, self._failures = None, {}, "", 0

    def _list(self) -> str:
        items, version = self._client.list_at(*self._what)
        found = {item["metadata"]["name"]: item for item in items}
        with self._lock:
            gone = self._objects.keys() - found.keys()
        for name in gone:
            self._tell(name, None)
        for name, item in found.items():
            self._tell(name, item)
        return version

    def _follow(self) -> None:
        api_version, kind, namespace = self._what
        for event, item in self._client.watch(
            api_version, kind, namespace, timeout_s=WATCH_S, resource_version=self._version
        ):
            self._version = str(item["metadata"]["resourceVersion"])
            self._failures = 0
            if event != "BOOKMARK":
                self._tell(item["metadata"]["name"], None if event == "DELETED" else item)

    def _tell(self, name: str, item: Object | None) -> None:
        with self._lock:
            if item is None:
                self._objects.pop(name, None)
            else:
                self._objects[name] = item
            for queue in self._queues.get(name, ()):
                queue.put(item)


class Watches:
    """The shared watches of one client, made when first asked for."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str, str], SharedWatch] = {}

    def of(self, obj: dict[str, Any]) -> SharedWatch:
        """The watch that sees this object."""
        key = (obj["apiVersion"], obj["kind"], obj["metadata"].get("namespace", ""))
        with self._lock:
            return self._open.setdefault(key, SharedWatch(self._client, *key))
