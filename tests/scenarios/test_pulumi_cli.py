"""Each engine takes over a stack of the other one, and sees no changes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import MakeProject, Project
from tests.shipped import ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.pulumi_cli]
PASSPHRASE = {"PULUMI_CONFIG_PASSPHRASE": "test"}


@pytest.fixture
def project(make_live_project: MakeProject) -> Project:
    made = make_live_project("churn")
    (made.root / ".venv").symlink_to(ROOT / ".venv")
    return made


def pulumi(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["pulumi", *arguments, "--non-interactive", "--stack", "dev"],
        cwd=root,
        env={**os.environ, **PASSPHRASE},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_stack_of_the_embedded_engine_is_unchanged_for_pulumi(project: Project) -> None:
    project.succeed("up", "dev", "--engine", "embedded", **PASSPHRASE)
    preview = pulumi(project.root, "preview", "--expect-no-changes")
    assert preview.returncode == 0, preview.stdout + preview.stderr


def test_stack_of_the_cli_engine_is_unchanged_for_the_embedded_one(project: Project) -> None:
    project.succeed("up", "dev", "--engine", "cli", **PASSPHRASE)
    preview = project.succeed("preview", "dev", "--engine", "embedded", "--json", **PASSPHRASE)
    assert json.loads(preview)["clean"]
