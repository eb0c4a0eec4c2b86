"""Runs a verb with either engine, and kills it at one of the points that it reaches."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.conftest import Project
from tests.faults.proxy import Fault, FaultProxy, Request

KILL_AT = Path(__file__).with_name("kill_at.py")
EMBEDDED, CLI = "embedded", "cli"
# Runs a verb and kills it at a point, 0 for none; returns the points that it reached, and whether
# it was killed.
RunUntil = Callable[[int, str], tuple[list[str], bool]]


def run_embedded(project: Project) -> RunUntil:
    """Runs a verb that kills its own process; see `kill_at.py`."""

    def run(point: int, verb: str) -> tuple[list[str], bool]:
        log = project.root / "points.log"
        log.unlink(missing_ok=True)
        arguments = [verb, "dev", "--yes", "--engine", EMBEDDED]
        done = subprocess.run(
            [sys.executable, str(KILL_AT), str(point), str(log), *arguments],
            cwd=project.root,
            env=os.environ | {"PYTHONPATH": str(project.root)},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=120,
            check=False,
        )
        assert done.returncode in (0, -signal.SIGKILL), done.stdout + done.stderr
        return log.read_text().splitlines(), done.returncode != 0

    return run


def run_cli(project: Project, proxy: FaultProxy) -> RunUntil:
    """Runs a verb whose processes, pulumi and its provider included, are killed at a request.

    Each write is two points: before it reaches the server, and after the server has answered it,
    but nobody else knows.
    """

    def run(point: int, verb: str) -> tuple[list[str], bool]:
        points: list[str] = []
        lock = threading.Lock()

        def reach(name: str) -> bool:
            with lock:
                points.append(name)
                if len(points) == point:
                    kill_tree(process.pid)
                return len(points) >= point > 0

        def react(request: Request) -> Fault | None:
            if request.is_write and reach(f"before {request}"):
                return Fault()
            return None

        def after(request: Request) -> None:
            reach(f"after {request}")

        proxy.after = after
        with (
            proxy.reacting(react),
            subprocess.Popen(
                [sys.executable, "-m", "framework", verb, "dev", "--yes", "--engine", CLI],
                cwd=project.root,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ) as process,
        ):
            output, _ = process.communicate(timeout=180)
        # The command itself ends before the processes that it started. Those hold the lock.
        with lock:
            proxy.after = lambda request: None
        assert process.returncode in (0, -signal.SIGKILL), output
        return points, process.returncode != 0

    return run


def kill_tree(pid: int) -> None:
    """Kills a process and everything it started, at one moment: all are stopped first."""
    tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for process in tree:
            process.send_signal(number)
    psutil.wait_procs(tree[1:], timeout=10)
