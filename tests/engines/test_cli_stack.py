"""Errors of the pulumi CLI become ours, and name the file to look at."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pulumi.automation import CommandError, CommandResult
from pulumi.automation.errors import create_command_error

from framework.core.errors import EngineError, StateError
from framework.core.stack import Stack
from framework.engines.base import Request
from framework.engines.cli_opened_stack import OpenedStack
from framework.engines.cli_stack import CliStack, check_pending_creates, open_stack
from framework.engines.interrupts import InterruptibleCommand
from framework.engines.project import load_project
from framework.engines.state.backend import open_backend
from framework.engines.state.checkpoint import Checkpoint, Resource
from tests.engines.fakes import FAKE_CLI

PULUMI_YAML = """
name: test
runtime: python
stackConfigDir: environments
backend: {url: "file://./.state"}
"""


def read_error(root: Path, stderr: str) -> str:
    """Returns the message of the error for a command that fails with this output."""

    def fail() -> None:
        raise create_command_error(CommandResult("", stderr, 255))

    stack = CliStack(FAKE_CLI, load_project(root), "dev", SimpleNamespace(export_stack=fail))
    with pytest.raises((StateError, EngineError)) as caught:
        stack.export_checkpoint()
    return str(caught.value)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "Pulumi.yaml").write_text(PULUMI_YAML)
    (tmp_path / "environments").mkdir()
    (tmp_path / ".state/.pulumi").mkdir(parents=True)
    return tmp_path


def test_wrong_passphrase_names_the_settings_with_the_salt(root: Path) -> None:
    settings = root / "environments/Pulumi.dev.yaml"
    settings.write_text("encryptionsalt: v1:x\n")
    message = read_error(root, "error: incorrect passphrase")
    assert message.startswith(f"{settings}: the passphrase is wrong for this stack")
    assert "remove this file" in message


def test_wrong_passphrase_without_settings_names_the_state(root: Path) -> None:
    message = read_error(root, "error: incorrect passphrase")
    assert message.startswith("stack dev: the passphrase is wrong for this stack")
    assert "remove" not in message


def test_empty_attributes_name_the_file(root: Path) -> None:
    message = read_error(root, "error: failed to load checkpoint: EOF")
    assert message.startswith(f"{root}/.state/.pulumi/stacks/test/dev.json.attrs: ")


def test_other_errors_keep_the_output_of_the_cli(root: Path) -> None:
    assert "something else" in read_error(root, "something else")


# The import of a changed export


class Workspace:
    """A workspace whose command records how it is called, and fails with `error`."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.pulumi_command, self.work_dir, self.env_vars = self, "", {"A": "b"}
        self.error, self.arguments = error, [""]
        self.document: Any = None

    def run(self, arguments: list[str], cwd: str, env: Mapping[str, str], *, input: str) -> None:
        assert env == self.env_vars
        self.arguments, self.document = arguments, json.loads(input)
        if self.error is not None:
            raise self.error


def import_back(root: Path, workspace: Workspace, *pending: dict[str, Any]) -> None:
    stack = CliStack(FAKE_CLI, load_project(root), "dev", SimpleNamespace(workspace=workspace))
    deployment = {"resources": [], "pending_operations": list(pending)}
    stack.import_back(SimpleNamespace(version=3, deployment=deployment))


