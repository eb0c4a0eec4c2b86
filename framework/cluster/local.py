"""Starts, stops and inspects the local cluster.

The order of a start matters: certificates before processes, etcd before the API server, the API
server before the other components, and nodes last.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from framework.builds import OnProgress, SetupProgress
from framework.builds.binaries import Binaries
from framework.cluster import FOLDER
from framework.cluster.api import ApiServer, LoopbackClient, is_schedulable, is_simulated
from framework.cluster.binaries import load_binaries
from framework.cluster.control_plane import COMPONENTS, Component, ControlPlane, build_kubeconfig
from framework.cluster.layout import (
    Layout,
    ensure_ports,
    load_ports,
    require_free,
    write_private,
)
from framework.cluster.pki import ensure_pki
from framework.cluster.processes import memory_mib, stop_all
from framework.cluster.report import ClusterStatus, ComponentStatus
from framework.core.errors import LocalClusterError

_LOCK_SECONDS = 300.0
# Long, because a cold disk or a busy machine is not an error. A process that exits is noticed at
# once.
_READY_SECONDS = 120.0
_POLL_SECONDS = 0.05
_TICK_SECONDS = 1.0
# etcd and the API server start first, because the others are clients of the API server.
_FIRST, _REST = COMPONENTS[:2], COMPONENTS[2:]
_DEFAULT_ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"


class LocalCluster:
    """The local cluster of one checkout."""

    def __init__(self, root: Path, *, directory: Path | None = None) -> None:
        self._tools = root / "tools"
        self._layout = Layout((directory or root / FOLDER).resolve())

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, whose only context is `local`."""
        return self._layout.kubeconfig

    @property
    def exists(self) -> bool:
        """True if the cluster was ever started here, whether or not it runs."""
        return self.kubeconfig.exists()

    def up(self, on_progress: OnProgress) -> ClusterStatus:
        """Builds and starts what is missing, and waits until Pods can be scheduled.

        Can be repeated, and repeated after an interruption. Raises BuildError or
        LocalClusterError.
        """
        binaries = self._binaries()
        binaries.build(on_progress)
        self._layout.create()
        with self._locked():
            ports = ensure_ports(self._layout.ports)
            plane = ControlPlane(self._layout, ports, binaries.directory)
            if not _is_up(plane):
                _Startup(plane, on_progress).run()
        return self.status()

    def down(self) -> bool:
        """Stops the control plane and keeps its data; returns True if anything was running."""
        if not self._layout.run.exists():
            return False
        with self._locked():
            return _stop(self._layout, COMPONENTS)

    def status(self) -> ClusterStatus:
        """Returns the state of the cluster and its processes; changes nothing."""
        binaries = self._binaries()
        ports = load_ports(self._layout.ports)
        components = tuple(self._component_status(component, ports) for component in COMPONENTS)
        nodes: list[dict[str, Any]] = []
        ready = False
        if ports and all(component.running for component in components):
            with ApiServer(self._layout, ports["apiserver"]) as api:
                ready = api.is_ok("/readyz")
                nodes = api.list_nodes() if ready else []
        return ClusterStatus(
            running=ready,
            kubeconfig=self.kubeconfig,
            server=ControlPlane(self._layout, ports, binaries.directory).server if ports else "",
            version=binaries.label,
            components=components,
            nodes_ready=sum(map(is_schedulable, nodes)),
            nodes=len(nodes),
            binaries=binaries.directory,
            built=not binaries.missing,
            memory_mib=memory_mib(c.pid for c in components if c.pid is not None),
        )

    def _binaries(self) -> Binaries:
        return load_binaries(self._tools)

    def _component_status(self, component: Component, ports: dict[str, int]) -> ComponentStatus:
        pid = self._layout.process(component.name).pid()
        own_ports = tuple(ports[name] for name in component.ports if name in ports)
        return ComponentStatus(component.name, pid, own_ports, pid is not None)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            with FileLock(self._layout.lock, timeout=_LOCK_SECONDS):
                yield
        except Timeout as exc:
            raise LocalClusterError(
                f"{self._layout.lock}: another command has been starting or stopping the local "
                f"cluster for {_LOCK_SECONDS:.0f} s; stop that command and try again"
            ) from exc


