"""A reader that closes the pipe early, as `| head` does, hides no failure and stops no rollout."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from framework.cli import main as front
from framework.cli.verbs import VERBS
from tests.shipped import SHIPPED


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(["diff", "dev", "--exit-code"], 1, id="exit-code-is-the-result"),
        pytest.param(["diff", "dev"], 0, id="only-reads"),
        pytest.param(["preview", "dev"], 0, id="changes-nothing"),
    ],
)
def test_reading_verb_stops_with_one_only_where_its_code_is_the_result(
    arguments: list[str], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def close_pipe(root: Path, options: object) -> int:
        raise BrokenPipeError

    _run_instead(close_pipe, monkeypatch)
    assert front.main(arguments) == code


@pytest.mark.parametrize("verb", ["up", "refresh", "adopt", "destroy", "drift"])
@pytest.mark.parametrize("lines", [0, 3])
def test_other_verb_goes_on_without_output_and_keeps_its_code(
    verb: str, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished: list[int] = []

    def print_much(root: Path, options: object) -> int:
        for number in range(lines):
            sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        for number in range(lines):
            assert reader.readline() == f"{number}\n"
        reader.close()
        # Engines print from threads of their own.
        thread = threading.Thread(target=lambda: finished.append(_print_to_both()))
        thread.start()
        thread.join()
        return 3

    read, write = os.pipe()
    _run_instead(print_much, monkeypatch)
    with (
        os.fdopen(read) as reader,
        os.fdopen(write, "w") as stdout,
        os.fdopen(os.dup(write), "w") as stderr,
        monkeypatch.context() as streams,
    ):
        streams.setattr(sys, "stdout", stdout)
        streams.setattr(sys, "stderr", stderr)
        assert front.main([verb, "dev"]) == 3
    assert finished == [2000]


@pytest.mark.parametrize(("result", "code"), [(0, 1), (3, 3)])
def test_verb_continues_on_a_full_disk_and_reports_the_loss(
    result: int,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def print_much(root: Path, options: object) -> int:
        assert _print_to_stdout() == 2000
        return result

    _run_instead(print_much, monkeypatch)
    with Path("/dev/full").open("w") as full, monkeypatch.context() as streams:
        streams.setattr(sys, "stdout", full)
        assert front.main(["up", "dev"]) == code
    assert capsys.readouterr().err == (
        "the output could not be written (No space left on device); the command continued without "
        f"output. Its own exit code was {result}; it exits with {code}\n"
    )


def _print_to_stdout() -> int:
    for number in range(2000):
        sys.stdout.write(f"rolling {number}\n")
        if number % 2:
            sys.stdout.flush()
    return 2000


def _print_to_both() -> int:
    for number in range(2000):
        sys.stdout.write(f"rolling {number}\n")
        sys.stderr.write(f"rolling {number}\n")
        if number % 2:
            sys.stdout.flush()
    return 2000


def _run_instead(run: Callable[[Path, object], int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framework.cli.session.run_instead", run, raising=False)
    verbs = [dataclasses.replace(verb, run="session:run_instead") for verb in VERBS]
    monkeypatch.setattr(front, "VERBS", verbs)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_streams_of_a_process_outlive_their_reader(unbuffered: str) -> None:
    program = (
        "import sys\n"
        "from framework.cli.streams import keep_going_without_output\n"
        "with keep_going_without_output():\n"
        "    for number in range(3):\n"
        "        print(number, flush=True)\n"
        "        sys.stdin.readline()\n"
        "sys.exit(16)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=SHIPPED,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "0\n"
        run.stdout.close()
        run.communicate("\n\n\n")
    assert run.returncode == 16


def test_closed_pipe_prints_no_error() -> None:
    command = [sys.executable, "-m", "framework", "render", "dev"]
    with subprocess.Popen(
        command, cwd=SHIPPED, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.close()
        assert run.stderr.read() == ""
    assert run.returncode == 0
