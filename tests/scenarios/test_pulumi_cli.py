"""Each engine takes over a stack of the other one, and sees no changes."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.conftest import MakeProject, Project
from tests.shipped import ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.pulumi_cli]
PASSPHRASE = {"PULUMI_CONFIG_PASSPHRASE": "test"}


@pytest.fixture
def project(make_live_project: MakeProject) -> Project:
    return make_live_project("churn")


def test_stack_of_the_embedded_engine_is_unchanged_for_the_cli_engine(project: Project) -> None:
    project.succeed("up", "dev", "--engine", "embedded", **PASSPHRASE)
    preview = project.succeed("preview", "dev", "--engine", "cli", "--json", **PASSPHRASE)
    assert json.loads(preview)["clean"]


def test_stack_of_the_cli_engine_is_unchanged_for_the_embedded_one(project: Project) -> None:
    project.succeed("up", "dev", "--engine", "cli", **PASSPHRASE)
    preview = project.succeed("preview", "dev", "--engine", "embedded", "--json", **PASSPHRASE)
    assert json.loads(preview)["clean"]


def test_stack_without_secrets_needs_no_passphrase(project: Project) -> None:
    up = project.succeed("up", "dev", "--engine", "cli")
    assert "pulumi-resource-kubernetes" not in up
    assert "expected to have version" not in up
    project.succeed("up", "dev", "--engine", "cli", "--yes")
    outputs = json.loads(project.succeed("outputs", "dev", "--engine", "cli", "--json"))
    assert outputs["deployments"] == {"churn": "churn"}


def test_destroy_reports_each_model(project: Project) -> None:
    project.succeed("up", "dev", "--engine", "cli")
    assert "1 model done" in project.succeed("destroy", "dev", "--engine", "cli", "--yes")


def test_salt_is_ignored_by_git_and_a_fresh_clone_needs_none(project: Project) -> None:
    project.succeed("up", "dev", "--engine", "cli", PULUMI_CONFIG_PASSPHRASE="one")
    salt = project.root / "environments/Pulumi.dev.yaml"
    ignored = subprocess.run(
        ["git", "check-ignore", "-q", "environments/Pulumi.dev.yaml"], cwd=ROOT
    )
    assert salt.exists()
    assert ignored.returncode == 0
    refused = project.run("preview", "dev", "--engine", "cli", PULUMI_CONFIG_PASSPHRASE="two")
    assert refused.returncode == 1
    assert "remove Pulumi.<stack>.yaml and run again" in refused.stderr + refused.stdout
    salt.unlink()
    preview = ["preview", "dev", "--engine", "cli", "--json"]
    assert json.loads(project.succeed(*preview, PULUMI_CONFIG_PASSPHRASE="two"))["clean"]
