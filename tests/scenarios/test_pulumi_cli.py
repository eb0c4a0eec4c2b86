"""Each engine takes over a stack of the other one, and finds no changes."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from framework.kube.client import KubeClient
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
    # The CLI would write the call stack of each resource with the whole state, at each step.
    state = project.root / ".state/.pulumi/stacks/modelcatalog/dev.json"
    assert "stackTrace" not in state.read_text()


def test_stack_without_secrets_needs_no_passphrase(project: Project) -> None:
    up = project.succeed("up", "dev", "--engine", "cli")
    assert "pulumi-resource-kubernetes" not in up
    assert "expected to have version" not in up
    project.succeed("up", "dev", "--engine", "cli", "--yes")
    outputs = json.loads(project.succeed("outputs", "dev", "--engine", "cli", "--json"))
    assert outputs["deployments"] == {"churn": "churn"}


@pytest.mark.grid
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
    message = " ".join((refused.stderr + refused.stdout).split())
    assert str(salt) in message
    assert "if the stack has no secrets, remove this file and run again" in message
    salt.unlink()
    preview = ["preview", "dev", "--engine", "cli", "--json"]
    assert json.loads(project.succeed(*preview, PULUMI_CONFIG_PASSPHRASE="two"))["clean"]


def drift_of(project: Project, engine: str) -> dict[str, list[str]]:
    document = json.loads(project.run("drift", "dev", "--engine", engine, "--json").stdout)
    return fields_of(document)


def fields_of(document: dict[str, Any]) -> dict[str, list[str]]:
    return {
        f"{change['kind']} {change['object']}": [field["path"] for field in change["fields"]]
        for change in document["changes"]
        if change["op"] != "same" and change["object"]
    }


@pytest.mark.grid
def test_up_of_the_cli_removes_what_others_added(project: Project, kube: KubeClient) -> None:
    project.succeed("up", "dev", "--engine", "cli")
    change_by_hand(kube, f"{project.namespace}-dev")
    previews = [
        fields_of(json.loads(project.succeed("preview", "dev", "--engine", engine, "--json")))
        for engine in ("cli", "embedded")
    ]
    assert previews[0] == previews[1]
    assert sum(map(len, previews[0].values())) == 5
    # A refresh records what others added: `up` must remove it all the same.
    project.succeed("refresh", "dev", "--engine", "cli", "--yes")
    assert drift_of(project, "embedded") == drift_of(project, "cli") != {}
    project.succeed("up", "dev", "--engine", "cli", "--yes")
    assert drift_of(project, "embedded") == drift_of(project, "cli") == {}
    preview = project.succeed("preview", "dev", "--engine", "embedded", "--json")
    assert json.loads(preview)["clean"]


def change_by_hand(kube: KubeClient, namespace: str) -> None:
    """Changes fields that the program sets, and adds others, as kubectl does."""
    variable = {"name": "model", "env": [{"name": "EXTRA", "value": "1"}]}
    template = {"spec": {"containers": [variable], "terminationGracePeriodSeconds": 61}}
    for kind, api_version, manager, fields in (
        ("Deployment", "apps/v1", "kubectl-label", {"metadata": {"labels": {"added": "1"}}}),
        ("Deployment", "apps/v1", "kubectl-edit", {"spec": {"template": template}}),
        ("Service", "v1", "kubectl-patch", {"spec": {"sessionAffinity": "ClientIP"}}),
    ):
        named = {"name": "churn", "namespace": namespace, **fields.get("metadata", {})}
        patch = {"apiVersion": api_version, "kind": kind, **fields, "metadata": named}
        kube.apply(patch, manager=manager, force=True, dry_run=False)
