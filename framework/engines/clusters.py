"""Connects to the clusters of a stack's providers, and checks that they are the recorded ones.

A cluster is identified by the UID of its kube-system Namespace. Contexts and kubeconfig paths are
only names: two kubeconfigs may use one name for two API servers, or two names for one API server.
Both engines and `status` check in this way before they read anything from a cluster.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from framework.cluster import FOLDER, START_ADVICE
from framework.core.drift_rules import Injector
from framework.core.errors import (
    ClusterError,
    ClusterRecreatedError,
    EngineError,
    OtherClusterError,
    RecordedClusterUnreachableError,
    StateError,
)
from framework.core.stack import Stack
from framework.engines.base import NamedCluster, RecordedObjects, Request
from framework.engines.project import load_project
from framework.engines.pulumi_cli import MissingCli, find_pulumi
from framework.engines.recorded import summarize_resources
from framework.engines.stack_tags import StackTags
from framework.engines.state.backend import FileBackend, open_backend
from framework.engines.state.stack_state import StackState
from framework.kinds.registry import RULES
from framework.kube.client import KubeClient
from framework.kube.provider import KubernetesProvider


@dataclass(frozen=True)
class ClusterIdentity:
    """One cluster: the UID of its kube-system Namespace, and how it was reached.

    `server` is the address of the API server; "" where it is not known.
    """

    uid: str
    context: str = ""
    kubeconfig: str = ""
    server: str = ""

    def __str__(self) -> str:
        parts = [f"context {self.context}"]
        parts += [f"kubeconfig {self.kubeconfig}"] if self.kubeconfig else []
        parts += [f"server {self.server}"] if self.server else []
        return ", ".join([*parts, f"kube-system UID {self.uid}"])

    def is_at_same_place(self, other: ClusterIdentity) -> bool:
        """Returns whether both were reached by the same names at the same address."""
        if (self.context, self.kubeconfig) != (other.context, other.kubeconfig):
            return False
        # The local control plane takes another free port at each start.
        is_local = self.kubeconfig == f"{FOLDER}/kubeconfig"
        return is_local or not self.server or self.server == other.server


# The number of calls to API servers at the same time. Waits for rollouts are not limited.
CALLS_AT_ONCE = 16


@dataclass(frozen=True)
class Connection:
    """An open connection; `uid` is that of the kube-system Namespace, `server` the address."""

    provider: KubernetesProvider
    uid: str
    context: str
    close: Callable[[], None]
    server: str = ""

    def identify(self, inputs: Mapping[str, Any]) -> ClusterIdentity:
        """Returns the identity of the cluster, reached with these inputs of a provider."""
        kubeconfig = str(inputs.get("kubeconfig", ""))
        return ClusterIdentity(self.uid, self.context, kubeconfig, self.server)


Connect = Callable[[Mapping[str, Any], Path], Connection]


def connect_kubernetes(inputs: Mapping[str, Any], root: Path) -> Connection:
    """Connects with a provider's inputs; a relative kubeconfig is relative to `root`.

    ClusterError for a cluster that does not answer, EngineError for inputs that need the CLI.
    """
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
    path = build_kubeconfig_path(kubeconfig, root)
    advice = START_ADVICE if path.parent == root / FOLDER else ""
    client = KubeClient.connect(path, context, advice=advice)
    try:
        uid = client.cluster_uid()
    except BaseException:
        client.close()
        raise
    provider = KubernetesProvider(client, rules=RULES)
    return Connection(provider, uid, context, client.close, client.server)


def build_kubeconfig_path(kubeconfig: str, root: Path) -> Path:
    """Returns the path of a kubeconfig; a relative one is relative to the project's folder."""
    return root / Path(kubeconfig).expanduser()


def identify_cluster(
    inputs: Mapping[str, Any], root: Path, connect: Connect = connect_kubernetes
) -> ClusterIdentity:
    """Connects with a provider's inputs, and returns the identity of the cluster."""
    connection = connect(inputs, root)
    connection.close()
    return connection.identify(inputs)


