"""The local cluster as its callers see it: bring it up, take it down, ask how it is.

Kept apart from the parts it puts in order (binaries, keys, ports, processes, nodes), each of which
knows nothing of the others. What is slow to import waits until a method needs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from framework.cluster.build import Binaries
from framework.cluster.control_plane import COMPONENTS, Component, ControlPlane
from framework.cluster.layout import FOLDER, Layout
from framework.cluster.nodes import is_schedulable
from framework.cluster.pins import load_pins
from framework.cluster.ports import ensure_ports, load_ports
from framework.cluster.processes import memory_kib, stop_all
from framework.cluster.report import ClusterStatus, ComponentStatus, OnProgress
from framework.core.errors import LocalClusterError
from framework.core.user_cache import cache_directory

_LOCK_SECONDS = 300.0


class LocalCluster:
    """A real control plane on this machine with simulated nodes, one for each checkout."""

    def __init__(self, root: Path, *, directory: Path | None = None) -> None:
        self._tools = root / "tools"
        self._layout = Layout((directory or root / FOLDER).resolve())

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig; its one context is `local`."""
        return self._layout.kubeconfig

    @property
    def exists(self) -> bool:
        """Whether it was ever brought up here; not whether it runs."""
        return self.kubeconfig.exists()

    def up(self, on_progress: OnProgress) -> ClusterStatus:
        """Build what is not built, start what does not run, and wait until Pods can be scheduled.

        Safe to repeat and to interrupt. LocalClusterError says what failed and what to do.
        """
        binaries = self._binaries()
        binaries.build(on_progress)
        self._layout.create()
        with self._locked():
            from framework.cluster.startup import Startup, is_up

            ports = ensure_ports(self._layout.ports)
            plane = ControlPlane(self._layout, ports, binaries.directory)
            if not is_up(plane):
                Startup(plane, on_progress).run()
        return self.status()

    def down(self) -> bool:
        """End the control plane and keep its data; True where anything was running."""
        if not self._layout.run.exists():
            return False
        with self._locked():
            return stop_all(self._layout.process(c.name) for c in reversed(COMPONENTS))

    def status(self) -> ClusterStatus:
        """How it is, without changing anything."""
        binaries = self._binaries()
        ports = load_ports(self._layout.ports)
        components = tuple(self._component_status(c, ports) for c in COMPONENTS)
        server = ControlPlane(self._layout, ports, binaries.directory).server if ports else ""
        running = bool(ports) and all(component.running for component in components)
        nodes = self._list_nodes(ports["apiserver"]) if running else None
        pids = [component.pid for component in components if component.pid is not None]
        return ClusterStatus(
            running=nodes is not None,
            kubeconfig=self.kubeconfig,
            server=server,
            version=binaries.pins.kubernetes,
            components=components,
            nodes_ready=sum(map(is_schedulable, nodes or [])),
            nodes=len(nodes or []),
            binaries=binaries.directory,
            built=not binaries.missing,
            memory_mib=sum(map(memory_kib, pids)) // 1024,
        )

    def _binaries(self) -> Binaries:
        return Binaries(load_pins(self._tools), cache_directory())

    def _component_status(self, component: Component, ports: dict[str, int]) -> ComponentStatus:
        pid = self._layout.process(component.name).pid()
        own = tuple(ports[name] for name in component.ports if name in ports)
        return ComponentStatus(component.name, pid, own, pid is not None)

    def _list_nodes(self, port: int) -> list[dict[str, Any]] | None:
        from framework.cluster.api import ApiServer

        with ApiServer(self._layout, port) as api:
            return api.list_nodes() if api.answers("/readyz") else None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        try:
            with FileLock(self._layout.lock, timeout=_LOCK_SECONDS):
                yield
        except Timeout as exc:
            raise LocalClusterError(
                f"{self._layout.lock}: another command has been starting or stopping the local "
                f"cluster for {_LOCK_SECONDS:.0f} s; end that command and try again"
            ) from exc
