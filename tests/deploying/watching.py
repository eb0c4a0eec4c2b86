"""Watches one model's ReplicaSets and Pods during a rolling update and keeps what it saw.

Kept apart because the budget is judged on every event, not on what polling happens to meet; and on
ReplicaSets and Pods, since a Deployment's own status lags.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from framework.kube.client import KubeClient


@dataclass(frozen=True)
class Seen:
    """The cluster after one event: Pods wanted by all ReplicaSets, and Pods that serve."""

    wanted: int
    serving: int


KINDS = (("apps/v1", "ReplicaSet"), ("v1", "Pod"))


class BudgetWatch:
    """Use as a context manager around an update; `seen` has every state in order.

    Each kind is listed once and watched from there without a gap, until its connection is closed.
    """

    def __init__(self, kubeconfig: Path, namespace: str, labels: str) -> None:
        self._kube = KubeClient.connect(kubeconfig, "local")
        self._namespace, self._labels = namespace, labels
        self._objects: dict[tuple[str, str], dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self.seen: list[Seen] = []

    def __enter__(self) -> Self:
        versions = [self._list(*kind) for kind in KINDS]
        for kind, version in zip(KINDS, versions, strict=True):
            thread = threading.Thread(target=self._watch, args=(*kind, version), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._kube.close()
        for thread in self._threads:
            thread.join(timeout=10)

    def _list(self, api_version: str, kind: str) -> str:
        found, version = self._kube.list_at(api_version, kind, self._namespace, labels=self._labels)
        self._objects.update({(kind, item["metadata"]["name"]): item for item in found})
        return version

    def _watch(self, api_version: str, kind: str, version: str) -> None:
        events = self._kube.watch(
            api_version,
            kind,
            self._namespace,
            labels=self._labels,
            timeout_s=120,
            resource_version=version,
        )
        for event, item in events:
            if event != "BOOKMARK":
                self._note(event, kind, item)

    def _note(self, event: str, kind: str, item: dict[str, Any]) -> None:
        with self._lock:
            key = kind, item["metadata"]["name"]
            if event == "DELETED":
                self._objects.pop(key, None)
            else:
                self._objects[key] = item
            self.seen.append(Seen(self._count_wanted(), self._count_serving()))

    def _count_wanted(self) -> int:
        return sum(
            item["spec"]["replicas"] for (kind, _), item in self._objects.items() if kind != "Pod"
        )

    def _count_serving(self) -> int:
        return sum(_serves(item) for (kind, _), item in self._objects.items() if kind == "Pod")


def _serves(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]
