"""Progress and status of the local cluster.

Kept apart from rollouts' progress: a first build takes minutes and has an estimate of its own.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from framework.core.durations import render_elapsed
from framework.output.text import render_table

if TYPE_CHECKING:
    from framework.cluster import ClusterProgress, ClusterStatus

# In a pipe a long build says that it is alive this often.
_ALIVE_SECONDS = 30


class ClusterScreen:
    """Shows a cluster's progress on `stream`: one line redrawn in a terminal, one an event
    elsewhere; nothing at all when there was nothing to do."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._open_line = False
        self._said: tuple[object, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._open_line:
            print(file=self._stream, flush=True)

    def show(self, progress: ClusterProgress) -> None:
        """One event of the cluster."""
        line = render_progress(progress)
        if self._stream.isatty():
            print(f"\r\033[K{line}", end="" if not progress.done else "\n", file=self._stream)
            self._open_line = not progress.done
            self._stream.flush()
            return
        spoken = (progress.step, progress.component, progress.message, progress.done)
        alive = int(progress.elapsed) // _ALIVE_SECONDS
        if (*spoken, alive) != self._said:
            self._said = (*spoken, alive)
            print(line, file=self._stream, flush=True)


def render_progress(progress: ClusterProgress) -> str:
    """`cluster  build kube-apiserver (2 of 5)  3:12  ...`."""
    where = f" ({progress.index} of {progress.total})" if progress.total > 1 else ""
    state = "done" if progress.done else progress.message
    component = f" {progress.component}" if progress.component else ""
    elapsed = render_elapsed(progress.elapsed)
    return f"cluster  {progress.step}{component}{where}  {elapsed}  {state}".rstrip()


def render_status(status: ClusterStatus) -> str:
    """Processes, nodes, and how to use the cluster with kubectl."""
    rows = [
        [
            part.name,
            "running" if part.running else "stopped",
            f"pid {part.pid}" if part.pid else "",
            ", ".join(f"127.0.0.1:{port}" for port in part.ports),
        ]
        for part in status.components
    ]
    if not status.running:
        head = "The local cluster is not running.   next: make cluster-up"
        return f"{head}\n\n{render_table(rows)}"
    return (
        f"Kubernetes {status.version} at {status.server}, {status.memory_mib} MiB\n"
        f"{status.nodes_ready} of {status.nodes} simulated nodes ready: no container runs\n\n"
        f"{render_table(rows)}\n\n"
        f"kubectl  export KUBECONFIG={status.kubeconfig}\n"
        f"         kubectl --context local get pods -A\n"
        f"binaries {status.binaries}"
    )
