"""Starts, finds and stops the processes of the control plane, which outlive the command."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from framework.core.errors import LocalClusterError

TERM_SECONDS = 5.0
_KILL_SECONDS = 5.0
_EXEC_SECONDS = 1.0
_POLL_SECONDS = 0.02
_TAIL_LINES = 15


@dataclass(frozen=True)
class Process:
    """The process of one component, with its pid file and its log.

    The pid file records the pid, the command line and a fingerprint of the configuration. It is in
    a folder of the cluster's directory.
    """

    name: str
    pid_file: Path
    log: Path

    def pid(self) -> int | None:
        """Returns the pid of the running process, or None."""
        record = self._read_record()
        pid = record.get("pid")
        if not isinstance(pid, int):
            return None
        try:
            command = psutil.Process(pid).cmdline()
        except (psutil.Error, OverflowError, ValueError):
            # Gone, a zombie, or another user's process that got the same pid.
            return None
        return pid if self._is_own(command, record) else None

    def runs(self, fingerprint: str) -> bool:
        """Returns True if the process runs and was started with this fingerprint."""
        return self.pid() is not None and self._read_record().get("fingerprint") == fingerprint

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], fingerprint: str
    ) -> None:
        """Starts the process in its own session, so that Ctrl-C in the terminal does not stop it.

        Raises LocalClusterError if the program cannot be executed.
        """
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        pid = _spawn(command, environment, self.log)
        # On Linux, posix_spawn() returns a moment before the command line of the new process can
        # be read. Until then, pid() would take it for an unrelated process.
        deadline = time.monotonic() + _EXEC_SECONDS
        with suppress(psutil.Error):
            while not psutil.Process(pid).cmdline() and time.monotonic() < deadline:
                time.sleep(0.001)
        record = {"pid": pid, "command": list(command), "fingerprint": fingerprint}
        partial = self.pid_file.with_suffix(".partial")
        partial.write_text(json.dumps(record), encoding="utf-8")
        partial.replace(self.pid_file)

    def tail(self) -> str:
        """Returns the end of the log, indented for an error message."""
        try:
            with self.log.open(encoding="utf-8", errors="replace") as file:
                last = deque((line.rstrip() for line in file), maxlen=_TAIL_LINES)
        except OSError:
            return "  (no log)"
        return "\n".join(f"  {line[:400]}" for line in last) or "  (the log is empty)"

    def _is_own(self, command: list[str], record: Mapping[str, object]) -> bool:
        # After a crash or a reboot, the recorded pid may belong to an unrelated process. Its
        # command line differs: that of a component contains paths and ports of this cluster. The
        # start time cannot be compared: on Linux it is computed from the wall clock, and changes
        # with it.
        if "command" in record:
            return command == record["command"]
        # Earlier versions did not record the command. Compare the program and the folder instead.
        folder = str(self.pid_file.parent.parent)
        is_program = bool(command) and Path(command[0]).name == self.name
        return is_program and any(folder in argument for argument in command[1:])

    def _read_record(self) -> dict[str, object]:
        try:
            record = json.loads(self.pid_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}


def stop_all(processes: Iterable[Process], term_seconds: float = TERM_SECONDS) -> bool:
    """Stops the processes in this order; returns True if any was running.

    Sends SIGTERM first, and SIGKILL after `term_seconds`. Raises LocalClusterError if a process
    survives both.
    """
    stopped = False
    for process in processes:
        pid = process.pid()
        if pid is not None:
            _stop(process, pid, term_seconds)
            stopped = True
        process.pid_file.unlink(missing_ok=True)
    return stopped


def memory_mib(pids: Iterable[int]) -> int:
    """Returns the resident memory of these processes together, in MiB, rounded down."""
    total = 0
    for pid in pids:
        with suppress(psutil.Error):
            total += psutil.Process(pid).memory_info().rss
    return total // 2**20


def find_listener(port: int) -> str:
    """Returns `pid 123 (command)` of the process that listens on a TCP port, "" if unknown.

    The processes of other users are invisible to an ordinary user, and on macOS all of them are.
    """
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            address = connection.laddr
            listens = connection.status == psutil.CONN_LISTEN and address and address.port == port
            if listens and connection.pid:
                command = " ".join(psutil.Process(connection.pid).cmdline())
                return f"pid {connection.pid} ({command[:120]})"
    return ""


def _spawn(command: Sequence[str], environment: Mapping[str, str], log: Path) -> int:
    # subprocess.Popen would warn when the object is deleted while the process still runs.
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
        # A component must not hold what this process inherited, such as the job server's pipe of
        # make or a lock of the shell: whoever waits for the end of it would wait for the cluster.
        *((os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable_descriptors()),
    ]
    try:
        return os.posix_spawn(
            command[0], list(command), environment, file_actions=actions, setsid=True
        )
    except OSError as exc:
        raise LocalClusterError(
            f"{command[0]}: cannot be started ({exc.strerror}); delete that file and run "
            "`make cluster-up`, which builds it again"
        ) from exc


def _inheritable_descriptors() -> list[int]:
    """Returns the open file descriptors above stderr that a child process would inherit."""
    inheritable = []
    for path in Path("/dev/fd").iterdir():
        # The descriptor that read the directory is closed by now.
        with suppress(OSError):
            descriptor = int(path.name)
            if descriptor > 2 and os.get_inheritable(descriptor):
                inheritable.append(descriptor)
    return inheritable


def _stop(process: Process, pid: int, term_seconds: float) -> None:
    try:
        running = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return
    for number, seconds in ((signal.SIGTERM, term_seconds), (signal.SIGKILL, _KILL_SECONDS)):
        with suppress(psutil.NoSuchProcess):
            running.send_signal(number)
        deadline = time.monotonic() + seconds
        while not _has_ended(running) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        if _has_ended(running):
            return
    raise LocalClusterError(
        f"local cluster: {process.name} (pid {pid}) does not stop, not even after SIGKILL; "
        f"see what blocks it with `ps -o stat,wchan -p {pid}`, and run `make cluster-down` again"
    )


def _has_ended(process: psutil.Process) -> bool:
    """Returns True once the process holds no port and no file.

    Process.pid() returns None earlier: Linux frees the command line of an ending process before it
    closes its files. And psutil's wait() returns later: when the process that started the cluster
    still runs, the stopped component stays a zombie of it until that one ends.
    """
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
