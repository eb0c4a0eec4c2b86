"""Brings the control plane up: what is dead is started, what runs is left alone.

Kept apart from `local` because the order matters here and nowhere else: keys before processes, etcd
before the API server, that before everything else, and nodes last.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from framework.cluster.api import ApiServer, LoopbackClient
from framework.cluster.control_plane import COMPONENTS, Component, ControlPlane
from framework.cluster.kubeconfig import build_kubeconfig, write_private
from framework.cluster.layout import Layout
from framework.cluster.nodes import is_schedulable, is_simulated
from framework.cluster.ports import require_free
from framework.cluster.processes import stop_all
from framework.cluster.report import ClusterProgress, OnProgress, Step
from framework.core.errors import LocalClusterError

# Generous: a cold disk or a busy machine is no failure, and a process that dies is noticed at once.
_READY_SECONDS = 120.0
_POLL_SECONDS = 0.05
_TICK_SECONDS = 1.0
# etcd needs no waiting for: the API server is ready only once etcd is.
_FIRST, _REST = COMPONENTS[:2], COMPONENTS[2:]
_DEFAULT_ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"


def is_up(plane: ControlPlane) -> bool:
    """Whether every component runs as it should and the nodes take Pods; quick, changes nothing."""
    if not all(plane.layout.process(component.name).pid() for component in COMPONENTS):
        return False
    if _find_dead(plane):
        return False
    with _connect(plane) as api:
        return api.answers("/readyz") and not api.outdated_nodes() and _nodes_ready(api)


@dataclass(frozen=True)
class Startup:
    """One start of one cluster, under its lock."""

    plane: ControlPlane
    on_progress: OnProgress

    def run(self) -> None:
        """Start what does not run, and wait until Pods can be scheduled."""
        self._ensure_keys()
        server = self.plane.server
        write_private(self._layout.kubeconfig, build_kubeconfig(self._layout, "admin", server))
        dead = _find_dead(self.plane)
        stop_all(self._layout.process(component.name) for component in reversed(dead))
        self._require_ports(dead)
        self._start([component for component in _FIRST if component in dead])
        with _connect(self.plane) as api:
            self._await_healthy(_FIRST)
            if any(component.name == "kwok" for component in dead):
                api.release_leases()
            self._start([component for component in _REST if component in dead])
            self._apply_nodes(api)
            self._await_healthy(_REST)
            self._await("nodes", "nodes", lambda: _nodes_ready(api))
        self._report("ready", "cluster", 0.0, server, done=True)

    @property
    def _layout(self) -> Layout:
        return self.plane.layout

    def _ensure_keys(self) -> None:
        from framework.cluster.pki import ensure_pki

        started = time.monotonic()
        if ensure_pki(self._layout.pki):
            # Whoever still runs holds keys of an authority that is gone.
            stop_all(self._layout.process(c.name) for c in reversed(COMPONENTS))
            self._report("pki", "certificates", time.monotonic() - started, "made", done=True)

    def _require_ports(self, components: Sequence[Component]) -> None:
        for component in components:
            for name in component.ports:
                require_free(component.name, self.plane.ports[name], self._layout.ports)

    def _start(self, components: Sequence[Component]) -> None:
        # Nothing of the user's: etcd and kwok take settings from variables, and Go a proxy.
        environment = {"PATH": os.defpath, "HOME": str(self._layout.run)}
        for component in components:
            launch = self.plane.launch(component.name)
            for path, text in launch.files.items():
                write_private(path, text)
            process = self._layout.process(component.name)
            process.start(launch.command, environment, launch.fingerprint)
            self._report("start", component.name, 0.0, "starting", done=False)

    def _apply_nodes(self, api: ApiServer) -> None:
        nodes = api.outdated_nodes()
        for index, node in enumerate(nodes, start=1):
            api.apply_node(node)
            name = node["metadata"]["name"]
            self.on_progress(
                ClusterProgress("nodes", name, index, len(nodes), 0.0, "applied", True)
            )

    def _await_healthy(self, components: Sequence[Component]) -> None:
        for component in components:
            if component.health:
                port = self.plane.ports[component.ports[0]]
                with LoopbackClient(self._layout, port, _TICK_SECONDS) as client:
                    answers = partial(client.answers, component.health)
                    self._await("start", component.name, answers)

    def _await(self, step: Step, name: str, ready: Callable[[], bool]) -> None:
        started = time.monotonic()
        next_tick = _TICK_SECONDS
        while not ready():
            elapsed = time.monotonic() - started
            if elapsed > next_tick:
                self._report(step, name, elapsed, "waiting", done=False)
                next_tick += _TICK_SECONDS
            self._require_alive()
            if elapsed > _READY_SECONDS:
                raise self._failure(name, f"was not ready after {_READY_SECONDS:.0f} s")
            time.sleep(_POLL_SECONDS)
        self._report(step, name, time.monotonic() - started, "ready", done=True)

    def _require_alive(self) -> None:
        for component in COMPONENTS:
            process = self._layout.process(component.name)
            if process.pid_file.exists() and process.pid() is None:
                raise self._failure(component.name, "ended instead of becoming ready")

    def _failure(self, name: str, what: str) -> LocalClusterError:
        names = [component.name for component in COMPONENTS]
        # Nodes become ready through kwok.
        process = self._layout.process(name if name in names else "kwok")
        return LocalClusterError(
            f"local cluster: {name} {what}; mend what its log tells, or run "
            f"`make cluster-down` and `make cluster-up`; {process.log} ends with\n{process.tail()}"
        )

    def _report(self, step: Step, name: str, elapsed: float, message: str, *, done: bool) -> None:
        names = [component.name for component in COMPONENTS]
        position = (names.index(name) + 1, len(names)) if name in names else (1, 1)
        self.on_progress(ClusterProgress(step, name, *position, elapsed, message, done))


def _find_dead(plane: ControlPlane) -> list[Component]:
    """What does not run, or runs with flags, files or a binary that are no longer the wanted."""

    def runs(name: str) -> bool:
        return plane.layout.process(name).runs(plane.launch(name).fingerprint)

    return [component for component in COMPONENTS if not runs(component.name)]


def _connect(plane: ControlPlane) -> ApiServer:
    return ApiServer(plane.layout, plane.ports["apiserver"])


def _nodes_ready(api: ApiServer) -> bool:
    nodes = [node for node in api.list_nodes() if is_simulated(node)]
    ready = bool(nodes) and all(map(is_schedulable, nodes))
    # A node keeps its last word while kwok is down; its lease says that kwok is back. And no Pod
    # can be made before the controller has made the account it runs as.
    return ready and api.has_leases(nodes) and api.answers(_DEFAULT_ACCOUNT)
