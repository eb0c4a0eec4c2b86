"""Renders the status of the local cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framework.output.text import render_table

if TYPE_CHECKING:
    from framework.cluster import ClusterStatus


def render_status(status: ClusterStatus) -> str:
    """Renders the processes and nodes, and how to use the cluster with kubectl."""
    table = render_table(
        [
            component.name,
            "running" if component.running else "stopped",
            f"pid {component.pid}" if component.pid else "",
            ", ".join(f"127.0.0.1:{port}" for port in component.ports),
        ]
        for component in status.components
    )
    if not status.running:
        return f"The local cluster is not running.   next: make cluster-up\n\n{table}"
    return (
        f"Kubernetes {status.version} at {status.server}, {status.memory_mib} MiB\n"
        f"{status.nodes_ready} of {status.nodes} simulated nodes ready: no container runs\n\n"
        f"{table}\n\n"
        f"kubectl  export KUBECONFIG={status.kubeconfig}\n"
        f"         kubectl --context local get pods -A\n"
        f"binaries {status.binaries}"
    )
