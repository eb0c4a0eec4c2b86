"""Starts the program's process (`host`), sends it requests to run the program, and ends it.

Imports neither Pulumi nor anything heavy: the process is started before the engine's own imports,
so that both load at the same time.
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

from framework.core.crash_report import describe_traceback
from framework.core.errors import EngineError
from framework.core.subprocesses import package_environment

_LAST_LINES = 40
_GRACE_S = 2.0
_TRACEBACK = "Traceback (most recent call last)"


def start_host(root: Path, report_fd: int) -> subprocess.Popen[str]:
    """Starts `host` in the project's folder; it writes its reports to `report_fd`."""
    # A session of its own: Ctrl-C in the terminal reaches the engine alone, which then ends the
    # program itself, after the steps that are under way.
    return subprocess.Popen(
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


class ProgramProcess:
    """A process that has loaded the SDK, and runs the program once for every request."""

    def __init__(self, root: Path) -> None:
        reports, report_fd = os.pipe()
        self._reports = os.fdopen(reports)
        self._child = start_host(root, report_fd)
        # The child has its own copy. As long as this one is open, reading the reports would not end
        # with it.
        os.close(report_fd)
        self._output: deque[str] = deque(maxlen=_LAST_LINES)
        assert self._child.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self._child.stdout,), daemon=True)
        self._reader.start()

    def __enter__(self) -> ProgramProcess:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.end()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self._output.append(line.rstrip("\n"))

    @property
    def has_ended(self) -> bool:
        """True once the process was ended."""
        return self._reports.closed

    def run(self, request: dict[str, Any]) -> None:
        """Runs the program to its end. EngineError, with the program's own message, if it fails.

        The fields of `request` are those that `host` reads.
        """
        assert self._child.stdin is not None
        # stdin stays open: the program ends itself when it closes. A broken pipe means that the
        # process has ended; the error is then built from its output.
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.write(json.dumps(request) + "\n")
            self._child.stdin.flush()
        report: dict[str, Any] = {}
        for line in self._reports:
            report |= json.loads(line)
            if "code" in report:
                break
        if report.get("code") != 0:
            if "classes" not in report:
                # The process has ended, or the run in it was killed. The reason is in its output,
                # which is complete only after the end.
                self.end()
            raise EngineError(self._describe_failure(report))

    def _describe_failure(self, report: dict[str, Any]) -> str:
        if "classes" not in report:
            code = report.get("code", self._child.returncode)
            output = "\n".join(self._output) or "it printed nothing"
            if _TRACEBACK in output:
                output = f"{self._output[-1]}; {describe_traceback(output)}"
            return f"the program's process ended with exit code {code}:\n{output}"
        # Our errors, and those that a program raises for its user, are complete messages.
        if "FrameworkError" in report["classes"] or "RunError" in report["classes"]:
            return str(report["message"])
        position = f"{report['position']}: " if report["position"] else ""
        file = describe_traceback(report["traceback"])
        return f"{position}{report['classes'][0]}: {report['message']}; {file}"

    def end(self) -> None:
        """Ends the process and everything it started. A second call does nothing."""
        if self.has_ended:
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
