"""One watch shared by all threads that wait for objects of the same kind and Namespace.

A hundred threads that wait for a hundred Deployments cost one connection, and an event wakes only
the thread whose object changed.
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
from framework.kube.client import KubeClient
from framework.kube.objects import Object

# The server ends a watch after this; the next one continues where it ended.
WATCH_S = 120
GONE = 410
# A retry does not help: this user, or every user, is not allowed to list or watch.
REFUSED = frozenset({403, 405})
# The pause after an error: long enough to spare the server, short enough to go unnoticed.
RETRY_S = 0.5
MAX_FAILURES = 20

# An object, None when it was deleted, or the error that ended the watch.
WatchEvent = Object | None | ClusterError
Queue = SimpleQueue[WatchEvent]


class SharedWatch:
    """Follows the live objects of one kind in one Namespace, and passes each to its subscribers.

    A subscriber waits for the object of one name. A thread lists the objects and then watches them,
    as long as there are subscribers. If the watch breaks, whatever the error is, the objects are
    listed again, which delivers the missed events. An error that does not go away is passed to
    every subscriber.
    """

    def __init__(self, client: KubeClient, api_version: str, kind: str, namespace: str) -> None:
        self._client = client
        self._scope = (api_version, kind, namespace)
        self._name = f"watch of {kind} in {namespace or 'all'}"
        self._objects: dict[str, Object] = {}
        self._queues: dict[str, list[Queue]] = {}
        self._lock = threading.Lock()
        self._version = ""
        self._failures = 0
        self._thread: threading.Thread | None = None

    @contextmanager
    def subscribed(self, name: str) -> Iterator[Queue]:
        """Yields a queue of one object's events, beginning with the object if it is known."""
        queue: Queue = SimpleQueue()
        with self._lock:
            self._queues.setdefault(name, []).append(queue)
            # In the same lock as the new queue: `_publish` cannot change the object in between, so
            # no event is missed.
            if name in self._objects:
                queue.put(self._objects[name])
            if self._thread is None:
                label = "/".join(("watch", *self._scope))
                thread = threading.Thread(target=self._run, name=label, daemon=True)
                thread.start()
                self._thread = thread
        try:
            yield queue
        finally:
            with self._lock:
                # The thread checks at the end of each watch whether anybody is left.
                self._queues[name].remove(queue)

    def _run(self) -> None:
        error: ClusterError = ClusterError(f"{self._name}: ended, because its connection is closed")
        try:
            while not self._client.closed and self._is_wanted():
                try:
                    # Without a version nothing is known yet, or the last watch broke: list first.
                    # A watch that only reached its end is continued from the last version.
                    self._version = self._version or self._list()
                    self._follow()
                    self._failures = 0
                except Exception as exc:
                    # An exception that ends a thread goes unnoticed. So each one is retried, or
                    # passed to the subscribers.
                    self._version = ""
                    if not self._should_retry(exc):
                        error = self._describe(exc)
                        return
        finally:
            self._end(error)

    def _is_wanted(self) -> bool:
        # The thread ends with its last subscriber. The next one starts a new thread and lists
        # again, since nobody followed the objects in between.
        with self._lock:
            if any(self._queues.values()):
                return True
            self._forget()
            return False

    def _should_retry(self, exc: Exception) -> bool:
        self._failures += 1
        if isinstance(exc, ApiError) and exc.status in REFUSED:
            return False
        if self._failures >= MAX_FAILURES or self._client.closed:
            return False
        # 410: the server no longer has that version. This is normal on a busy server, and a new
        # list fixes it, so there is nothing to wait for.
        if not (isinstance(exc, ApiError) and exc.status == GONE):
            time.sleep(RETRY_S)
        return True

    def _describe(self, exc: Exception) -> ClusterError:
        if isinstance(exc, ClusterError):
            return exc
        described = ClusterError(f"{self._name}: failed with {type(exc).__name__}: {exc}")
        described.__cause__ = exc
        return described

    def _end(self, error: ClusterError) -> None:
        """Passes the error to all subscribers, unless they already belong to another thread."""
        with self._lock:
            # `_is_wanted` may have ended this watch, and a new subscriber has started another
            # thread since then.
            if self._thread is not threading.current_thread():
                return
            for queues in self._queues.values():
                for queue in queues:
                    queue.put(error)
            self._forget()

    def _forget(self) -> None:
        self._thread, self._objects, self._version, self._failures = None, {}, "", 0

    def _list(self) -> str:
        items, version = self._client.list_with_version(*self._scope)
        objects = {item["metadata"]["name"]: item for item in items}
        with self._lock:
            # The list replaces the events between a broken watch and now. An object that was
            # deleted in between is not in the list, and a subscriber would wait for it until its
            # timeout.
            deleted = self._objects.keys() - objects.keys()
        for name in deleted:
            self._publish(name, None)
        for name, item in objects.items():
            self._publish(name, item)
        return version

    def _follow(self) -> None:
        api_version, kind, namespace = self._scope
        for event, item in self._client.watch(
            api_version, kind, namespace, timeout_s=WATCH_S, resource_version=self._version
        ):
            # The version of the last event is the place where the next watch continues.
            self._version = str(item["metadata"]["resourceVersion"])
            self._failures = 0
            # A bookmark has nothing but a newer version. Without bookmarks the version of a kind
            # with few changes would become so old that the server answers 410.
            if event != "BOOKMARK":
                self._publish(item["metadata"]["name"], None if event == "DELETED" else item)

    def _publish(self, name: str, item: Object | None) -> None:
        with self._lock:
            if item is None:
                self._objects.pop(name, None)
            else:
                self._objects[name] = item
            for queue in self._queues.get(name, ()):
                queue.put(item)


class Watches:
    """The shared watches of one client. Each is created when it is first needed."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str, str], SharedWatch] = {}

    def for_object(self, obj: dict[str, Any]) -> SharedWatch:
        """Returns the watch for the kind and Namespace of this object."""
        key = (obj["apiVersion"], obj["kind"], obj["metadata"].get("namespace", ""))
        with self._lock:
            return self._open.setdefault(key, SharedWatch(self._client, *key))
