"""Runs verbs in forks of one process that has imported the framework.

A scenario runs a dozen verbs, and a new Python imports the framework, pydantic and Pulumi for a
second each time. `run_verb` starts a server for the tests of this process. For each verb the server
forks a process that has all modules, and that is otherwise like `python -m framework`: it has its
own folder, environment, output and exit code. It ends with the tests.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from framework.engines.embedded import process
from tests.forked_host import ForkedHost
from tests.shipped import SHIPPED

# A running Python has read these at its start.
_READ_AT_START = ("PYTHON", "LANG", "LC_", "COV_")


def run_verb(
    arguments: Sequence[str], root: Path, environment: Mapping[str, str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Runs `python -m framework ...` in the folder `root`. TimeoutExpired after `timeout_s`."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        request = {"arguments": list(arguments), "root": str(root), "environment": {**environment}}
        code = _start_server().run(request, (output.fileno(), errors.fileno()), timeout_s)
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read().decode("utf-8").replace("\r\n", "\n"))
    return subprocess.CompletedProcess(["framework", *arguments], code, *texts)


def needs_new_python(changed: Mapping[str, str]) -> bool:
    """Returns True if a verb with these variables cannot run in a fork."""
    return any(name.startswith(_READ_AT_START) for name in changed)


class _Server:
    """The client's side of one server."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="modelcatalog-verbs-")
        self._address = f"{self._folder.name}/socket"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.verb_server", self._address],
            cwd=SHIPPED,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        atexit.register(self.close)

    def run(self, request: Mapping[str, Any], files: tuple[int, int], timeout_s: float) -> int:
        """Runs one verb with its output in these files; returns its exit code."""
        with self._connect() as connection:
            content = json.dumps(request).encode()
            socket.send_fds(connection, [len(content).to_bytes(8, "big")], files)
            connection.sendall(content)
            connection.settimeout(timeout_s)
            pid = 0
            try:
                pid = _receive_number(connection)
                return _receive_number(connection)
            except BaseException as exc:
                if pid:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(pid, signal.SIGKILL)
                if isinstance(exc, TimeoutError):
                    raise subprocess.TimeoutExpired(str(request["arguments"]), timeout_s) from exc
                raise

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + 60
        while True:
            try:
                connection.connect(self._address)
                return connection
            except (FileNotFoundError, ConnectionRefusedError):
                assert self._process.poll() is None, "the verb server has ended"
                assert time.monotonic() < deadline, "the verb server does not start"
                time.sleep(0.02)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._folder.cleanup()


def _receive_number(connection: socket.socket) -> int:
    content = connection.recv(8, socket.MSG_WAITALL)
    assert len(content) == 8, "the process that runs a verb for the tests has ended"
    return int.from_bytes(content, "big", signed=True)


@cache
def _start_server() -> _Server:
    return _Server()


# The server


def _serve(address: str) -> None:
    """Answers each connection in a fork, until stdin closes."""
    _import_everything()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(16)
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        while all(key.fileobj is listener for key, _ in selector.select()):
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _answer(connection)
            connection.close()


def _import_everything() -> None:
    import framework

    for module in pkgutil.walk_packages(framework.__path__, "framework."):
        # The last one finds the project in the folder where it is imported.
        if not module.name.endswith(("__main__", ".cli.main")):
            importlib.import_module(module.name)
    importlib.import_module("pulumi.automation")
    importlib.import_module("pulumi_kubernetes")


def _answer(connection: socket.socket) -> None:
    """Runs the verb of one connection in a further fork, and sends its id and exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, files, _, _ = socket.recv_fds(connection, 8, 2)
    request = json.loads(connection.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL))
    pid = os.fork()
    if pid == 0:
        connection.close()
        os.setsid()
        _become_verb(request, files)
        from framework.__main__ import main

        sys.exit(main())
    connection.sendall(pid.to_bytes(8, "big"))
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(BrokenPipeError):
        connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(8, "big", signed=True))
    os._exit(0)


def _become_verb(request: Mapping[str, Any], files: Sequence[int]) -> None:
    """Gives this process what `python -m framework` would start with."""
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    for number, file in zip((1, 2), files, strict=True):
        os.dup2(file, number)
        os.close(file)
    sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace")
    os.chdir(request["root"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    sys.argv = [f"{request['root']}/framework/__main__.py", *request["arguments"]]
    sys.path[0] = request["root"]
    # The program's process needs no new Python either.
    vars(process)["start_host"] = ForkedHost
    # A worker process imports the module `__main__` of its parent.
    sys.modules["__main__"] = importlib.import_module("framework.__main__")


if __name__ == "__main__":
    _serve(sys.argv[1])