class ClusterRecord(Protocol):
    """The record of the clusters that a stack is deployed on, in its backend."""

    @property
    def cluster_place(self) -> str:
        """The file or tag to remove where the record is wrong, for messages."""

    def read_cluster(self) -> dict[str, Any]:
        """Returns the record, empty when there is none. StateError."""

    def write_cluster(self, record: Mapping[str, Any]) -> None:
        """Replaces the record; writes nothing where it is the same already. StateError."""


class IdentityCheck:
    """Compares each cluster that is reached with the one recorded for its provider.

    `providers` are the inputs of the recorded providers by URN. Without `has_objects` there is
    nothing to protect, and any cluster is accepted. With `accepts_recreated`, as in a refresh, a
    cluster with another UID is accepted if it has the recorded names and address. `identify`
    connects with a provider's inputs.
    """

    def __init__(
        self,
        stack: Stack,
        providers: Mapping[str, Mapping[str, Any]],
        record: ClusterRecord,
        identify: Callable[[Mapping[str, Any]], ClusterIdentity],
        *,
        has_objects: bool,
        accepts_recreated: bool = False,
    ) -> None:
        self._stack, self._record, self._identify = stack, record, identify
        # Without recorded providers every cluster is accepted, see `_find_known`.
        self._providers = providers if has_objects else {}
        self._known = _parse_record(record.read_cluster())
        self._accepts_recreated = accepts_recreated

    def check(self, urn: str, reached: ClusterIdentity) -> None:
        """Raises ClusterError when `reached` is not the cluster recorded for this provider."""
        known = self._find_known(urn, reached)
        # The UID alone decides. The same cluster may be reached by another context or address after
        # somebody renamed the one or moved the other.
        if known is None or known.uid == reached.uid:
            return
        if not known.is_at_same_place(reached):
            place = self._record.cluster_place
            raise OtherClusterError(self._stack, str(known), str(reached), place)
        if not self._accepts_recreated:
            raise ClusterRecreatedError(self._stack, str(known), str(reached))

    def _find_known(self, urn: str, reached: ClusterIdentity) -> ClusterIdentity | None:
        """Returns the recorded cluster of a provider, None where any cluster is accepted.

        Looks for the UID in the record first. Without one, the recorded names decide: a stack of
        the Pulumi CLI has no record of clusters, but its providers have names.
        """
        inputs = self._providers.get(urn)
        if inputs is None:
            return None
        recorded = self._known.get(urn) or self._find_unnamed(inputs, reached)
        if recorded is not None:
            return recorded
        if _read_names(inputs) == (reached.kubeconfig, reached.context):
            return None
        if self._accepts_recreated:
            # OtherClusterError advises to remove the record and refresh, so a refresh without a
            # record accepts the cluster.
            return None
        return self._identify_recorded(inputs, reached)

    def _find_unnamed(
        self, inputs: Mapping[str, Any], reached: ClusterIdentity
    ) -> ClusterIdentity | None:
        """Returns the identity in a record without URNs, if it is that of this provider.

        The tags of a stack, and a record of an earlier version, do not say which provider it
        belongs to. It is the only one, or the one with the recorded context.
        """
        unnamed = self._known.get("")
        if unnamed is None:
            return None
        is_only = len(self._providers) == 1
        if not is_only and unnamed.context != reached.context:
            return None
        kubeconfig, _ = _read_names(inputs)
        return replace(unnamed, kubeconfig=kubeconfig)

    def _identify_recorded(
        self, inputs: Mapping[str, Any], reached: ClusterIdentity
    ) -> ClusterIdentity:
        """Connects with the recorded names, and returns the identity of that cluster.

        No UID is recorded and the names differ, for example after a context was renamed. Only the
        cluster behind the recorded names can tell whether both lead to the same one.
        """
        try:
            return self._identify(inputs)
        except ClusterError as exc:
            kubeconfig, context = _read_names(inputs)
            names = f"context {context}, kubeconfig {kubeconfig}"
            raise RecordedClusterUnreachableError(
                self._stack, names, str(reached), str(exc)
            ) from exc

    def remember(self, urn: str, reached: ClusterIdentity) -> None:
        """Records the cluster that the objects of a provider are on."""
        known = _parse_record(self._record.read_cluster())
        named = {key: identity for key, identity in known.items() if key != ""}
        clusters = {key: asdict(value) for key, value in sorted({**named, urn: reached}.items())}
        self._record.write_cluster({"clusters": clusters})


