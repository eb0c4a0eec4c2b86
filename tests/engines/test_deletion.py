"""A slow deletion shows what it waits for, and an interrupted one is not a failure."""

from __future__ import annotations

from concurrent.futures import wait
from typing import Any

import pytest

from tests.engines.fakes import Stack


@pytest.fixture
def held(stack: Stack) -> Stack:
    """A stack with a ConfigMap whose deletion never ends."""
    stack.program("config_map('kept')\nconfig_map('going')")
    stack.up()
    stack.cluster.held = {"ns/going"}
    stack.progress.clear()
    return stack


@pytest.mark.parametrize("verb", ["up", "destroy"])
def test_interrupted_deletion_shows_its_holders_and_is_not_a_failure(
    held: Stack, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(futures: Any, **options: Any) -> Any:
        if held.cluster.waiting.is_set() and "return_when" in options:
            raise KeyboardInterrupt
        return wait(futures, **options)

    monkeypatch.setattr("framework.engines.embedded.deletion.wait", interrupted)
    held.program("config_map('kept')")
    with pytest.raises(KeyboardInterrupt):
        held.up() if verb == "up" else held.destroy()
    events = [event for event in held.progress if event.change.object == "ns/going"]
    assert [(event.state, event.message) for event in events] == [
        ("started", ""),
        ("waiting", "finalizer example.com/hold"),
    ]

    monkeypatch.undo()
    held.cluster.held.clear()
    assert not held.destroy().failures
    assert held.cluster.ids() == []
