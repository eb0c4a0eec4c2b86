"""A reader that leaves before the end, as `| head` does, hides no outcome."""

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
        pytest.param(["diff", "dev", "--exit-code"], 1, id="asked-for-a-code"),
        pytest.param(["diff", "dev"], 0, id="read-enough"),
        pytest.param(["preview", "dev"], 0, id="changes-nothing"),
    ],
)
def test_the_exit_code(arguments: list[str], code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(root: Path, options: object) -> int:
        raise BrokenPipeError

    monkeypatch.setattr("framework.cli.session.leave", leave, raising=False)
    verbs = [dataclasses.replace(verb, run="session:leave") for verb in VERBS]
    monkeypatch.setattr(front, "VERBS", verbs)
    assert front.main(arguments) == code


def test_a_real_pipe_that_closes_says_nothing() -> None:
    command = [sys.executable, "-m", "framework", "render", "dev"]
    with subprocess.Popen(
        command, cwd=SHIPPED, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.close()
        assert run.stderr.read() == ""
    assert run.returncode == 0
