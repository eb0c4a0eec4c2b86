"""Fixes after a failed rollout, and changes made by hand, need no consent and leave no drift."""

from __future__ import annotations

import pytest

from framework.kube.client import KubeClient
from tests.conftest import MakeProject, Project

pytestmark = pytest.mark.cluster


@pytest.fixture
def project(make_quick_project: MakeProject) -> Project:
    """A model with a config file, after an `up` that failed: the image of its tag cannot be
    pulled."""
    made = make_quick_project("churn")
    made.append("catalog/churn.yaml", 'config: {mountPath: /etc/model, files: {a.json: "1"}}\n')
    made.succeed("up", "dev")
    made.edit("catalog/churn.yaml", '"1"}}', '"2"}}')
    made.edit("catalog/churn.yaml", '"1.6.1"', '"missing"')
    assert made.run("up", "dev").returncode == 3
    return made


@pytest.mark.grid
@pytest.mark.parametrize(
    "content",
    [
        pytest.param("2", id="same"),
        pytest.param("3", id="third"),
        pytest.param("1", id="back"),
    ],
)
def test_fix_after_a_failed_rollout_needs_no_consent(
    project: Project, kube: KubeClient, content: str
) -> None:
    project.edit("catalog/churn.yaml", '"2"}}', f'"{content}"}}}}')
    project.edit("catalog/churn.yaml", '"missing"', '"1.6.1"')
    preview = project.run("preview", "dev").stdout
    assert "YES=1" not in preview
    if content == "1":
        assert "deletes:" not in preview
    project.succeed("up", "dev")
    names = [
        item["metadata"]["name"]
        for item in kube.list_objects("v1", "ConfigMap", f"{project.namespace}-dev")
        if item["metadata"]["name"].startswith("churn-config-")
    ]
    assert len(names) == 1
    assert "Nothing to do" in project.succeed("up", "dev")


def test_image_set_by_hand_is_recorded_once_the_file_says_the_same(
    make_quick_project: MakeProject, kube: KubeClient
) -> None:
    project = make_quick_project("churn")
    project.succeed("up", "dev")
    namespace = f"{project.namespace}-dev"
    live = kube.get("apps/v1", "Deployment", "churn", namespace)
    assert live is not None
    image = live["spec"]["template"]["spec"]["containers"][0]["image"]
    path = "/spec/template/spec/containers/0/image"
    operations = [{"op": "replace", "path": path, "value": image.replace("1.6.1", "1.7.0")}]
    kube.json_patch(
        "apps/v1", "Deployment", "churn", namespace, operations=operations, manager="kubectl-set"
    )
    project.edit("catalog/churn.yaml", '"1.6.1"', '"1.7.0"')
    assert "pending" in project.succeed("drift", "dev")
    assert "is already as wanted, by kubectl-set" in " ".join(project.succeed("up", "dev").split())
    project.succeed("drift", "dev")
    assert "Nothing to do" in project.succeed("up", "dev")
