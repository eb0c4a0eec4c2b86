"""A reader that closes the pipe early, as `| head` does, does not hide a failure."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from framework.cli import main as front
from framework.cli.verbs import VERBS
from tests.shipped import SHIPPED


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(["up", "dev"], 1, id="half-done"),
        pytest.param(["refresh", "dev"], 1, id="half-written"),
        pytest.param(["drift", "dev"], 1, id="differences-unknown"),
        pytest.param(["diff", "dev", "--exit-code"], 1, id="exit-code-is-the-result"),
        pytest.param(["diff", "dev"], 0, id="only-reads"),
        pytest.param(["preview", "dev"], 0, id="changes-nothing"),
    ],
)
def test_exit_code_fails_unless_the_verb_only_reads(
    arguments: list[str], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def close_pipe(root: Path, options: object) -> int:
        raise BrokenPipeError

    monkeypatch.setattr("framework.cli.session.close_pipe", close_pipe, raising=False)
    verbs = [dataclasses.replace(verb, run="session:close_pipe") for verb in VERBS]
    monkeypatch.setattr(front, "VERBS", verbs)
    assert front.main(arguments) == code


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
