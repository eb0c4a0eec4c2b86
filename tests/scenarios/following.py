"""Runs a verb and reacts as soon as it prints certain words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

from tests.conftest import Project

React = Callable[["subprocess.Popen[str]"], object]


def run_and_react(project: Project, words: str, react: React, *arguments: str) -> tuple[str, int]:
    """Runs a verb and calls `react` once, when `words` are printed. Kills a run after a minute.

    Returns the output and the exit code.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "framework", *arguments],
        cwd=project.root,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        # A shell starts jobs in the background with SIGINT ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as run:
        limit = threading.Timer(60, run.kill)
        limit.start()
        assert run.stdout is not None
        lines: list[str] = []
        reacted = False
        for line in run.stdout:
            lines.append(line)
            if words in line and not reacted:
                reacted = True
                react(run)
        limit.cancel()
    return "".join(lines), run.returncode
