"""The status of the local cluster, as plain data for the command line to draw."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ComponentStatus:
    """One process of the control plane, with the loopback ports that it listens on."""

    name: str
    pid: int | None
    ports: tuple[int, ...]
    running: bool


@dataclass(frozen=True)
class ClusterStatus:
    """The whole cluster. `running`: every component runs and the API server is ready."""

    running: bool
    kubeconfig: Path
    server: str
    version: str
    components: tuple[ComponentStatus, ...]
    nodes_ready: int
    nodes: int
    binaries: Path
    built: bool
    memory_mib: int
