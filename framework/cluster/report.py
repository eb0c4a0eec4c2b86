"""What the local cluster tells its caller: how far it is, and what state it is in.

Kept apart so that the command line can draw progress and status from plain data, and importing the
package costs nothing: neither an HTTP client nor cryptography is loaded for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

START_ADVICE = "start the local cluster with `make cluster-up`"
Step = Literal["toolchain", "build", "pki", "start", "nodes", "ready"]


@dataclass(frozen=True)
class ClusterProgress:
    """One line of progress. `elapsed` counts seconds since this step of this component began."""

    step: Step
    component: str
    index: int
    total: int
    elapsed: float
    message: str
    done: bool


OnProgress = Callable[[ClusterProgress], None]


@dataclass(frozen=True)
class ComponentStatus:
    """One process of the control plane; `ports` are those it listens on, on loopback."""

    name: str
    pid: int | None
    ports: tuple[int, ...]
    running: bool


@dataclass(frozen=True)
class ClusterStatus:
    """The local cluster as a whole. `running` means that every component is and the API answers."""

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
