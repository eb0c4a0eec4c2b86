"""One watch for everyone who waits for objects of the same kind and Namespace.

Kept apart from rollouts because it owns a thread: a hundred Deployments waited for by a hundred
threads cost one connection, and each event wakes only the thread whose object changed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

from framework.errors import ClusterError
from framework.kube.api_error import ApiError
from framework.kube.client import KubeClient, Object

# The server ends a watch after this; it is taken up again where it ended.
WATCH_S = 120
GONE = 410
# After a connection error; long enough not to spin, short enough not to be felt.
RETRY_S = 0.5

# An object, None when it was deleted, or the error that ended the watch.
WatchEvent = Object | None | ClusterError
Queue = SimpleQueue[WatchEvent]


class SharedWatch:
    """The live objects of one kind in one Namespace, told to whoever subscribed to a name."""

    def __init__(self, client: KubeClient, api_version: str, kind: str, namespace: str) -> None:
        self._client = client
        self._what = (api_version, kind, namespace)
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
                self._thread = threading.Thread(target=self._run, name=label, daemon=True)
                self._thread.start()
        try:
            yield queue
        finally:
            with self._lock:
                self._queues[name].remove(queue)

    def _run(self) -> None:
        while not self._client.closed and self._wanted():
            try:
                if not self._version:
                    self._version = self._begin()
                self._follow()
                self._failures = 0
            except ApiError as exc:
                self._version = ""
                if exc.status != GONE and not self._survives(exc):
                    return
            except ClusterError as exc:
                if not self._survives(exc):
                    return

    def _wanted(self) -> bool:
        # Ends with its last subscriber; the next one starts it anew, so what it knew is dropped.
        with self._lock:
            if any(self._queues.values()):
                return True
            self._forget()
            return False

    def _survives(self, exc: ClusterError) -> bool:
        self._failures += 1
        if self._client.closed:
            return False
        if self._failures < 20:
            threading.Event().wait(RETRY_S)
            return True
        with self._lock:
            for queues in self._queues.values():
                for queue in queues:
                    queue.put(exc)
            self._forget()
        return False

    def _forget(self) -> None:
        self._thread, self._objects, self._version, self._failures = None, {}, "", 0

    def _begin(self) -> str:
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
