"""The program's process: started early, ordered to run the program, ended for certain.

Kept apart from the engine's own parts, and free of their imports, so that it can be started before
they are loaded: the two take as long, and load side by side.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import IO, Any

from framework.core.crash_report import describe_file
from framework.core.errors import EngineError
from framework.core.subprocesses import package_environment

_LAST_LINES = 40
_GRACE_S = 2.0
# How Python begins one; an engine's user reads one line and finds the rest in a file.
TRACEBACK = "Traceback (most recent call last)"


class ProgramProcess:
    """A process that has loaded the SDK and runs the program, once for every order."""

    def __init__(self, root: Path) -> None:
        reports, report_fd = os.pipe()
        self._reports = os.fdopen(reports)
        # The program meets no terminal and no signal of the terminal; its engine ends it.
        self._child = subprocess.Popen(
            [sys.executable, "-m", "framework.engines.embedded.host", str(report_fd)],
            cwd=root,
            env=package_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(report_fd,),
            start_new_session=True,
            text=True,
            errors="replace",
        )
        os.close(report_fd)
        self.lines: deque[str] = deque(maxlen=_LAST_LINES)
        assert self._child.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self._child.stdout,), daemon=True)
        self._reader.start()

    def __enter__(self) -> ProgramProcess:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.end()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self.lines.append(line.rstrip("\n"))

    def run(self, order: dict[str, Any]) -> None:
        """Run the program to its end. EngineError when it fails, with its own words."""
        assert self._child.stdin is not None
        # Left open: the program ends itself when this end closes. A process that is gone already
        # has said why.
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.write(json.dumps(order) + "\n")
            self._child.stdin.flush()
        report: dict[str, Any] = {}
        for line in self._reports:
            said = json.loads(line)
            report |= said
            if "code" in said:
                break
        if report.get("code") != 0:
            self.end()
            raise EngineError(self._describe_failure(report))

    def _describe_failure(self, report: dict[str, Any]) -> str:
        if "kinds" not in report:
            code = report.get("code", self._child.returncode)
            said = "\n".join(self.lines) or "it said nothing"
            if TRACEBACK in said:
                said = f"{self.lines[-1]}; {describe_file(said)}"
            return f"the program's process ended with exit code {code}:\n{said}"
        # Our own errors are whole messages already.
        if "FrameworkError" in report["kinds"] or "RunError" in report["kinds"]:
            return str(report["message"])
        position = f"{report['position']}: " if report["position"] else ""
        where = describe_file(report["traceback"])
        return f"{position}{report['kinds'][0]}: {report['message']}; {where}"

    def end(self) -> None:
        """End the process and all it started. A second call does nothing."""
        if self._reports.closed:
            return
        self._reports.close()
        if self._child.poll() is None:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(_GRACE_S)
        if self._child.poll() is None:
            self._signal(signal.SIGKILL)
            self._child.wait()
        self._reader.join(_GRACE_S)
        for stream in (self._child.stdin, self._child.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, number)
