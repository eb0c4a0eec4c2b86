"""Deletes recorded resources, dependents first, independent ones at the same time.

Kept apart because up (what left the program), destroy (everything) and replacements share it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from framework.core.changes import Change, Failure
from framework.core.errors import FrameworkError
from framework.engines.embedded.checkpoint import Resource
from framework.engines.embedded.feed import ProgressFeed
from framework.engines.embedded.planner import Planner
from framework.engines.embedded.records import object_state
from framework.engines.embedded.state import StackState, begin_line, drop_line, end_line
from framework.kube.waiting import WaitStoppedError

# A delete waits until the object is gone, so more of them than of plain calls.
_AT_ONCE = 32
_TIMEOUT_S = 600.0
_TICK_S, _STOP_S = 0.2, 5.0


class Deletions:
    """Deletes a set of entries and records each one."""

    def __init__(
        self, state: StackState, planner: Planner, feed: ProgressFeed, stop: threading.Event
    ) -> None:
        self._state, self._planner, self._feed, self._stop = state, planner, feed, stop

    def run(self, entries: Iterable[Resource], describe: Callable[[Resource], Change]) -> None:
        """Delete all; what a failed one stands on stays, everything else goes."""
        waiting = {entry.key: entry for entry in entries}
        running: dict[Future[bool], Resource] = {}
        blocked: set[str] = set()
        pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="delete")
        try:
            while (waiting or running) and not self._stop.is_set():
                for entry in _ready(waiting.values(), running.values()):
                    del waiting[entry.key]
                    if entry.urn in blocked:
                        blocked.update(entry.needs)
                        self._feed.skipped(describe(entry), "something that needs it stays")
                        continue
                    running[pool.submit(self.delete, entry, describe(entry))] = entry
                ended, _ = wait(running, timeout=_TICK_S, return_when=FIRST_COMPLETED)
                for future in ended:
                    entry = running.pop(future)
                    if not future.result():
                        blocked.update(entry.needs)
        except BaseException:
            self._stop.set()
            # A moment for calls under way; an object that takes longer to go is still recorded.
            pool.shutdown(wait=False, cancel_futures=True)
            wait(running, timeout=_STOP_S)
            raise
        pool.shutdown()

    def delete(self, entry: Resource, change: Change) -> bool:
        """Delete one entry; False when it is still there."""
        if not entry.is_object or entry.retain_on_delete or self._is_taken_over(entry):
            self._state.record(drop_line(entry), end_line(entry.urn))
            return True
        self._feed.started(change)
        self._state.record(begin_line("deleting", entry.raw))
        try:
            timeout = float((entry.raw.get("customTimeouts") or {}).get("delete", _TIMEOUT_S))
            provider = self._planner.provider(str(entry.raw["provider"]))
            provider.delete(
                object_state(self._state, entry),
                timeout_s=timeout,
                on_held=self._feed.held(change),
                stop=self._stop,
            )
        except WaitStoppedError:
            # Nothing failed: the deletion goes on, and the next run waits for its end.
            self._state.record(end_line(entry.urn))
            return False
        except FrameworkError as exc:
            # The object is still recorded; what remains pending would only warn about nothing.
            self._state.record(end_line(entry.urn))
            self._feed.failed(Failure(change, str(exc)))
            return False
        except Exception as exc:
            self._state.record(end_line(entry.urn))
            self._feed.failed(Failure(change, f"{type(exc).__name__}: {exc}"))
            return False
        self._state.record(drop_line(entry), end_line(entry.urn))
        self._feed.done(change)
        return True

    def _is_taken_over(self, entry: Resource) -> bool:
        """What a replacement left behind is not deleted where a live resource has its name."""
        return entry.pending_delete and any(
            other.object_key == entry.object_key
            for other in self._state.current().resources
            if not other.pending_delete
        )


def find_needed(resources: Iterable[Resource], going: Iterable[Resource]) -> dict[str, Resource]:
    """Maps the key of each entry in `going` that must stay to the first entry that needs it.

    The first entry is the first one by kind, then by name. An entry needs its parent, provider and
    dependencies, and an object needs its Namespace whether or not the program says so: the
    Namespace takes everything in it along.
    """
    resources, going = list(resources), list(going)
    live = {entry.object_key for entry in resources if not entry.pending_delete}
    # What a replacement left behind and is live again: only its old record goes.
    candidates = {
        entry.key: entry
        for entry in going
        if not entry.pending_delete or entry.object_key not in live
    }
    by_urn: dict[str, list[Resource]] = {}
    namespaces: dict[tuple[str, str], list[Resource]] = {}
    for entry in candidates.values():
        by_urn.setdefault(entry.urn, []).append(entry)
        if entry.kind == "Namespace":
            namespaces.setdefault((entry.provider_urn, entry.id), []).append(entry)
    leaving = {entry.key for entry in going}
    staying = [entry for entry in resources if entry.key not in leaving]
    staying.sort(key=lambda entry: (entry.kind, entry.name))
    found: dict[str, Resource] = {}
    for user in staying:
        namespace = user.id.partition("/")[0] if user.is_object and "/" in user.id else ""
        needed = [
            entry
            for urn in user.needs
            for entry in by_urn.get(urn, ())
            # What a replacement left behind is needed only by what was left behind with it.
            if user.pending_delete or not entry.pending_delete
        ]
        for entry in [*needed, *namespaces.get((user.provider_urn, namespace), ())]:
            if entry.key not in found:
                found[entry.key] = user
                staying.append(entry)
    return found


def _ready(waiting: Iterable[Resource], running: Collection[Resource]) -> list[Resource]:
    """Entries that nothing else to be deleted still needs."""
    listed = list(waiting)
    needed = {urn for entry in (*listed, *running) for urn in entry.needs}
    ready = [entry for entry in listed if entry.urn not in needed]
    # What a replacement left behind shares its URN with its successor, so two may seem to need
    # each other.
    return ready if ready or running else listed