@pytest.mark.parametrize(
    "error", [None, KeyboardInterrupt(), create_command_error(CommandResult("", "no", 255))]
)
def test_import_writes_no_file_with_secrets(
    root: Path, error: BaseException | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a file was written")

    for name in ("mkdtemp", "mkstemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    workspace = Workspace(error)
    expected = contextlib.nullcontext()
    with pytest.raises((KeyboardInterrupt, EngineError)) if error else expected:
        import_back(root, workspace)
    assert workspace.arguments == ["stack", "import", "--stack", "dev"]
    assert workspace.document == {
        "version": 3,
        "deployment": {"resources": [], "pending_operations": []},
    }


def test_import_keeps_a_pending_create(root: Path) -> None:
    urn = "urn:pulumi:dev::test::kubernetes:core/v1:ConfigMap::app"
    resource = {"urn": urn, "type": "kubernetes:core/v1:ConfigMap"}
    workspace = Workspace()
    with pytest.raises(StateError, match="interrupted while it created ConfigMap app"):
        import_back(root, workspace, {"type": "creating", "resource": resource})
    assert workspace.document is None
    import_back(root, workspace, {"type": "updating", "resource": resource})
    assert workspace.document is not None


def test_refresh_is_refused_while_a_create_is_pending() -> None:
    """Its last step, the import, would fail after the CLI has recorded the live values."""
    urn = "urn:pulumi:dev::test::kubernetes:core/v1:ConfigMap::app"
    resource = {"urn": urn, "type": "kubernetes:core/v1:ConfigMap"}
    operation = {"type": "creating", "resource": resource}
    with pytest.raises(StateError, match="interrupted while it created ConfigMap app"):
        check_pending_creates([operation])
    operation["type"] = "updating"
    check_pending_creates([operation])


# Locks of dead commands


@pytest.mark.parametrize("exists", [False, True])
def test_reading_a_stack_removes_dead_locks_only_to_create_it(
    root: Path, exists: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = open_backend(load_project(root), "dev")
    lock = backend.lock_folder / "1.json"
    lock.parent.mkdir(parents=True)
    lock.write_text(json.dumps({"pid": 2**22 + 1, "hostname": socket.gethostname()}))
    if exists:
        backend.checkpoint_path.parent.mkdir(parents=True)
        backend.checkpoint_path.write_text("{}")
    monkeypatch.setattr("pulumi.automation.create_or_select_stack", lambda **_: SimpleNamespace())
    monkeypatch.setattr("pulumi.automation.LocalWorkspaceOptions", lambda **_: None)
    open_stack(FAKE_CLI, Request(root, Stack.of("dev")))
    assert lock.exists() == exists


@pytest.mark.skipif(sys.platform != "linux", reason="zombies are read from /proc")
def test_lock_of_a_killed_process_that_nobody_waits_for_is_removed(root: Path) -> None:
    backend = open_backend(load_project(root), "dev")
    lock = backend.lock_folder / "1.json"
    lock.parent.mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"]) as process:
        lock.write_text(json.dumps({"pid": process.pid, "hostname": socket.gethostname()}))
        backend.remove_dead_locks()
        assert lock.exists()
        process.kill()
        # Waits for its end, and leaves it a zombie.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        backend.remove_dead_locks()
        assert not lock.exists()


# Inputs after a refresh


_PREFIX = "urn:pulumi:dev::test::"
_PROVIDER = {
    "urn": f"{_PREFIX}pulumi:providers:kubernetes::cluster",
    "type": "pulumi:providers:kubernetes", "custom": True, "id": "1",
}  # fmt: skip
CONFIG: dict[str, Any] = {
    "urn": f"{_PREFIX}kubernetes:core/v1:ConfigMap::app",
    "type": "kubernetes:core/v1:ConfigMap", "custom": True, "id": "ns/app",
    "provider": f"{_PROVIDER['urn']}::1",
}  # fmt: skip
BUCKET = {
    "urn": f"{_PREFIX}aws:s3/bucket:Bucket::models",
    "type": "aws:s3/bucket:Bucket", "custom": True, "id": "models", "inputs": {"tags": {"a": "1"}},
}  # fmt: skip
OTHER, USER = f"{_PREFIX}test:index:Other::other", f"{_PREFIX}test:index:User::user"


def refresh(
    root: Path, error: BaseException | None, workspace: Workspace, replaced: Collection[str] = ()
) -> None:
    """Ends a refresh with `error`, after it has recorded live values as inputs."""
    raw = {**CONFIG, "inputs": {"data": {"a": "1"}}, "outputs": {"metadata": {"uid": "ours"}}}
    before = Resource(raw), Resource({**raw, "delete": True}), Resource(BUCKET)
    live = {**raw, "inputs": {"data": {"a": "1", "foreign": "2"}}}
    live["outputs"] = {"metadata": {"uid": "of others"}}
    urns = [CONFIG["urn"], OTHER]
    user = {"urn": USER, "dependencies": urns, "propertyDependencies": {"spec": urns}}
    others = [{"urn": OTHER, "type": "test:index:Other"}, {**user, "type": "test:index:User"}]
    bucket = {**BUCKET, "inputs": {"tags": {"a": "2"}}}
    resources = [_PROVIDER, live, {**live, "delete": True}, bucket, *others]
    exported = SimpleNamespace(version=3, deployment={"resources": resources})
    automation = SimpleNamespace(workspace=workspace, export_stack=lambda: exported)
    stack = CliStack(FAKE_CLI, load_project(root), "dev", automation)
    request = Request(root, Stack.of("dev"))
    opened = OpenedStack(stack, request, Checkpoint("dev", before), cast(Any, None))
    with opened.restoring_inputs(replaced):
        if error is not None:
            raise error


@pytest.mark.parametrize("error", [None, KeyboardInterrupt(), EngineError("no connection")])
def test_refresh_that_ends_early_leaves_the_declared_inputs(
    root: Path, error: BaseException | None
) -> None:
    workspace = Workspace()
    with pytest.raises(type(error)) if error else contextlib.nullcontext():
        refresh(root, error, workspace)
    _, resource, _, bucket, *_ = workspace.document["deployment"]["resources"]
    assert resource["inputs"] == {"data": {"a": "1"}}
    # Nothing else has what the program declared: the files of the models do not have a bucket.
    assert bucket["inputs"] == BUCKET["inputs"]


def test_refresh_does_not_record_an_object_of_others(root: Path) -> None:
    workspace = Workspace()
    refresh(root, None, workspace, replaced={CONFIG["urn"]})
    resources = {raw["urn"]: raw for raw in workspace.document["deployment"]["resources"]}
    old, user = [resources[urn] for urn in (CONFIG["urn"], USER)]
    # The UID still shows that somebody recreated the old object.
    assert (old["delete"], old["outputs"]["metadata"]["uid"]) == (True, "ours")
    assert user["dependencies"] == user["propertyDependencies"]["spec"] == [OTHER]


@pytest.mark.parametrize("error", [None, KeyboardInterrupt(), EngineError("no connection")])
def test_inputs_that_cannot_be_restored_are_reported(
    root: Path, error: BaseException | None
) -> None:
    workspace = Workspace(create_command_error(CommandResult("", "locked", 255)))
    with pytest.raises(EngineError, match="drift` does not show them; next: `up`") as caught:
        refresh(root, error, workspace)
    expected = {KeyboardInterrupt: "interrupted", EngineError: "no connection"}
    first = str(caught.value).splitlines()[0]
    assert first == expected[type(error)] if error else "does not show them" in first


# The standard input of a command


def build_command(folder: Path, script: str) -> InterruptibleCommand:
    """Returns a command that runs a shell script in place of pulumi."""
    program = folder / "pulumi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return InterruptibleCommand(replace(FAKE_CLI, command=program))


@pytest.mark.parametrize("script", ["cat", "exit 3"])
def test_command_reads_a_long_text_or_ends_before(tmp_path: Path, script: str) -> None:
    command = build_command(tmp_path, script)
    # Longer than the 64 KiB that a pipe holds.
    text = "secret " * 50_000
    if script == "cat":
        assert command.run([], str(tmp_path), {}, input=text).stdout == text.rstrip()
    else:
        with pytest.raises(CommandError):
            command.run([], str(tmp_path), {}, input=text)


# The temporary files of a command


@pytest.mark.parametrize("end", ["", "exit 3"])
def test_command_leaves_no_temporary_file(tmp_path: Path, end: str) -> None:
    # As the Kubernetes provider, which writes the kubeconfig to a file.
    script = f'echo key > "$TMPDIR/kubeconfig1"\necho "$TMPDIR"\n{end}'
    command = build_command(tmp_path, script)
    lines: list[str] = []
    with pytest.raises(CommandError) if end else contextlib.nullcontext():
        command.run([], str(tmp_path), {}, on_output=lines.append)
    assert lines
    assert not Path(lines[0]).exists()
