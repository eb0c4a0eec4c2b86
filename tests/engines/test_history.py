"""The history and the backups beside the state, as the pulumi CLI writes and reads them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from framework.core.errors import StateError
from framework.engines.pulumi_cli import PulumiCli, find_pulumi
from framework.engines.state import files
from framework.kube.waiting import RolloutError
from tests.engines.fakes import Stack
from tests.shipped import ROOT


def read_history(stack: Stack) -> list[dict[str, Any]]:
    folder = stack.root / ".state/.pulumi/history/test/dev"
    return [json.loads(path.read_text()) for path in sorted(folder.glob("dev-*.history.json"))]


def list_backups(stack: Stack) -> list[Path]:
    return sorted((stack.root / ".state/.pulumi/backups/test/dev").glob("dev.*.json"))


def test_every_operation_is_in_the_history_with_its_state(stack: Stack) -> None:
    stack.program("config_map('x')")
    stack.up()
    stack.up()
    stack.destroy()
    history = read_history(stack)
    assert [entry["kind"] for entry in history] == ["update", "update", "destroy"]
    assert {entry["result"] for entry in history} == {"succeeded"}
    assert history[0]["resourceChanges"]["create"] >= 1
    assert history[1]["resourceChanges"].keys() == {"same"}
    assert all(entry["endTime"] >= entry["startTime"] > 0 for entry in history)
    folder = stack.root / ".state/.pulumi/history/test/dev"
    last = sorted(folder.glob("dev-*.checkpoint.json"))[-1]
    assert last.read_text() == stack.state_file.read_text()
    assert len(list_backups(stack)) == 3
    assert list_backups(stack)[-1].read_text() == stack.state_file.read_text()


def test_failed_operation_is_in_the_history_and_a_refused_one_is_not(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.program("config_map('x')")
    assert stack.engine.up(stack.request(), lambda _: False, print) is None
    stack.preview()
    assert read_history(stack) == []

    def fail(*arguments: object, **options: object) -> None:
        raise RolloutError("ns/x", "did not roll out", "no room")

    monkeypatch.setattr(stack.cluster, "create", fail)
    assert stack.up().failures
    assert [entry["result"] for entry in read_history(stack)] == ["failed"]


def test_backups_can_be_switched_off(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS", "true")
    stack.program("config_map('x')")
    stack.up()
    assert (len(read_history(stack)), list_backups(stack)) == (1, [])


def test_history_that_cannot_be_written_is_an_error_after_the_state_is_saved(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = files.write_atomically

    def fail(path: Path, text: str, mode: int = files.OWNER_ONLY) -> None:
        if "history" in path.parts:
            raise files.build_write_error(path, OSError(28, "No space left on device"))
        write(path, text, mode)

    monkeypatch.setattr(files, "write_atomically", fail)
    stack.program("config_map('x')")
    with pytest.raises(StateError, match=r"history\.json.*no space left on device"):
        stack.up()
    assert "config_map" not in {entry.get("kind") for entry in read_history(stack)}
    assert [r["type"] for r in stack.resources][-1] == "kubernetes:core/v1:ConfigMap"


@pytest.mark.pulumi_cli
def test_pulumi_reads_the_history(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    stack.program("config_map('x')")
    stack.up()
    stack.destroy()
    cli = find_pulumi(ROOT)
    assert isinstance(cli, PulumiCli)
    listed = subprocess.run(
        [str(cli.command), "stack", "history", "--stack", "dev", "--json"],
        cwd=stack.root,
        env=os.environ | {"PULUMI_CONFIG_PASSPHRASE": "", "PULUMI_SKIP_UPDATE_CHECK": "true"},
        capture_output=True,
        text=True,
        check=True,
    )
    entries = json.loads(listed.stdout)
    assert [entry["kind"] for entry in entries] == ["destroy", "update"]
    assert {entry["result"] for entry in entries} == {"succeeded"}
    assert entries[1]["resourceChanges"]["create"] >= 1
