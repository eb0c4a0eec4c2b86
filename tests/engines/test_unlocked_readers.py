"""A command without the lock sees all that was recorded, also while an `up` ends at that moment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framework.core.errors import StateError
from framework.engines.project import Project, load_project
from framework.engines.state import files
from framework.engines.state.backend import FileBackend, open_backend
from framework.engines.state.checkpoint import Resource
from framework.engines.state.journal import set_line
from framework.engines.state.stack_state import StackState


def build_model(name: str) -> Resource:
    urn = f"urn:pulumi:dev::test::t:i:Model::{name}"
    return Resource({"urn": urn, "type": "t:i:Model", "custom": False})


def list_names(state: StackState) -> set[str]:
    return {found.name for found in state.get_current().resources}


class Files:
    """The files of a state; `on_read` is called after each one that is read."""

    def __init__(self, project: Project, backend: FileBackend) -> None:
        self.project, self.backend = project, backend
        self.on_read: Callable[[], None] = lambda: None
        self.count = 0

    def start(self, *names: str) -> StackState:
        """Starts an `up` that has recorded these models, and has not ended."""
        state = StackState(self.project, self.backend)
        state.record(*(set_line(build_model(name)) for name in names))
        return state

    def read(self) -> set[str]:
        return list_names(StackState(self.project, self.backend))


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    (tmp_path / "Pulumi.yaml").write_text(
        "name: test\nruntime: python\nbackend: {url: 'file://./.state'}\n"
    )
    project = load_project(tmp_path)
    state = Files(project, open_backend(project, "dev"))
    read = files.read_bytes

    def read_counted(path: Path) -> bytes | None:
        content = read(path)
        on_read, state.count = state.on_read, state.count + 1
        on_read()
        return content

    monkeypatch.setattr(files, "read_bytes", read_counted)
    return state


def after(state: Files, number: int, action: Callable[[], Any]) -> None:
    """Runs an action once, after this number of further reads."""
    last = state.count + number

    def act() -> None:
        if state.count == last:
            state.on_read = lambda: None
            action()

    state.on_read = act


@pytest.mark.parametrize("has_checkpoint", [True, False], ids=["later", "first"])
@pytest.mark.parametrize("number", range(1, 6))
def test_up_that_ends_meanwhile_is_seen(state: Files, number: int, has_checkpoint: bool) -> None:
    if has_checkpoint:
        state.start("old").close()
    up = state.start("new")
    after(state, number, up.close)
    assert "new" in state.read()
    state.on_read = lambda: None
    up.close()
    assert state.read() == ({"old", "new"} if has_checkpoint else {"new"})


@pytest.mark.parametrize("number", range(1, 6))
def test_up_that_ends_before_another_one_starts_is_seen(state: Files, number: int) -> None:
    state.start("old").close()
    first = state.start("new")

    def end_and_start() -> None:
        first.close()
        state.start("third")

    after(state, number, end_and_start)
    assert {"old", "new"} <= state.read()


def test_state_that_never_rests_is_an_error(state: Files) -> None:
    state.start("old").close()

    def write() -> None:
        state.on_read = lambda: None
        state.start(f"m{state.count}").close()
        state.on_read = write

    state.on_read = write
    with pytest.raises(StateError, match="wait until they have ended"):
        state.read()
