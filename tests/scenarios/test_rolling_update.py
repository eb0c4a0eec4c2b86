"""The tutorial on a real control plane: from v1 to v2 within the environment's budget."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from framework.kube.client import KubeClient
from tests.conftest import MakeProject, Project
from tests.scenarios.recording import Recorder

pytestmark = pytest.mark.cluster


def live(kube: KubeClient, project: Project, environment: str = "dev") -> dict[str, Any]:
    found = kube.list_objects("apps/v1", "Deployment", f"{project.namespace}-{environment}")
    return {item["metadata"]["name"]: item for item in found}


def test_tutorial_rolls_out_the_new_image(make_live_project: MakeProject) -> None:
    project = make_live_project("churn")
    first = project.succeed("up", "dev")
    assert "churn  Deployment" in first
    assert "Nothing to do" in project.succeed("up", "dev")
    project.edit("catalog/churn.yaml", "1.6.1", "1.7.0")
    changes = json.loads(project.succeed("preview", "dev", "--json"))["changes"]
    moved = [change for change in changes if change["op"] != "same"]
    assert [change["object"] for change in moved] == [f"{project.namespace}-dev/churn"]
    [field] = moved[0]["fields"]
    assert field["path"] == "spec.template.spec.containers[model].image"
    assert "1.7.0" in project.succeed("up", "dev")
    assert json.loads(project.succeed("drift", "dev", "--json"))["clean"]


@pytest.mark.parametrize(
    ("environment", "model", "replicas", "surge", "unavailable"),
    [
        pytest.param("dev", "churn", 2, 1, 1, id="dev: the tutorial's budget"),
        pytest.param("staging", "sentiment", 3, 1, 0, id="staging: canary within"),
        pytest.param("prod", "sentiment", 6, 2, 0, id="prod: percentages", marks=pytest.mark.grid),
    ],
)
def test_every_watch_event_keeps_the_budget(
    make_quick_project: MakeProject,
    kubeconfig: Path,
    environment: str,
    model: str,
    replicas: int,
    surge: int,
    unavailable: int,
) -> None:
    project = make_quick_project(model)
    # With minReadySeconds, the waves of Pods follow each other and do not overlap.
    path = f"environments/{environment}/models/{model}.yaml"
    project.append(path, "rollout: {minReadySeconds: 1}\n")
    project.succeed("up", environment)
    project.edit(f"catalog/{model}.yaml", '"1.6.1"', '"1.6.2"')
    with Recorder(kubeconfig, f"{project.namespace}-{environment}") as recorder:
        before = len(recorder.events)
        project.succeed("up", environment)
    serving, wanted = recorder.serving(model, "stable"), recorder.wanted(model, "stable")
    assert len(serving) > before + 2 * replicas
    assert max(wanted) == replicas + surge
    assert min(serving[before:]) >= replicas - unavailable
    assert recorder.find_violations() == []


def test_up_of_one_model_leaves_the_others_unchanged(
    make_quick_project: MakeProject, kube: KubeClient
) -> None:
    project = make_quick_project("churn", "sentiment")
    project.succeed("up", "dev")
    before = live(kube, project)
    for model in ("churn", "sentiment"):
        project.edit(f"catalog/{model}.yaml", '"1.6.1"', '"1.6.2"')
    project.succeed("up", "dev", "--model", "churn")
    after = live(kube, project)
    assert after["churn"]["metadata"]["generation"] > before["churn"]["metadata"]["generation"]
    for name in ("sentiment", "sentiment-canary"):
        for key in ("uid", "generation"):
            assert after[name]["metadata"][key] == before[name]["metadata"][key]


def test_failed_model_does_not_stop_the_others(
    make_quick_project: MakeProject, kube: KubeClient
) -> None:
    project = make_quick_project("churn", "reranker")
    project.succeed("up", "dev")
    project.edit("catalog/churn.yaml", '"1.6.1"', '"missing"')
    project.edit("catalog/_profiles/text-embeddings-inference.yaml", "cpu-1.5", "cpu-1.6")
    run = project.run("up", "dev")
    assert run.returncode == 3, run.stdout + run.stderr
    assert "ImagePullBackOff" in run.stdout
    assert "catalog/churn.yaml:4" in run.stdout
    reranker = live(kube, project)["reranker"]
    assert reranker["spec"]["template"]["spec"]["containers"][0]["image"].endswith("cpu-1.6")
    project.edit("catalog/churn.yaml", '"missing"', '"1.6.1"')
    assert "0 failed" in project.succeed("up", "dev")
