"""Processes are found by pid file; dead processes and reused pids are recognised."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from framework.cluster.processes import Process, memory_mib, stop_all
from framework.core.errors import LocalClusterError

SLEEP = ("/bin/sleep", "60")


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    (tmp_path / "run").mkdir()
    process = Process("sleep", tmp_path / "run" / "sleep.pid", tmp_path / "sleep.log")
    yield process
    stop_all([process])


def test_started_process_is_found(process: Process) -> None:
    process.start(SLEEP, {}, "one")
    pid = process.pid()
    assert pid is not None
    assert memory_mib([pid] * 100) > 0
    assert process.runs("one")
    assert not process.runs("another")


def test_process_runs_in_its_own_session(process: Process) -> None:
    process.start(SLEEP, {}, "")
    pid = process.pid()
    assert pid is not None
    assert os.getsid(pid) == pid


def test_process_does_not_hold_an_inherited_pipe_open(process: Process) -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    process.start(SLEEP, {}, "")
    os.close(writer)
    os.set_blocking(reader, False)
    # End of file: nobody has the other end any more. An open one raises BlockingIOError.
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_killed_process_is_not_running(process: Process) -> None:
    process.start(SLEEP, {}, "")
    pid = process.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert process.pid() is None


def test_zombie_is_not_running(process: Process) -> None:
    process.start(SLEEP, {}, "")
    pid = process.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert process.pid() is None
    os.waitpid(pid, 0)


@pytest.mark.parametrize("command", [{"command": ["/bin/sleep", "60"]}, {}], ids=["now", "earlier"])
def test_reused_pid_is_not_ours(process: Process, command: dict[str, object]) -> None:
    process.pid_file.write_text(json.dumps({"pid": os.getpid(), **command}))
    assert process.pid() is None
    assert not stop_all([process])


def test_process_of_an_earlier_version_is_found_and_stopped(
    process: Process, tmp_path: Path
) -> None:
    process.start(("/bin/sh", "-c", "sleep 60; exit", str(tmp_path)), {}, "")
    record = json.loads(process.pid_file.read_text())
    # Earlier versions recorded the start time in place of the command.
    record["started"] = record.pop("command") and "boot/1"
    sh = Process("sh", process.pid_file, process.log)
    process.pid_file.write_text(json.dumps(record))
    assert process.pid() is None
    assert sh.pid() == record["pid"]
    assert stop_all([sh])


@pytest.mark.parametrize("text", ["", "null", "12", '{"pid": "12"}', '{"pid": 99999999}'])
def test_damaged_pid_file_means_not_running(process: Process, text: str) -> None:
    process.pid_file.write_text(text)
    assert process.pid() is None


def test_stop_can_be_repeated(process: Process) -> None:
    process.start(SLEEP, {}, "")
    assert stop_all([process])
    assert not stop_all([process])
    assert not process.pid_file.exists()


def test_process_that_ignores_sigterm_is_killed(process: Process) -> None:
    process.start(("/bin/sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done"), {}, "")
    while "up" not in process.tail():
        assert process.pid() is not None
    assert stop_all([process], term_seconds=0.1)


def test_log_of_the_previous_run_is_kept(process: Process) -> None:
    for word in ("first", "second"):
        process.start(("/bin/echo", word), {}, "")
        while process.pid() is not None:
            pass
    assert process.tail() == "  second"
    assert process.log.with_suffix(".log.1").read_text() == "first\n"


def test_error_names_a_binary_that_cannot_be_started(process: Process) -> None:
    with pytest.raises(LocalClusterError, match=r"/no/such: cannot be started \(No such file"):
        process.start(("/no/such",), {}, "")


def test_process_is_found_as_soon_as_it_is_started(process: Process) -> None:
    for _ in range(20):
        process.start(SLEEP, {}, "")
        assert process.pid() is not None
        stop_all([process])