def _parse_record(record: Mapping[str, Any]) -> dict[str, ClusterIdentity]:
    """Returns identities by the URN of their provider.

    The tags of a stack, and a record of an earlier version, have one identity and no URN; its key
    is "".
    """
    if "clusters" not in record:
        fields = {name: str(record.get(name, "")) for name in ("uid", "context", "server")}
        return {"": ClusterIdentity(**fields)} if fields["uid"] else {}
    return {
        urn: ClusterIdentity(
            **{name: str(fields.get(name, "")) for name in ClusterIdentity.__dataclass_fields__}
        )
        for urn, fields in record["clusters"].items()
    }


def _read_names(inputs: Mapping[str, Any]) -> tuple[str, str]:
    """Returns the kubeconfig and the context that the inputs of a provider name."""
    return str(inputs.get("kubeconfig", "")), str(inputs.get("context", ""))


class Clusters:
    """Connections by the URN of their provider; each is made when it is first needed.

    `recorded` are the inputs of the recorded providers by URN; `named` is the cluster that the
    environment names now. With `identity` every cluster is checked before anything is read from it.
    `injectors` may add to the objects on them. Without `uses_lists` each object is read
    with a call of its own.
    """

    def __init__(
        self,
        root: Path,
        connect: Connect,
        recorded: Mapping[str, Mapping[str, Any]],
        named: NamedCluster | None,
        identity: IdentityCheck | None = None,
        injectors: tuple[Injector, ...] = (),
        uses_lists: bool = True,
    ) -> None:
        self._injectors, self._uses_lists = injectors, uses_lists
        self._root, self._connect = root, connect
        self._recorded, self._named, self._identity = recorded, named, identity
        self._lock = threading.Lock()
        self._inputs: dict[str, Mapping[str, Any]] = {}
        self._open: dict[str, Connection] = {}
        self._failed: dict[str, ClusterError | EngineError] = {}

    def add(self, urn: str, inputs: Mapping[str, Any]) -> None:
        """Adds a provider; the inputs of the first call for a URN count."""
        self._inputs.setdefault(urn, inputs)

    def add_recorded(self, urn: str, inputs: Mapping[str, Any]) -> None:
        """Adds a recorded provider, unless the program has registered it before.

        The only recorded provider is reached by the names in environment.yaml, because its
        kubeconfig may have moved since. With several, it is unknown which one is meant.
        """
        is_only = len(self._recorded) == 1
        self.add(urn, {**inputs, **asdict(self._named)} if self._named and is_only else inputs)

    def add_all_recorded(self) -> None:
        """Adds every recorded provider that the program has not registered."""
        for urn, inputs in self._recorded.items():
            self.add_recorded(urn, inputs)

    def connect(self, provider_urn: str) -> Connection:
        """Returns the connection of a provider. ClusterError, EngineError.

        A cluster that could not be reached is not tried again, so that a thousand objects do not
        wait for a thousand timeouts.
        """
        # The lock is held while a connection is made, so that hundreds of threads that need the
        # same cluster make one connection, not one each.
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
                    self._open[provider_urn] = self._connect_checked(provider_urn)
                except (ClusterError, EngineError) as exc:
                    self._failed[provider_urn] = exc
                    raise
            return self._open[provider_urn]

    def give_up(self, provider_urn: str, failure: ClusterError) -> None:
        """Makes every later `connect` fail, since each further call would wait for a minute."""
        with self._lock:
            self._failed.setdefault(provider_urn, failure)

    def _connect_checked(self, urn: str) -> Connection:
        inputs = self._inputs[urn]
        connection = self._connect(inputs, self._root)
        try:
            if self._identity is not None:
                self._identity.check(urn, connection.identify(inputs))
        except BaseException:
            # Also on Ctrl-C, so that no connection stays open that nobody can close.
            connection.close()
            raise
        connection.provider.injectors = self._injectors
        connection.provider.uses_lists = self._uses_lists
        return connection

    def remember(self) -> None:
        """Records the identity of every cluster that is connected."""
        with self._lock:
            connections = dict(self._open)
        for urn, connection in connections.items():
            if self._identity is not None:
                self._identity.remember(urn, connection.identify(self._inputs[urn]))

    @property
    def failure(self) -> ClusterError | EngineError | None:
        """The reason why some cluster cannot be used, None when all can."""
        with self._lock:
            return next(iter(self._failed.values()), None)

    def close(self) -> None:
        """Closes every connection, which also ends the calls that still wait for a cluster."""
        with self._lock:
            for connection in self._open.values():
                connection.close()
            self._open.clear()


