"""Errors of the pulumi CLI become ours, and name the file to look at."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from pulumi.automation import CommandResult
from pulumi.automation.errors import create_command_error

from framework.core.errors import EngineError, StateError
from framework.engines.cli_stack import CliStack
from framework.engines.project import load_project
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
        stack.export_resources()
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
    assert message.startswith(f"{settings}: the passphrase does not fit this stack")
    assert "remove this file" in message


def test_wrong_passphrase_without_settings_names_the_state(root: Path) -> None:
    message = read_error(root, "error: incorrect passphrase")
    assert message.startswith("stack dev: the passphrase does not fit this stack")
    assert "remove" not in message


def test_cut_attributes_name_the_file(root: Path) -> None:
    message = read_error(root, "error: failed to load checkpoint: EOF")
    assert message.startswith(f"{root}/.state/.pulumi/stacks/test/dev.json.attrs: ")


def test_other_errors_keep_the_output_of_the_cli(root: Path) -> None:
    assert "something else" in read_error(root, "something else")
