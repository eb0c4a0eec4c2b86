"""The program's process of the embedded engine as a fork, which has all modules already."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from pathlib import Path
from subprocess import TimeoutExpired
from typing import NoReturn

from framework.core.subprocesses import package_environment


class ForkedHost:
    """Has what the engine uses of the `subprocess.Popen` of `process.start_host`."""

    def __init__(self, root: Path, report_fd: int) -> None:
        child_input, own_end = os.pipe()
        own_output, child_output = os.pipe()
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            _become_host(root, child_input, child_output, report_fd)
        os.close(child_input)
        os.close(child_output)
        self.stdin = os.fdopen(own_end, "w")
        self.stdout = os.fdopen(own_output, errors="replace")

    def poll(self) -> int | None:
        """Returns the exit code, None while the process runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the end, and returns the exit code. TimeoutExpired after `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutExpired("host", timeout or 0)
            time.sleep(0.005)
        return code


def _become_host(root: Path, stdin: int, stdout: int, report_fd: int) -> NoReturn:
    code = 1
    try:
        os.setsid()
        for number, descriptor in enumerate((stdin, stdout, stdout)):
            os.dup2(descriptor, number)
        # The engine's end of the pipes as well: the host ends when the engine closes them.
        os.closerange(3, report_fd)
        os.closerange(report_fd + 1, os.sysconf("SC_OPEN_MAX"))
        os.set_inheritable(report_fd, True)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.chdir(root)
        os.environ.update(package_environment())
        sys.argv = ["host", str(report_fd)]
        from framework.engines.embedded.host import main

        main()
        code = 0
    finally:
        if code:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(code)
