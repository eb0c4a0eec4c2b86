"""Records every event of a Namespace's workloads, and checks each one against the rollout budget.

Events are put into the order of their resourceVersion, which counts every write of one etcd, so
that events of different kinds can be compared. Counts come from ReplicaSets and Pods, because the
status of a Deployment lags.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from framework.core.rolling_update import resolve_budget
from framework.kube.client import KubeClient
from tests.conftest import Project

Object = dict[str, Any]
KINDS = (
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("v1", "Pod"),
    ("v1", "ConfigMap"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
)
NAME_LABEL = "app.kubernetes.io/name"
# A recorder that is never stopped ends after two minutes.
_LIMIT_S = 120


@dataclass(frozen=True)
class Event:
    """One write: `type` is ADDED, MODIFIED or DELETED; `version` orders the events of all kinds."""

    version: int
    type: str
    kind: str
    object: Object


class Recorder:
    """Records the Namespaces whose name begins with `prefix`, inside a `with` statement.

    Each kind is listed once and watched from there without a gap. The listed objects come first, as
    ADDED. `events` is complete after the `with` statement.
    """

    def __init__(self, kubeconfig: Path, prefix: str) -> None:
        self._kube = KubeClient.connect(kubeconfig, "local")
        self._prefix = prefix
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._events: list[Event] = []
        self._end = 0
        self._seen = 0
        self._caught_up = threading.Condition(self._lock)

    def __enter__(self) -> Self:
        for api_version, kind in KINDS:
            items, version = self._kube.list_with_version(api_version, kind)
            for item in items:
                self._note("ADDED", kind, item)
            arguments = (api_version, kind, version)
            thread = threading.Thread(target=self._watch, args=arguments, daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Only a last write of every kind would prove that no more events are on their way. A short
        # time without an event is good enough.
        with self._caught_up:
            while self._seen != len(self._events):
                self._seen = len(self._events)
                self._caught_up.wait(0.3)
        self._kube.close()
        for thread in self._threads:
            thread.join(timeout=10)

    def _watch(self, api_version: str, kind: str, version: str) -> None:
        watched = self._kube.watch(api_version, kind, timeout_s=_LIMIT_S, resource_version=version)
        for event, item in watched:
            if event != "BOOKMARK":
                self._note(event, kind, item)

    def _note(self, event: str, kind: str, item: Object) -> None:
        metadata = item["metadata"]
        if metadata.get("namespace", "").startswith(self._prefix):
            with self._caught_up:
                noted = Event(int(metadata["resourceVersion"]), event, kind, item)
                self._events.append(noted)
                self._caught_up.notify_all()

    @property
    def events(self) -> list[Event]:
        """Every event so far, in the order of the writes."""
        with self._lock:
            return sorted(self._events, key=lambda event: event.version)

    def states(self) -> Iterator[Mapping[tuple[str, str, str], Object]]:
        """Yields all objects after each event, by kind, Namespace and name.

        Each time it is the same mapping, changed by the event.
        """
        objects: dict[tuple[str, str, str], Object] = {}
        for event in self.events:
            metadata = event.object["metadata"]
            key = event.kind, metadata["namespace"], metadata["name"]
            if event.type == "DELETED":
                objects.pop(key, None)
            else:
                objects[key] = event.object
            yield objects

    def serving(self, model: str, track: str = "") -> list[int]:
        """Returns the number of a model's or a track's Pods that serve, after each event."""
        return [
            _count(objects, "Pod", _has_labels(model, track), lambda pod: int(serves(pod)))
            for objects in self.states()
        ]

    def wanted(self, model: str, track: str = "") -> list[int]:
        """Returns the number of Pods that the ReplicaSets ask for, after each event."""
        return [
            _count(
                objects,
                "ReplicaSet",
                _has_labels(model, track),
                lambda found: int(found["spec"]["replicas"]),
            )
            for objects in self.states()
        ]

    def find_violations(self) -> list[str]:
        """Returns every violation of a Deployment's budget. The budget is that of its spec at the
        time of the event."""
        found: list[str] = []
        budgets: dict[str, BudgetCheck] = {}
        for objects in self.states():
            for (kind, namespace, name), deployment in objects.items():
                if kind == "Deployment" and not deployment["metadata"].get("deletionTimestamp"):
                    check = budgets.setdefault(deployment["metadata"]["uid"], BudgetCheck())
                    violation = check.find_violation(deployment, objects)
                    if violation and (not found or violation not in found[-1]):
                        found.append(f"{namespace}/{name}: {violation}")
        return found


Record = Callable[[Project], Recorder]


class BudgetCheck:
    """Checks one Deployment against its budget, event by event.

    After N Pods have served, at least N - `maxUnavailable` must serve, until the Deployment's own
    replicas are reduced. The ReplicaSets must not grow beyond replicas + `maxSurge`.
    """

    def __init__(self) -> None:
        self._settled = 0
        self._wanted = 0

    def find_violation(
        self, deployment: Object, objects: Mapping[tuple[str, str, str], Object]
    ) -> str:
        """Describes the violation after one event; "" if there is none."""
        spec, namespace = deployment["spec"], deployment["metadata"]["namespace"]
        rolling = spec["strategy"]["rollingUpdate"]
        budget = resolve_budget(spec["replicas"], rolling["maxSurge"], rolling["maxUnavailable"])
        labels = spec["selector"]["matchLabels"]

        def is_own(item: Object) -> bool:
            own = item["metadata"].get("labels") or {}
            here = item["metadata"]["namespace"] == namespace
            return here and bool(labels.items() <= own.items())

        serving = _count(objects, "Pod", is_own, lambda pod: int(serves(pod)))
        wanted = _count(objects, "ReplicaSet", is_own, lambda item: int(item["spec"]["replicas"]))
        self._settled = min(self._settled, budget.replicas)
        grew, self._wanted = wanted > self._wanted, wanted
        if serving < self._settled - budget.unavailable:
            allowed = self._settled - budget.unavailable
            return f"{serving} Pods serve after {self._settled}; at least {allowed} must serve"
        self._settled = max(self._settled, min(serving, budget.replicas))
        if grew and wanted > budget.peak:
            return f"{wanted} Pods are wanted; at most {budget.peak} are allowed"
        return ""


def serves(pod: Object) -> bool:
    """Returns True for a Pod that is ready and not terminating."""
    conditions: list[Object] = pod.get("status", {}).get("conditions", [])
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")


def _has_labels(model: str, track: str) -> Callable[[Object], bool]:
    wanted = {NAME_LABEL: model} | ({"modelcatalog/track": track} if track else {})
    return lambda item: wanted.items() <= (item["metadata"].get("labels") or {}).items()


def _count(
    objects: Mapping[tuple[str, str, str], Object],
    kind: str,
    fits: Callable[[Object], bool],
    value: Callable[[Object], int],
) -> int:
    return sum(value(item) for (of, _, _), item in objects.items() if of == kind and fits(item))
