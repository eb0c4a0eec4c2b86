"""Runs a verb of the framework, and kills its own process at one point.

Started as `python kill_at.py POINT LOG VERB ...` in a project's folder. A point is a moment at
which the engine talks to the world: before or after a request that may change the cluster, around
the start of a watch, and around each write, flush, rename and removal of a file of the state. Every
point becomes a line of LOG. The process kills itself with SIGKILL at point number POINT; 0 kills
nothing. The framework itself needs no hook for it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

STATE = f"{os.sep}.state{os.sep}"


class Points:
    """Counts the points that are reached, and kills the process at one of them."""

    def __init__(self, at: int, log: Path) -> None:
        self._at, self._count = at, 0
        self._log = log.open("a")
        # All threads stop here while the process dies, as they would with a signal from outside.
        self._lock = threading.RLock()

    def reach(self, name: str, before_death: Callable[[], object] = lambda: None) -> None:
        """Counts one point; `before_death` is what still happens if the process dies here."""
        with self._lock:
            self._count += 1
            print(name, file=self._log, flush=True)
            if self._count == self._at:
                before_death()
                os.kill(os.getpid(), signal.SIGKILL)


def watch_requests(points: Points) -> None:
    """Makes a point before and after each request that may change the cluster."""
    import httpx2

    send = httpx2.Client.send

    def send_counted(self: Any, request: Any, **options: Any) -> Any:
        name = f"{request.method} {request.url.path}"
        is_watch = "watch=true" in str(request.url)
        is_read = request.method == "GET" or "/authorization.k8s.io/" in request.url.path
        if (is_read and not is_watch) or "dryRun=All" in str(request.url):
            return send(self, request, **options)
        points.reach(f"before {name}")
        response = send(self, request, **options)
        points.reach(f"after {name}")
        return response

    httpx2.Client.send = send_counted  # type: ignore[method-assign]


def watch_files(points: Points) -> None:
    """Makes points around each call that changes a file of the state."""
    write, fsync = os.write, os.fsync

    def find_state_file(fd: int) -> str:
        try:
            path = Path(f"/proc/self/fd/{fd}").readlink()
        except OSError:
            return ""
        return path.name if STATE in str(path) else ""

    def write_counted(fd: int, data: Any) -> int:
        name = find_state_file(fd)
        if not name:
            return write(fd, data)
        points.reach(f"half of {name}", lambda: write(fd, bytes(data)[: len(data) // 2]))
        written = write(fd, data)
        points.reach(f"written {name}")
        return written

    def fsync_counted(fd: int) -> None:
        fsync(fd)
        if name := find_state_file(fd):
            points.reach(f"synced {name}")

    counted = {"write": write_counted, "fsync": fsync_counted}
    for name, call in counted.items():
        setattr(os, name, call)
    for name in ("replace", "unlink"):
        setattr(os, name, _count_path_call(points, name, getattr(os, name)))


def _count_path_call(points: Points, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def counted(path: Any, *arguments: Any, **options: Any) -> Any:
        result = call(path, *arguments, **options)
        if STATE in str(Path(path).absolute()):
            points.reach(f"{name} {Path(path).name}")
        return result

    return counted


def main() -> None:
    """Runs the verb of the command line."""
    at, log, *arguments = sys.argv[1:]
    points = Points(int(at), Path(log))
    watch_requests(points)
    watch_files(points)
    from framework.cli.main import main as run

    sys.exit(run(arguments))


if __name__ == "__main__":
    main()
