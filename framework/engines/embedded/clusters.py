"""The clusters behind a stack's providers: connected when first needed, and checked to be the same.

Owns the provider's inputs (kubeconfig, context). Kept apart so that tests connect to a cluster of
their own making.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from framework.cluster import FOLDER, START_ADVICE
from framework.core.errors import ClusterError, EngineError
from framework.engines.base import NamedCluster
from framework.engines.identity import ClusterIdentity, IdentityCheck
from framework.kube.client import KubeClient
from framework.kube.objects import ObjectState
from framework.kube.provider import KubernetesProvider
from framework.kube.reading import ObjectDiff
from framework.kube.waiting import RolloutCounts


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

    def find_own(self, urn: str, inputs: dict[str, Any]) -> ObjectState | None:
        """The object that an interrupted `create` made, None when there is none.
        AlreadyExistsError for one that somebody else made."""

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
    """A cluster that answers; `uid` is its kube-system Namespace's, `server` its address."""

    provider: ObjectProvider
    uid: str
    context: str
    close: Callable[[], None]
    server: str = ""


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
    provider, uid = KubernetesProvider(client), client.cluster_uid()
    return Connection(provider, uid, context, client.close, client.server)


def identify(connection: Connection, inputs: Mapping[str, Any]) -> ClusterIdentity:
    """The identity of a cluster that was reached with these inputs of a provider."""
    kubeconfig = str(inputs.get("kubeconfig", ""))
    return ClusterIdentity(connection.uid, connection.context, kubeconfig, connection.server)


def identify_cluster(
    inputs: Mapping[str, Any], root: Path, connect: Connect = connect_kubernetes
) -> ClusterIdentity:
    """Returns the identity of the cluster that a provider's inputs lead to; the connection ends."""
    connection = connect(inputs, root)
    connection.close()
    return identify(connection, inputs)


class Clusters:
    """Connections by the URN of their provider.

    `recorded` are the inputs of the recorded providers by URN; `named` is the cluster that the
    environment names now.
    """

    def __init__(
        self,
        root: Path,
        connect: Connect,
        recorded: Mapping[str, Mapping[str, Any]],
        named: NamedCluster | None,
    ) -> None:
        self._root, self._connect = root, connect
        self._recorded, self._named = recorded, named
        self._identity: IdentityCheck | None = None
        self._lock = threading.Lock()
        self._inputs: dict[str, Mapping[str, Any]] = {}
        self._open: dict[str, Connection] = {}
        self._failed: dict[str, ClusterError | EngineError] = {}

    def add(self, urn: str, inputs: Mapping[str, Any]) -> None:
        """Say how a provider's cluster is reached; the first word counts."""
        self._inputs.setdefault(urn, inputs)

    def add_recorded(self, urn: str, inputs: Mapping[str, Any]) -> None:
        """Say how a recorded provider's cluster is reached, where nothing was said.

        The cluster that the environment names takes the place of what the only recorded provider
        says: its file may have moved. Of several it is not known which one is meant.
        """
        is_only = len(self._recorded) == 1
        self.add(urn, {**inputs, **asdict(self._named)} if self._named and is_only else inputs)

    def add_all_recorded(self) -> None:
        """Say how the clusters of all recorded providers are reached, where nothing was said."""
        for urn, inputs in self._recorded.items():
            self.add_recorded(urn, inputs)

    def protect(self, identity: IdentityCheck) -> None:
        """Have every cluster checked when it is reached, before anything is read from it."""
        self._identity = identity

    def identify(self, inputs: Mapping[str, Any]) -> ClusterIdentity:
        """The identity of the cluster that a provider's inputs lead to."""
        return identify_cluster(inputs, self._root, self._connect)

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
                    self._open[provider_urn] = self._reach(provider_urn)
                except (ClusterError, EngineError) as exc:
                    self._failed[provider_urn] = exc
                    raise
            return self._open[provider_urn]

    def _reach(self, urn: str) -> Connection:
        inputs = self._inputs[urn]
        connection = self._connect(inputs, self._root)
        try:
            if self._identity is not None:
                self._identity.check(urn, identify(connection, inputs))
        except BaseException:
            connection.close()
            raise
        return connection

    def remember(self) -> None:
        """Record the identity of every cluster that was needed so far."""
        with self._lock:
            opened = dict(self._open)
        for urn, connection in opened.items():
            if self._identity is not None:
                self._identity.remember(urn, identify(connection, self._inputs[urn]))

    @property
    def fault(self) -> ClusterError | EngineError | None:
        """Why some cluster cannot be used, None when all can."""
        with self._lock:
            return next(iter(self._failed.values()), None)

    def close(self) -> None:
        """Close every connection; what waits for the cluster then ends."""
        with self._lock:
            for connection in self._open.values():
                connection.close()
            self._open.clear()
