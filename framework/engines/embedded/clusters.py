"""The clusters behind a stack's providers: connected when first needed, and checked to be the same.

Owns the provider's inputs (kubeconfig, context) and the recognition of a cluster that was made anew
under a kept state. Kept apart so that tests connect to a cluster of their own making.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from framework.cluster import FOLDER, START_ADVICE
from framework.engines.embedded.backend import FileBackend
from framework.errors import ClusterError, EngineError
from framework.kube.client import KubeClient
from framework.kube.diffing import ObjectDiff
from framework.kube.object_state import ObjectState
from framework.kube.provider import KubernetesProvider
from framework.kube.rollouts import RolloutCounts


class ObjectProvider(Protocol):
    """What this engine asks of a cluster; KubernetesProvider is one."""

    def diff(
        self,
        urn: str,
        old: ObjectState | None,
        inputs: dict[str, Any],
        ignore_changes: Sequence[str],
    ) -> ObjectDiff:
        """What create or update would do; writes nothing. ClusterError for what is not ours."""

    def create(self, urn: str, inputs: dict[str, Any]) -> ObjectState:
        """Make the object; returns before it is ready."""

    def update(
        self, urn: str, old: ObjectState, inputs: dict[str, Any], ignore_changes: Sequence[str]
    ) -> ObjectState:
        """Bring the object to its inputs, or make it again; returns before it is ready."""

    def wait(
        self,
        state: ObjectState,
        *,
        timeout_s: float,
        on_counts: Callable[[RolloutCounts], None],
        stop: threading.Event,
    ) -> ObjectState:
        """The state once the object does its work. RolloutError, or WaitStoppedError on `stop`;
        `on_counts` is called from this thread."""

    def read(self, state: ObjectState) -> ObjectState | None:
        """The state with the object as it is now; None when it is gone."""

    def delete(
        self,
        state: ObjectState,
        *,
        timeout_s: float,
        on_held: Callable[[str], None],
        stop: threading.Event,
    ) -> None:
        """Deletes the object and returns when it is gone; gone already is fine.

        `on_held` is told what holds the deletion up. WaitStoppedError on `stop`."""


@dataclass(frozen=True)
class Connection:
    """A cluster that answers; `uid` is its kube-system Namespace's."""

    provider: ObjectProvider
    uid: str
    context: str
    close: Callable[[], None]


Connect = Callable[[Mapping[str, Any], Path], Connection]


def connect_kubernetes(inputs: Mapping[str, Any], root: Path) -> Connection:
    """Connect as a provider's inputs say; a relative kubeconfig is relative to the project."""
    kubeconfig, context = str(inputs.get("kubeconfig", "")), str(inputs.get("context", ""))
    if not kubeconfig or not context:
        raise EngineError(
            "a kubernetes Provider without kubeconfig and context takes them from the machine; "
            "the embedded engine does not: name both in the program"
        )
    if "\n" in kubeconfig or kubeconfig.lstrip().startswith("{"):
        raise EngineError(
            "a kubernetes Provider with an inline kubeconfig would put keys into state; "
            "give the path of a kubeconfig file"
        )
    path = root / Path(kubeconfig).expanduser()
    advice = START_ADVICE if path.parent == root / FOLDER else ""
    client = KubeClient.connect(path, context, advice=advice)
    return Connection(KubernetesProvider(client), client.cluster_uid(), context, client.close)


class IdentityCheck:
    """Refuses a cluster that is not the one the state was applied to."""

    def __init__(self, backend: FileBackend, *, has_objects: bool, several: bool) -> None:
        self._stack, self._backend, self._several = backend.stack, backend, several
        self._known = backend.read_cluster() if has_objects else {}

    def check(self, connection: Connection) -> None:
        """ClusterError when the cluster's UID is not the remembered one."""
        known = self._known.get("uid")
        if not known or connection.uid == known:
            return
        # A stack may span several clusters; then only the remembered one can be told apart.
        if self._several and connection.context != self._known.get("context"):
            return
        raise ClusterError(
            f"stack {self._stack}: context {connection.context} leads to another cluster than the "
            "one this state was applied to (its kube-system Namespace has another UID), so what "
            f"is recorded is gone; next: `make refresh ENV={self._stack} YES=1`, which forgets "
            f"what is gone, then `make up ENV={self._stack}`"
        )

    def remember(self, connection: Connection) -> None:
        """Record the cluster a stack was applied to; the first provider's, if there are several."""
        known = self._backend.read_cluster()
        if not known or known.get("context") == connection.context or not self._known:
            self._backend.write_cluster(connection.uid, connection.context)


class Clusters:
    """Connections by the URN of their provider."""

    def __init__(self, root: Path, connect: Connect, identity: IdentityCheck) -> None:
        self._root, self._connect, self._identity = root, connect, identity
        self._lock = threading.Lock()
        self._inputs: dict[str, Mapping[str, Any]] = {}
        self._open: dict[str, Connection] = {}
        self._failed: dict[str, ClusterError | EngineError] = {}

    def add(self, urn: str, inputs: Mapping[str, Any]) -> None:
        """Say how a provider's cluster is reached; the first word counts."""
        self._inputs.setdefault(urn, inputs)

    def connection(self, provider_urn: str) -> Connection:
        """The provider's cluster, connected. One that cannot be reached is asked only once."""
        with self._lock:
            if provider_urn in self._failed:
                raise self._failed[provider_urn]
            if provider_urn not in self._open:
                if provider_urn not in self._inputs:
                    raise EngineError(
                        f"{provider_urn}: this provider is neither in the program nor in state; "
                        "register it in the program, or repair the state with `pulumi state`"
                    )
                try:
                    inputs = self._inputs[provider_urn]
                    connection = self._connect(inputs, self._root)
                    self._identity.check(connection)
                    self._open[provider_urn] = connection
                except (ClusterError, EngineError) as exc:
                    self._failed[provider_urn] = exc
                    raise
            return self._open[provider_urn]

    @property
    def fault(self) -> ClusterError | EngineError | None:
        """Why some cluster cannot be used, None when all can."""
        with self._lock:
            return next(iter(self._failed.values()), None)

    def opened(self) -> list[Connection]:
        """Every cluster that was needed so far."""
        with self._lock:
            return list(self._open.values())

    def close(self) -> None:
        """Close every connection; what waits for the cluster then ends."""
        with self._lock:
            for connection in self._open.values():
                connection.close()
            self._open.clear()
