"""Starts the program's process, serves it, and ends it for certain.

Kept apart from the handlers: they decide about resources, this decides about a child process.
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

from framework.engines.embedded.monitor import SERVER_THREADS, ProgramHandler, serve
from framework.engines.embedded.project import Project, StackConfig
from framework.errors import EngineError

_PACKAGE_PARENT = Path(__file__).resolve().parents[3]
# Threads of the program that wait for registrations; the server keeps some for everything else.
PARALLEL = SERVER_THREADS - 16
_LAST_LINES = 40
_GRACE_S = 2.0


class ProgramProcess:
    """A program's process: started early, since loading the SDK takes most of a short run."""

    def __init__(self, root: Path) -> None:
        self._report, self._report_fd = os.pipe()
        path = os.pathsep.join(
            part for part in (str(_PACKAGE_PARENT), os.environ.get("PYTHONPATH", "")) if part
        )
        # The program meets no terminal and no signal of the terminal; its engine ends it.
        self._child = subprocess.Popen(
            [sys.executable, "-m", "framework.engines.embedded.host"],
            cwd=root,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(self._report_fd,),
            start_new_session=True,
            text=True,
            errors="replace",
        )
        self.lines: deque[str] = deque(maxlen=_LAST_LINES)
        assert self._child.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self._child.stdout,), daemon=True)
        self._reader.start()

    def __enter__(self) -> ProgramProcess:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self.lines.append(line.rstrip("\n"))

    def run(
        self,
        project: Project,
        stack: str,
        config: StackConfig,
        handler: ProgramHandler,
        *,
        dry_run: bool,
    ) -> None:
        """Run the program to its end. EngineError when it fails, with its own words."""
        address, stop = serve(handler, project.name, stack, dry_run, PARALLEL)
        try:
            self._send(
                {
                    "address": address,
                    "project": project.name,
                    "stack": stack,
                    "root": str(project.root),
                    "program": str(project.program),
                    "config": dict(config.values),
                    "secret_keys": sorted(config.secret_keys),
                    "dry_run": dry_run,
                    "parallel": PARALLEL,
                    "report_fd": self._report_fd,
                }
            )
            code = self._child.wait()
        finally:
            self.end()
            stop()
        if code != 0:
            raise EngineError(self._describe_failure(code))

    def _send(self, order: dict[str, Any]) -> None:
        assert self._child.stdin is not None
        # Left open: the program ends itself when this end closes. A child that is gone already
        # has said why.
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.write(json.dumps(order) + "\n")
            self._child.stdin.flush()

    def _describe_failure(self, code: int) -> str:
        self._reader.join(_GRACE_S)
        with os.fdopen(self._report) as pipe:
            text = pipe.read()
        self._report = -1
        if not text:
            said = "\n".join(self.lines) or "it said nothing"
            return f"the program's process ended with exit code {code}:\n{said}"
        report = json.loads(text)
        # Our own errors are whole messages already.
        if "FrameworkError" in report["kinds"] or "RunError" in report["kinds"]:
            return str(report["message"])
        place = f"{report['place']}: " if report["place"] else ""
        said = "".join(report["traceback"]).rstrip()
        return f"{place}{report['kinds'][0]}: {report['message']}\n{said}"

    def end(self) -> None:
        """End the process and all it started. A second call does nothing."""
        if self._child.poll() is None:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(_GRACE_S)
        if self._child.poll() is None:
            self._signal(signal.SIGKILL)
            self._child.wait()
        if self._report_fd >= 0:
            os.close(self._report_fd)
            self._report_fd = -1
            self._reader.join(_GRACE_S)
            for stream in (self._child.stdin, self._child.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()

    def close(self) -> None:
        """End the process and let go of what it reported."""
        self.end()
        if self._report >= 0:
            os.close(self._report)
            self._report = -1

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, number)
