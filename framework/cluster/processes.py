"""Starts, finds and ends the processes of the control plane, by pid files that can be trusted.

Kept apart because it alone touches processes. A pid file records the pid together with the moment
that process began, so that a stale file, or a pid given to a stranger since, is told from ours.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from framework.core.errors import LocalClusterError

TERM_SECONDS = 5.0
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Process:
    """One component's place on this machine: its pid file and its log."""

    name: str
    pid_file: Path
    log: Path

    def pid(self) -> int | None:
        """The running process's pid; None where there is none, or another wears its number."""
        record = self._record()
        pid = record.get("pid")
        if not isinstance(pid, int):
            return None
        started = started_at(pid)
        return pid if started is not None and started == record.get("started") else None

    def runs(self, fingerprint: str) -> bool:
        """Whether it is running, and was launched with just this fingerprint."""
        return self.pid() is not None and self._record().get("fingerprint") == fingerprint

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], fingerprint: str
    ) -> None:
        """Start it in a session of its own, so that Ctrl-C at the terminal does not reach it."""
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        pid = _spawn(command, environment, self.log)
        record = {"pid": pid, "started": started_at(pid), "fingerprint": fingerprint}
        partial = self.pid_file.with_suffix(".partial")
        partial.write_text(json.dumps(record), encoding="utf-8")
        partial.replace(self.pid_file)

    def tail(self, lines: int = 15) -> str:
        """The end of its log, indented for an error message."""
        try:
            with self.log.open(encoding="utf-8", errors="replace") as file:
                found = deque((line.rstrip() for line in file), maxlen=lines)
        except OSError:
            return "  (no log)"
        return "\n".join(f"  {line[:400]}" for line in found) or "  (the log is empty)"

    def _record(self) -> dict[str, object]:
        try:
            record = json.loads(self.pid_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}


def stop_all(processes: Iterable[Process], term_seconds: float = TERM_SECONDS) -> bool:
    """End these processes one after another, asking first; True where any was running."""
    stopped = False
    for process in processes:
        pid = process.pid()
        if pid is not None:
            _end(process, pid, term_seconds)
            stopped = True
        process.pid_file.unlink(missing_ok=True)
    return stopped


def started_at(pid: int) -> str | None:
    """When `pid` began, as an opaque text no other process of that number shares; None if dead."""
    with suppress(ChildProcessError):
        # A child of ours that has ended stays a zombie until it is asked for.
        os.waitpid(pid, os.WNOHANG)
    if sys.platform == "linux":
        return _started_at_linux(pid)
    return _ps(pid, "lstart") or None


def memory_kib(pid: int) -> int:
    """Resident memory of `pid` in KiB; 0 where it has ended."""
    if sys.platform != "linux":
        return int(_ps(pid, "rss") or 0)
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


def _started_at_linux(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The ticks count from the boot. Some sandboxes give a boot no name.
    boot = ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    # The command's name stands in parentheses and may hold spaces and parentheses itself.
    fields = stat.rpartition(")")[2].split()
    state, ticks = fields[0], fields[19]
    return None if state in "ZX" else f"{boot}/{ticks}"


def _ps(pid: int, field: str) -> str:
    done = subprocess.run(["ps", "-o", f"{field}=", "-p", str(pid)], capture_output=True, text=True)
    return done.stdout.strip()


def _spawn(command: Sequence[str], environment: Mapping[str, str], log: Path) -> int:
    # Not subprocess.Popen: it warns when the object goes before the process does, as is meant here.
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    try:
        return os.posix_spawn(
            command[0], list(command), environment, file_actions=actions, setsid=True
        )
    except OSError as exc:
        raise LocalClusterError(
            f"{command[0]}: cannot be started ({exc.strerror}); delete that file to have it built "
            "again, and run `make cluster-up`"
        ) from exc


def _end(process: Process, pid: int, term_seconds: float) -> None:
    for number, seconds in ((signal.SIGTERM, term_seconds), (signal.SIGKILL, 5.0)):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        if _wait_gone(process, seconds):
            return
    raise LocalClusterError(
        f"local cluster: {process.name} (pid {pid}) does not end, not even when killed; "
        f"see what holds it with `ps -o stat,wchan -p {pid}`, and run `make cluster-down` again"
    )


def _wait_gone(process: Process, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while process.pid() is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
