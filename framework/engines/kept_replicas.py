"""Keeps the replicas of a Deployment that is deleted, until it is created again.

The files do not have the replicas of a Deployment under an autoscaler. While a replacement is
between deletion and creation, nothing in the cluster has them either. If the command is killed
then, or the creation fails, the next command would create the Deployment with the autoscaler's
minimum. So the number is written beside the state before the deletion. It cannot be in the state
itself, because the CLI drops the record of a deleted object.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from framework.core.errors import StateError
from framework.engines.state.checkpoint import Resource
from framework.kube.objects import ObjectState

if TYPE_CHECKING:
    from framework.engines.base import Request
    from framework.plan import StackPlan

Entries = Mapping[str, Mapping[str, Any]]


class ReplicasRecord(Protocol):
    """Stores the entries: a file beside the state, or tags of the stack."""

    def read_replicas(self) -> Entries:
        """Returns the entries of deleted Deployments by `namespace/name`.

        Each has `replicas`, `uid` and `component`; entries of earlier versions have no component.
        """

    def write_replicas(self, entries: Entries) -> None:
        """Replaces all entries. StateError."""


@dataclass
class KeptReplicas:
    """The replicas of the Deployments that a stack has deleted to create them again.

    Safe for use from any number of threads.
    """

    record: ReplicasRecord
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, recorded: ObjectState, replicas: int, component: str) -> None:
        """Records the replicas of a Deployment before it is deleted; 0 if there are none to keep.

        `recorded` is the Deployment as the state has it, `component` its model. StateError.
        """
        with self._lock:
            entries = dict(self.record.read_replicas())
            entries.pop(recorded.id, None)
            if replicas:
                entries[recorded.id] = {
                    "replicas": replicas,
                    "uid": _get_uid(recorded.outputs),
                    "component": component,
                }
            self._write(entries)

    def find(self, object_id: str, recorded: ObjectState | None) -> int:
        """Returns the replicas that a Deployment had when it was deleted, 0 for none.

        `recorded` is the Deployment as the state has it, None if it is not there. The number is
        used only for the Deployment with the recorded UID: another UID means that it was created
        again since, so the number is too old.
        """
        with self._lock:
            entry = self.record.read_replicas().get(object_id)
        if entry is None or (recorded is not None and entry["uid"] != _get_uid(recorded.outputs)):
            return 0
        return int(entry["replicas"])

    def end_command(
        self, request: Request, resources: Iterable[Resource], *, has_failed: bool
    ) -> tuple[str, ...]:
        """Removes the entries that are no longer needed after a command; returns warnings.

        `resources` are recorded after it. A command without a failure leaves no Deployment of its
        models uncreated, so all of their entries are removed.
        """
        if request.components is None and not has_failed:
            return self._remove(lambda object_id, entry: True)
        finished = () if has_failed else request.components or ()
        return self.forget(resources, _list_deployments(request.plan), finished)

    def forget(
        self,
        resources: Iterable[Resource],
        wanted: Collection[str] | None = None,
        finished: Collection[str] = (),
    ) -> tuple[str, ...]:
        """Removes the entries of Deployments that exist again, or that are not planned any more.

        `resources` are the recorded ones, and `wanted` the Deployments of the whole plan; None if
        it is unknown. `finished` are components of which the command left no Deployment uncreated,
        because it deployed or destroyed them. Returns warnings: by now the command has changed the
        cluster, so an entry that cannot be removed must not hide its result.
        """
        deployments = {
            found.id: found
            for found in resources
            if found.kind == "Deployment" and not found.pending_delete
        }

        def is_done(object_id: str, entry: Mapping[str, Any]) -> bool:
            # Only here: to decode the outputs of all Deployments takes half a second.
            found = deployments.get(object_id)
            exists = found is not None and _get_uid(found.raw.get("outputs") or {}) != entry["uid"]
            is_unwanted = wanted is not None and object_id not in wanted
            return exists or is_unwanted or entry.get("component") in finished

        return self._remove(is_done)

    def _remove(self, is_done: Callable[[str, Mapping[str, Any]], bool]) -> tuple[str, ...]:
        with self._lock:
            try:
                entries = self.record.read_replicas()
                self._write({k: v for k, v in entries.items() if not is_done(k, v)})
            except StateError as exc:
                return (f"warning: {exc}",)
        return ()

    def _write(self, entries: Entries) -> None:
        if self.record.read_replicas() != entries:
            self.record.write_replicas(entries)


def _list_deployments(plan: StackPlan | None) -> frozenset[str] | None:
    """Returns `namespace/name` of each Deployment of a plan, None without a plan."""
    if plan is None:
        return None
    return frozenset(found.id for found in plan.manifests if found.kind == "Deployment")


def find_replicas_to_keep(declared: int, live: ObjectState | None) -> int:
    """Returns the replicas of the Deployment that is replaced, if they are more; 0 otherwise.

    An autoscaler may have scaled to 8 Pods, all of them serving, while `declared` is 2.
    """
    replicas = int(((live.outputs if live else {}).get("spec") or {}).get("replicas") or 0)
    return replicas if replicas > declared else 0


def _get_uid(outputs: Mapping[str, Any]) -> str:
    return str((outputs.get("metadata") or {}).get("uid", ""))
