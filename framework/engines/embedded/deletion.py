"""Deletes recorded resources: dependents first, independent ones at the same time."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Collection, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from framework.core.changes import Change, Failure
from framework.core.errors import FrameworkError
from framework.engines.embedded.planner import Planner
from framework.engines.embedded.progress import ProgressFeed
from framework.engines.embedded.records import read_object_state
from framework.engines.recorded import build_deletion
from framework.engines.state.checkpoint import ObjectIdentity, Resource
from framework.engines.state.journal import begin_line, drop_line, end_line
from framework.engines.state.stack_state import StackState
from framework.kube.waiting import WaitStoppedError

# A deletion waits until its object is gone, so more of them run at a time than of other calls.
_AT_ONCE = 32
_TIMEOUT_S = 600.0
_TICK_S, _STOP_S = 0.2, 5.0


class Deletions:
    """Deletes resources and records each deletion; `stop` ends the waits."""

    def __init__(
        self, state: StackState, planner: Planner, feed: ProgressFeed, stop: threading.Event
    ) -> None:
        self._state, self._planner, self._feed, self._stop = state, planner, feed, stop
        # The objects of recorded resources, and of those that this run does not delete.
        self._used: frozenset[ObjectIdentity] = frozenset()
        self._staying: frozenset[ObjectIdentity] = frozenset()

    def run(self, resources: Iterable[Resource]) -> None:
        """Deletes resources. If one cannot be deleted, the resources that it needs stay too."""
        waiting = {resource.key: resource for resource in resources}
        # Once and not for each deletion, which would look at all resources each time.
        live = self._state.get_current().live.values()
        self._used = frozenset(found.object_key for found in live if found.is_object)
        self._staying = frozenset(
            found.object_key for found in live if found.is_object and found.key not in waiting
        )
        running: dict[Future[bool], Resource] = {}
        blocked: set[str] = set()
        pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="delete")
        try:
            while (waiting or running) and not self._stop.is_set():
                # For example, a Deployment uses a ConfigMap, and both are in a Namespace: first the
                # Deployment is ready, then the ConfigMap, and the Namespace last.
                for resource in _find_ready(waiting.values(), running.values()):
                    del waiting[resource.key]
                    change = build_deletion(resource, self._planner.components)
                    if resource.urn in blocked:
                        blocked.update(resource.needs)
                        self._feed.report(
                            change, "skipped", "a resource that needs it was not deleted"
                        )
                        continue
                    running[pool.submit(self._delete, resource, change)] = resource
                ended, _ = wait(running, timeout=_TICK_S, return_when=FIRST_COMPLETED)
                for future in ended:
                    resource = running.pop(future)
                    if not future.result():
                        blocked.update(resource.needs)
        except BaseException:
            self._stop.set()
            # A short wait for calls in progress. An object that takes longer to disappear is still
            # recorded, and the next command waits for that.
            pool.shutdown(wait=False, cancel_futures=True)
            wait(running, timeout=_STOP_S)
            raise
        pool.shutdown()

    def _delete(self, resource: Resource, change: Change) -> bool:
        """Deletes a resource. Returns False when it still exists."""
        if not resource.is_object or resource.stays_on_delete or self._is_in_use_again(resource):
            self._state.record(drop_line(resource), end_line(resource.urn))
            return True
        self._feed.report(change, "started")
        self._state.record(begin_line("deleting", resource.raw))
        try:
            timeout = (resource.raw.get("customTimeouts") or {}).get("delete", _TIMEOUT_S)
            self._planner.connect(resource.provider).delete(
                read_object_state(self._state, resource),
                timeout_s=float(timeout),
                on_blocked=self._feed.report_blockers(change),
                stop=self._stop,
            )
        except Exception as exc:
            # In any case nothing stays pending: the resource is still recorded, and that is enough
            # for the next command.
            self._state.record(end_line(resource.urn))
            if not isinstance(exc, WaitStoppedError):
                is_ours = isinstance(exc, FrameworkError)
                reason = str(exc) if is_ours else f"{type(exc).__name__}: {exc}"
                self._feed.report_failure(Failure(change, reason))
            return False
        self._state.record(drop_line(resource), end_line(resource.urn))
        self._feed.report(change, "done")
        return True

    def _is_in_use_again(self, resource: Resource) -> bool:
        """Returns whether another recorded resource, which stays, has the object.

        Then only the record is removed. For example, a change is reverted before the old object was
        deleted: `a` was replaced by `b`, which failed, and the program has `a` again.
        """
        return resource.object_key in (self._used if resource.pending_delete else self._staying)


def _find_ready(waiting: Iterable[Resource], running: Collection[Resource]) -> list[Resource]:
    """Returns the waiting resources that no other waiting or running one needs."""
    resources = list(waiting)
    needed = {urn for resource in (*resources, *running) for urn in resource.needs}
    ready = [resource for resource in resources if resource.urn not in needed]
    # A resource that a replacement left behind has the URN of its successor, so that two of them
    # may seem to need each other. Then the order does not matter.
    return ready if ready or running else resources


def find_needed(
    resources: Iterable[Resource], to_delete: Iterable[Resource]
) -> dict[str, Resource]:
    """Maps the key of each resource that cannot be deleted to a resource that stays and needs it.

    `to_delete` are those of the recorded `resources` that a command is to delete. If several
    resources need one, the first by kind, then by name, is returned. For example, if a command
    is to delete a model's ConfigMap and Namespace, and its Deployment stays, the result is

        ConfigMap  ->  Deployment (depends on it)
        Namespace  ->  ConfigMap  (is in it, and has to stay)
    """
    to_delete = list(to_delete)
    deleted_keys = {resource.key for resource in to_delete}
    staying = [resource for resource in resources if resource.key not in deleted_keys]
    staying.sort(key=lambda resource: (resource.kind, resource.name))
    live = {
        resource.object_key
        for resource in staying
        if resource.is_object and not resource.pending_delete
    }
    by_urn: defaultdict[str, list[Resource]] = defaultdict(list)
    namespaces: defaultdict[tuple[str, str], list[Resource]] = defaultdict(list)
    for resource in to_delete:
        # If a resource that stays has the object as well, only this record is removed.
        if resource.object_key in live:
            continue
        by_urn[resource.urn].append(resource)
        if resource.kind == "Namespace" and not resource.stays_on_delete:
            namespaces[resource.provider_urn, resource.id].append(resource)
    needed: dict[str, Resource] = {}
    # The list grows while it is read, because a resource that must stay needs others in turn.
    for user in staying:
        needs = [
            resource
            for urn in user.needs
            for resource in by_urn.get(urn, ())
            # The old record of a replacement is needed only by other old records.
            if user.pending_delete or not resource.pending_delete
        ]
        # An object needs its Namespace, even where it does not depend on it: Kubernetes deletes a
        # Namespace with all objects in it.
        namespace, slash, _ = user.id.partition("/")
        if user.is_object and slash:
            needs += namespaces.get((user.provider_urn, namespace), ())
        for resource in needs:
            if resource.key not in needed:
                needed[resource.key] = user
                staying.append(resource)
    return needed