@contextmanager
def open_clusters(
    request: Request,
    recorded: RecordedObjects,
    connect: Connect = connect_kubernetes,
    *,
    accepts_recreated: bool = False,
) -> Iterator[Clusters]:
    """Yields the clusters that recorded objects are on, each one checked when it is connected."""
    identity = IdentityCheck(
        request.stack,
        recorded.providers,
        open_stack_record(request.root, request.stack),
        partial(identify_cluster, root=request.root, connect=connect),
        has_objects=bool(recorded.objects),
        accepts_recreated=accepts_recreated,
    )
    clusters = Clusters(
        request.root, connect, recorded.providers, request.cluster, identity, request.injectors
    )
    clusters.add_all_recorded()
    try:
        yield clusters
    finally:
        clusters.close()


def open_stack_record(root: Path, stack: Stack) -> FileBackend | StackTags:
    """Returns what keeps records beside a stack's state: files of its folder, or tags.

    StateError for a backend that only the CLI reads, if there is no CLI.
    """
    project = load_project(root)
    if project.has_file_backend:
        return open_backend(project, stack.name)
    cli = find_pulumi(root)
    if isinstance(cli, MissingCli):
        raise StateError(f"the state is in {project.describe_backend()}, and {cli.reason}")
    return StackTags(cli, root, stack)


def check_recorded_cluster(
    root: Path, stack: Stack, named: NamedCluster, uid: str, server: str
) -> None:
    """Raises ClusterError when the named cluster, with this UID and address, is not the recorded
    one. Accepts any cluster where the state cannot be read."""
    record = open_stack_record(root, stack)
    if isinstance(record, StackTags):
        # The tags name the cluster, and reading the state takes seconds.
        providers: Mapping[str, Mapping[str, Any]] = {"named": asdict(named)}
        has_objects = True
    else:
        try:
            resources = StackState(load_project(root), record).get_current().resources
        except StateError:
            return
        providers = summarize_resources(resources).providers
        has_objects = any(resource.is_object for resource in resources)
    identify = partial(identify_cluster, root=root)
    check = IdentityCheck(stack, providers, record, identify, has_objects=has_objects)
    # With several providers, it is unknown which one the environment means.
    if len(providers) != 1:
        return
    try:
        reached = ClusterIdentity(uid, named.context, named.kubeconfig, server)
        check.check(next(iter(providers)), reached)
    except ClusterError:
        # A stack that was destroyed keeps its tags, and may be deployed to another cluster.
        if not isinstance(record, StackTags) or record.has_objects():
            raise
