"""Each engine takes over a stack of the other one, and sees no changes."""

from __future__ import annotations

import json

import pytest

from tests.conftest import MakeProject, Project

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