@dataclass(frozen=True)
class _Startup:
    """One start of one cluster. The caller holds the cluster's lock."""

    plane: ControlPlane
    on_progress: OnProgress

    def run(self) -> None:
        """Starts every component that does not run, and waits until Pods can be scheduled."""
        self._ensure_keys()
        server = self.plane.server
        write_private(self._layout.kubeconfig, build_kubeconfig(self._layout, "admin", server))
        missing = _find_missing(self.plane)
        _stop(self._layout, missing)
        for component in missing:
            for name in component.ports:
                require_free(component.name, self.plane.ports[name], self._layout.ports)
        self._start([component for component in _FIRST if component in missing])
        with ApiServer(self._layout, self.plane.ports["apiserver"]) as api:
            self._await_healthy(_FIRST)
            if any(component.name == "kwok" for component in missing):
                api.release_leases()
            self._start([component for component in _REST if component in missing])
            self._apply_nodes(api)
            self._await_healthy(_REST)
            self._await("nodes", "nodes", lambda: _nodes_ready(api))
        self._report("ready", "cluster", 0.0, server, done=True)

    @property
    def _layout(self) -> Layout:
        return self.plane.layout

    def _ensure_keys(self) -> None:
        started = time.monotonic()
        if ensure_pki(self._layout.pki):
            # Components that still run trust the previous authority only.
            _stop(self._layout, COMPONENTS)
            elapsed = time.monotonic() - started
            self._report("pki", "certificates", elapsed, "created", done=True)

    def _start(self, components: Sequence[Component]) -> None:
        # The user's variables are not passed on: etcd and kwok read settings from variables, and
        # Go programs a proxy.
        environment = {"PATH": os.defpath, "HOME": str(self._layout.run)}
        for component in components:
            launch = self.plane.launch(component.name)
            for path, text in launch.files.items():
                write_private(path, text)
            process = self._layout.process(component.name)
            process.start(launch.command, environment, launch.fingerprint)
            self._report("start", component.name, 0.0, "starting", done=False)

    def _apply_nodes(self, api: ApiServer) -> None:
        nodes = api.find_outdated_nodes()
        for index, node in enumerate(nodes, start=1):
            api.apply_node(node)
            name = node["metadata"]["name"]
            self.on_progress(SetupProgress("nodes", name, index, len(nodes), 0.0, "applied", True))

    def _await_healthy(self, components: Sequence[Component]) -> None:
        # etcd has no health path here: the API server is ready only when etcd is.
        for component in components:
            if component.health:
                port = self.plane.ports[component.ports[0]]
                with LoopbackClient(self._layout, port, _TICK_SECONDS) as client:
                    is_healthy = partial(client.is_ok, component.health)
                    self._await("start", component.name, is_healthy)

    def _await(self, step: str, name: str, is_ready: Callable[[], bool]) -> None:
        started = time.monotonic()
        next_tick = _TICK_SECONDS
        while not is_ready():
            elapsed = time.monotonic() - started
            if elapsed > next_tick:
                self._report(step, name, elapsed, "waiting", done=False)
                next_tick += _TICK_SECONDS
            for component in COMPONENTS:
                process = self._layout.process(component.name)
                if process.pid_file.exists() and process.pid() is None:
                    raise self._failure(component.name, "exited before it became ready")
            if elapsed > _READY_SECONDS:
                raise self._failure(name, f"was not ready after {_READY_SECONDS:.0f} s")
            time.sleep(_POLL_SECONDS)
        self._report(step, name, time.monotonic() - started, "ready", done=True)

    def _failure(self, name: str, problem: str) -> LocalClusterError:
        names = [component.name for component in COMPONENTS]
        # kwok makes the nodes ready, so its log explains why they are not.
        process = self._layout.process(name if name in names else "kwok")
        return LocalClusterError(
            f"local cluster: {name} {problem}; fix what its log reports, or run "
            f"`make cluster-down` and `make cluster-up`; {process.log} ends with\n{process.tail()}"
        )

    def _report(self, step: str, name: str, elapsed: float, message: str, *, done: bool) -> None:
        names = [component.name for component in COMPONENTS]
        position = (names.index(name) + 1, len(names)) if name in names else (1, 1)
        self.on_progress(SetupProgress(step, name, *position, elapsed, message, done))


def _is_up(plane: ControlPlane) -> bool:
    """Returns True if every component runs with current settings and the nodes accept Pods.

    It is fast, because every `up` calls it.
    """
    # This check comes first, because _find_missing reads the certificates. If processes run, the
    # certificates exist.
    if not all(plane.layout.process(component.name).pid() for component in COMPONENTS):
        return False
    if _find_missing(plane):
        return False
    with ApiServer(plane.layout, plane.ports["apiserver"]) as api:
        return api.is_ok("/readyz") and not api.find_outdated_nodes() and _nodes_ready(api)


def _find_missing(plane: ControlPlane) -> list[Component]:
    """Returns the components that do not run, or run with outdated flags, files or binaries."""
    return [
        component
        for component in COMPONENTS
        if not plane.layout.process(component.name).runs(plane.launch(component.name).fingerprint)
    ]


def _stop(layout: Layout, components: Sequence[Component]) -> bool:
    # In reverse order, so that each component stops before the server that it depends on.
    return stop_all(layout.process(component.name) for component in reversed(components))


def _nodes_ready(api: ApiServer) -> bool:
    nodes = [node for node in api.list_nodes() if is_simulated(node)]
    is_ready = bool(nodes) and all(map(is_schedulable, nodes))
    # While kwok is down, a node keeps its last status; the lease shows that kwok is back. And no
    # Pod can be created before the controller manager has created the default ServiceAccount.
    return is_ready and api.has_leases(nodes) and api.is_ok(_DEFAULT_ACCOUNT)
