"""Objects that somebody made again under a recorded name: taken over, or refused alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from framework.kube.client import KubeClient
from tests.conftest import Project

pytestmark = pytest.mark.cluster
MakeProject = Callable[..., Project]


@pytest.fixture
def kube(kubeconfig: Path) -> Iterator[KubeClient]:
    with KubeClient.connect(kubeconfig, "local") as client:
        yield client


def succeed(project: Project, *arguments: str) -> str:
    run = project.run(*arguments)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def get_deployment(kube: KubeClient, project: Project, name: str) -> dict[str, Any]:
    found = kube.get("apps/v1", "Deployment", name, f"{project.namespace}-dev")
    assert found is not None
    return found


def replace_by_force(kube: KubeClient, live: dict[str, Any], **labels: str) -> None:
    """Deletes and creates the object, as `kubectl replace --force` does."""
    made = deepcopy(live)
    name, namespace = made["metadata"]["name"], made["metadata"]["namespace"]
    made["metadata"] = {
        "name": name,
        "namespace": namespace,
        "labels": labels or made["metadata"]["labels"],
    }
    made.pop("status")
    kube.delete("apps/v1", "Deployment", name, namespace, propagation="Background")
    kube.create(made, manager="kubectl-replace")


def get_image(live: dict[str, Any]) -> str:
    return str(live["spec"]["template"]["spec"]["containers"][0]["image"])


def test_an_object_made_again_with_our_labels_is_taken_over_after_a_yes(
    make_live_project: MakeProject, kube: KubeClient
) -> None:
    project = make_live_project("churn", "reranker")
    succeed(project, "up", "dev")
    replace_by_force(kube, get_deployment(kube, project, "churn"))

    drift = project.run("drift", "dev")
    assert drift.returncode == 16
    assert "was made again by kubectl-replace" in drift.stdout
    shown = succeed(project, "preview", "dev")
    assert "was made again by kubectl-replace: taken over" in shown
    assert "takes over: needs YES=1" in shown

    unattended = project.run("up", "dev")
    assert unattended.returncode == 1
    assert "needs YES=1" in " ".join(unattended.stderr.split())

    # Other models are not held up by it.
    project.edit("catalog/_profiles/text-embeddings-inference.yaml", "cpu-1.5", "cpu-1.6")
    succeed(project, "up", "dev", "--model", "reranker")
    assert get_image(get_deployment(kube, project, "reranker")).endswith("cpu-1.6")

    succeed(project, "up", "dev", "--yes")
    assert "No differences" in succeed(project, "drift", "dev")
    managers = {
        entry["manager"]
        for entry in get_deployment(kube, project, "churn")["metadata"]["managedFields"]
    }
    assert "kubectl-replace" not in managers
    succeed(project, "destroy", "dev", "--yes")


@pytest.mark.grid
def test_an_object_made_again_without_our_labels_fails_its_model_alone(
    make_live_project: MakeProject, kube: KubeClient
) -> None:
    project = make_live_project("churn", "reranker")
    succeed(project, "up", "dev")
    replace_by_force(kube, get_deployment(kube, project, "churn"), app="other")
    project.edit("catalog/_profiles/text-embeddings-inference.yaml", "cpu-1.5", "cpu-1.6")

    changes = json.loads(succeed(project, "preview", "dev", "--json"))["changes"]
    notes = {c["object"].rpartition("/")[2]: c["note"] for c in changes if c["op"] == "update"}
    assert notes.keys() == {"churn", "reranker"}
    assert "refused: " in notes["churn"]
    assert "not this stack's (made by kubectl-replace)" in notes["churn"]

    run = project.run("up", "dev", "--yes")
    assert run.returncode == 1, run.stdout + run.stderr
    assert "not this stack's (made by kubectl-replace)" in run.stdout
    assert get_image(get_deployment(kube, project, "reranker")).endswith("cpu-1.6")
    assert get_deployment(kube, project, "churn")["metadata"]["labels"] == {"app": "other"}
