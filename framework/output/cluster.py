"""Shows the start of the local cluster as it goes on, and renders its status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TextIO

from framework.core.durations import render_elapsed
from framework.output.text import render_table

if TYPE_CHECKING:
    from framework.cluster import ClusterProgress, ClusterStatus

# In a pipe, a line this often shows that a build of several minutes still runs.
_REPEAT_SECONDS = 30


class ClusterScreen:
    """Shows progress on `stream`: a redrawn line in a terminal, elsewhere a line per event.

    Prints nothing if there was nothing to do.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._line_is_open = False
        self._shown: tuple[object, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._line_is_open:
            print(file=self._stream, flush=True)

    def show(self, progress: ClusterProgress) -> None:
        """Shows one event of the cluster."""
        line = _render_progress(progress)
        if self._stream.isatty():
            # Returns to the start of the line and erases it.
            print(f"\r\033[K{line}", end="\n" if progress.done else "", file=self._stream)
            self._line_is_open = not progress.done
            self._stream.flush()
            return
        repeat = int(progress.elapsed) // _REPEAT_SECONDS
        event = (progress.step, progress.component, progress.message, progress.done, repeat)
        if event != self._shown:
            self._shown = event
            print(line, file=self._stream, flush=True)


def _render_progress(progress: ClusterProgress) -> str:
    """Returns `cluster  build kube-apiserver (2 of 5)  3:12  compiling`."""
    index = f" ({progress.index} of {progress.total})" if progress.total > 1 else ""
    component = f" {progress.component}" if progress.component else ""
    elapsed = render_elapsed(progress.elapsed)
    state = "done" if progress.done else progress.message
    return f"cluster  {progress.step}{component}{index}  {elapsed}  {state}".rstrip()


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
