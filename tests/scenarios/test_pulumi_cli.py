"""The real CLI on the same project: plain `pulumi`, ENGINE=cli, and stacks taken over both ways."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Project
from tests.shipped import ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.pulumi_cli]
MakeProject = Callable[..., Project]
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


def succeed(project: Project, *arguments: str) -> str:
    run = project.run(*arguments, **PASSPHRASE)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_plain_pulumi_sees_no_changes_in_our_stack(project: Project) -> None:
    succeed(project, "up", "dev", "--engine", "embedded")
    preview = pulumi(project.root, "preview", "--expect-no-changes")
    assert preview.returncode == 0, preview.stdout + preview.stderr


def test_the_cli_engine_deploys_and_the_embedded_one_takes_over(project: Project) -> None:
    succeed(project, "up", "dev", "--engine", "cli")
    preview = succeed(project, "preview", "dev", "--engine", "embedded", "--json")
    assert json.loads(preview)["clean"]
