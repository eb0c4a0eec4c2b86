"""Progress of a deployment, in a pipe and in a terminal."""

from __future__ import annotations

import io
import time

import pytest

from framework.core.changes import Change, Op, Progress
from framework.output.progress import RolloutProgress


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """A clock that the test sets, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def change(kind: str, op: Op = Op.DELETE) -> Change:
    return Change(f"urn::{kind}", f"kubernetes:core/v1:{kind}", "m", op, object="ml/m")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize("kind", ["ConfigMap", "Deployment"])
def test_pipe_repeats_what_holds_a_deletion(kind: str, clock: Clock) -> None:
    stream = io.StringIO()
    with RolloutProgress(stream, clock=clock) as progress:
        progress.show(Progress(change(kind), "started"))
        clock.now = 5
        progress.show(Progress(change(kind), "waiting", message="finalizer example.com/hold"))
        clock.now = 65
        progress.show(Progress(change(kind), "waiting", message="finalizer example.com/hold"))
        clock.now = 70
        progress.show(Progress(change(kind), "done"))
    lines = [" ".join(line.split()) for line in stream.getvalue().splitlines()]
    name = "m" if kind == "Deployment" else "ConfigMap m"
    assert lines == [
        f"{name} deleting 0:05",
        "waiting for: finalizer example.com/hold",
        f"{name} deleting 1:05",
        "waiting for: finalizer example.com/hold",
        f"{name} deleted 1:10",
    ]


def test_pipe_does_not_show_a_quick_deletion() -> None:
    stream = io.StringIO()
    with RolloutProgress(stream) as progress:
        progress.show(Progress(change("ConfigMap"), "started"))
        progress.show(Progress(change("ConfigMap"), "done"))
    assert stream.getvalue() == ""


def test_terminal_shows_what_holds_a_deletion_until_it_is_done() -> None:
    stream = Terminal()
    with RolloutProgress(stream) as progress:
        progress.show(Progress(change("ConfigMap"), "started"))
        progress.show(Progress(change("ConfigMap"), "waiting", message="finalizer x"))
        deadline = time.monotonic() + 5
        while "waiting for: finalizer x" not in stream.getvalue():
            assert time.monotonic() < deadline, stream.getvalue()
            time.sleep(0.05)
        progress.show(Progress(change("ConfigMap"), "done"))
    assert "deleted" in stream.getvalue()


def test_deletion_of_a_replacement_is_shown() -> None:
    stream = io.StringIO()
    with RolloutProgress(stream) as progress:
        progress.show(Progress(change("ConfigMap", Op.REPLACE), "waiting", message="finalizer x"))
    assert "ConfigMap m" in stream.getvalue()
    assert "deleting" in stream.getvalue()


def test_interrupt_names_what_the_cluster_continues() -> None:
    stream = io.StringIO()
    progress = RolloutProgress(stream)
    progress.show(Progress(change("Deployment", Op.UPDATE), "rolling", desired=2))
    progress.show(Progress(change("ConfigMap"), "waiting", message="finalizer x"))
    progress.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    text = " ".join(stream.getvalue().split())
    assert "the cluster continues rolling out: ml/m" in text
    assert "the cluster continues deleting: ConfigMap ml/m" in text
