"""Pid files tell our process from a dead one and from a stranger that wears its number."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from framework.cluster.processes import Process, memory_kib, started_at, stop_all
from framework.core.errors import LocalClusterError

SLEEP = ("/bin/sleep", "60")


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process("sleep", tmp_path / "sleep.pid", tmp_path / "sleep.log")
    yield process
    stop_all([process])


def write_pid(process: Process, pid: int, started: str | None) -> None:
    process.pid_file.write_text(json.dumps({"pid": pid, "started": started}))


def test_a_started_process_is_found(process: Process) -> None:
    process.start(SLEEP, {}, "one")
    pid = process.pid()
    assert pid is not None
    assert memory_kib(pid) > 0
    assert process.runs("one")
    assert not process.runs("another")


def test_it_leads_a_session_of_its_own(process: Process) -> None:
    process.start(SLEEP, {}, "")
    pid = process.pid()
    assert pid is not None
    assert os.getsid(pid) == pid


def test_a_killed_process_is_not_running(process: Process) -> None:
    process.start(SLEEP, {}, "")
    pid = process.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert process.pid() is None


def test_a_recycled_pid_is_a_stranger(process: Process) -> None:
    write_pid(process, os.getpid(), "an earlier boot/1")
    assert process.pid() is None
    assert not stop_all([process])
    assert started_at(os.getpid()) is not None


@pytest.mark.parametrize("text", ["", "null", "12", '{"pid": "12"}', '{"pid": 99999999}'])
def test_a_damaged_pid_file_is_nobody(process: Process, text: str) -> None:
    process.pid_file.write_text(text)
    assert process.pid() is None


def test_stopping_is_repeatable(process: Process) -> None:
    process.start(SLEEP, {}, "")
    assert stop_all([process])
    assert not stop_all([process])
    assert not process.pid_file.exists()


def test_who_does_not_listen_is_killed(process: Process) -> None:
    process.start(("/bin/sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done"), {}, "")
    while "up" not in process.tail():
        assert process.pid() is not None
    assert stop_all([process], term_seconds=0.1)


def test_the_last_start_s_log_is_kept(process: Process) -> None:
    for word in ("first", "second"):
        process.start(("/bin/echo", word), {}, "")
        while process.pid() is not None:
            pass
    assert process.tail() == "  second"
    assert process.log.with_suffix(".log.1").read_text() == "first\n"


def test_a_binary_that_does_not_run_is_named(process: Process) -> None:
    with pytest.raises(LocalClusterError, match=r"/no/such: cannot be started \(No such file"):
        process.start(("/no/such",), {}, "")
