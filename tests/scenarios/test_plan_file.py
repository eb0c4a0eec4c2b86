"""`up` with PLAN= on a real cluster: what was reviewed is applied, everything else is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from framework.kube.client import KubeClient
from tests.cli.test_json import load_schema
from tests.conftest import MakeProject, Project
from tests.scenarios.by_hand import scale_by_hand

pytestmark = pytest.mark.cluster
CHURN = "catalog/churn.yaml"


def write_plan(project: Project, *arguments: str) -> dict[str, Any]:
    project.succeed("preview", "dev", "--plan", "plan.json", *arguments)
    document: dict[str, Any] = json.loads((project.root / "plan.json").read_text())
    return document


def refuse(project: Project, *arguments: str) -> str:
    """Runs `up` with the plan, which must be refused. Returns the reason on one line."""
    run = project.run("up", "dev", "--plan", "plan.json", *arguments)
    assert run.returncode == 1, run.stdout + run.stderr
    return " ".join(run.stderr.split())


def test_plan_is_applied_or_refused_by_what_changed(
    make_quick_project: MakeProject, kube: KubeClient, engine: str
) -> None:
    project = make_quick_project("churn", "intent")
    chosen = ("--engine", engine)
    project.succeed("up", "dev", *chosen)
    project.edit(CHURN, "1.6.1", "1.7.0")
    (project.root / "catalog/intent.yaml").unlink()
    document = write_plan(project, *chosen)
    assert {change["op"] for change in document["changes"]} == {"update", "delete"}

    project.edit(CHURN, "1.7.0", "1.8.0")
    reason = refuse(project, *chosen)
    assert "Deployment" in reason
    assert "/churn: its settings in the catalog changed containers[model].image plan:" in reason
    assert "now: mlserver:1.6.1 -> mlserver:1.8.0" in reason
    project.edit(CHURN, "1.8.0", "1.7.0")

    scale_by_hand(kube, project, 5)
    reason = refuse(project, *chosen)
    assert "/churn: the live object changed in the cluster" in reason
    assert "spec.replicas plan: no change; now: 5 -> 2" in reason
    # Back at the reviewed value the object has another resourceVersion, generation and status.
    scale_by_hand(kube, project, 2)
    project.append(CHURN, "# A comment does not matter.\n")

    # The deletion of intent was reviewed, so it needs no YES=1.
    project.succeed("up", "dev", "--plan", "plan.json", *chosen)
    names = {
        str(item["metadata"]["name"])
        for item in kube.list_objects("apps/v1", "Deployment", f"{project.namespace}-dev")
    }
    assert names == {"churn"}
    assert "perhaps the plan was applied already" in refuse(project, *chosen)
    write_plan(project, *chosen)
    assert "Nothing to do" in project.succeed("up", "dev", "--plan", "plan.json", *chosen)


@pytest.mark.grid
@pytest.mark.pulumi_cli
@pytest.mark.parametrize(("first", "second"), [("embedded", "cli"), ("cli", "embedded")])
def test_plan_of_one_engine_is_applied_or_refused_by_the_other(
    make_quick_project: MakeProject, first: str, second: str
) -> None:
    project = make_quick_project("churn", "intent")
    project.succeed("up", "dev", "--engine", first)
    project.edit(CHURN, "1.6.1", "1.7.0")
    write_plan(project, "--engine", first, "--model", "churn")
    # Another model does not matter to a plan of one.
    project.append("environments/dev/models/intent.yaml", "replicas: 3\n")
    project.succeed("up", "dev", "--model", "intent", "--engine", second)
    project.succeed("up", "dev", "--plan", "plan.json", "--engine", second)
    assert "/churn: state and live object changed" in refuse(project, "--engine", first)


def test_plan_file_has_the_checked_in_schema(make_quick_project: MakeProject) -> None:
    from jsonschema import Draft202012Validator

    project = make_quick_project("churn")
    document = write_plan(project)
    assert [
        e.message for e in Draft202012Validator(load_schema("plan")).iter_errors(document)
    ] == []


@pytest.mark.parametrize("model", [(), ("--model", "churn")], ids=["all", "one model"])
def test_copies_of_a_plain_secret_are_in_no_preview_and_no_plan(
    make_quick_project: MakeProject, kube: KubeClient, engine: str, model: tuple[str, ...]
) -> None:
    project = make_quick_project("churn", "intent")
    # A plan of an object with secrets needs a passphrase.
    words = {"PULUMI_CONFIG_PASSPHRASE": "words"}
    chosen = ("dev", "--engine", engine)
    project.append(
        CHURN,
        "env: {API_TOKEN: qW7_oldtoken, OTHER: 'x ${env.API_TOKEN}'}\n"
        "service: {annotations: {example.com/note: 'x ${env.API_TOKEN}'}}\n",
    )
    project.succeed("up", *chosen, **words)
    project.edit(CHURN, "qW7_oldtoken", "zX9_newtoken")
    metadata = {"name": "churn", "namespace": f"{project.namespace}-dev"}
    note = {"example.com/note": "x qW7_oldtoken by hand"}
    kube.apply(
        {"apiVersion": "v1", "kind": "Service", "metadata": {**metadata, "annotations": note}},
        manager="kubectl-edit",
        force=True,
        dry_run=False,
    )
    texts = {
        "preview": project.succeed("preview", *chosen, *model, "--plan", "plan.json", **words),
        "json": project.succeed("preview", *chosen, *model, "--json", **words),
        "refresh": project.run("refresh", *chosen, **words).stdout,
        "drift": project.run("drift", *chosen, **words).stdout,
        "plan": (project.root / "plan.json").read_text(),
    }
    for name, text in texts.items():
        assert "x [secret]" in text, name
        assert "oldtoken" not in text, name
        assert "newtoken" not in text, name
