"""A model under an autoscaler never serves with fewer Pods than the autoscaler's minimum."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from framework.kube.client import KubeClient
from tests.conftest import MakeProject, Project
from tests.scenarios.recording import Record

pytestmark = pytest.mark.cluster
AUTOSCALED = "autoscaling: {minReplicas: 6, maxReplicas: 9, cpu: 80}\n"


def rename(project: Project, old: str, new: str) -> None:
    file = Path(project.root / f"catalog/{old}.yaml")
    file.rename(file.with_name(f"{new}.yaml"))


def scale(kube: KubeClient, namespace: str, replicas: int) -> None:
    """Scales the Deployment as an autoscaler does, which has no metrics here."""
    operations = [{"op": "replace", "path": "/spec/replicas", "value": replicas}]
    kube.json_patch(
        "apps/v1", "Deployment", "churn", namespace, operations=operations, manager="autoscaler"
    )


def test_renamed_model_starts_with_the_autoscalers_minimum(
    make_quick_project: MakeProject, record: Record
) -> None:
    project = make_quick_project("churn")
    project.append("catalog/churn.yaml", AUTOSCALED)
    project.succeed("up", "dev")
    rename(project, "churn", "leavers")
    with record(project) as recorder:
        before = len(recorder.events)
        project.succeed("up", "dev", "--yes")
    both = [
        old + new
        for old, new in zip(recorder.serving("churn"), recorder.serving("leavers"), strict=True)
    ]
    assert min(both[before:]) >= 6
    assert recorder.serving("leavers")[-1] == 6
    assert "Nothing to do" in project.succeed("up", "dev")
    project.succeed("drift", "dev")


def test_removed_autoscaler_is_gone_before_the_deployment_is_written(
    make_quick_project: MakeProject, kube: KubeClient, record: Record, engine: str
) -> None:
    """An autoscaler that still exists would scale the Deployment back to its own minimum."""
    project = make_quick_project("churn")
    project.append("catalog/churn.yaml", AUTOSCALED)
    project.succeed("up", "dev", "--engine", engine)
    project.edit("catalog/churn.yaml", AUTOSCALED, "replicas: 2\n")
    with record(project) as recorder:
        project.succeed("up", "dev", "--yes", "--engine", engine)
    [deleted] = [
        event.version
        for event in recorder.events
        if (event.type, event.kind) == ("DELETED", "HorizontalPodAutoscaler")
    ]
    resized = [
        event.version
        for event in recorder.events
        if event.kind == "Deployment" and event.object["spec"]["replicas"] == 2
    ]
    assert resized
    assert deleted < min(resized)
    assert "Nothing to do" in project.succeed("up", "dev", "--engine", engine)
    project.succeed("drift", "dev")


@pytest.mark.parametrize("was_autoscaled", [True, pytest.param(False, marks=pytest.mark.grid)])
def test_deployment_at_0_without_autoscaler_gets_its_minimum(
    make_quick_project: MakeProject, kube: KubeClient, engine: str, was_autoscaled: bool
) -> None:
    """An autoscaler that is created for a Deployment with 0 replicas would leave it at 0."""
    project = make_quick_project("churn")
    namespace = f"{project.namespace}-dev"
    project.append("catalog/churn.yaml", AUTOSCALED if was_autoscaled else "replicas: 0\n")
    project.succeed("up", "dev", "--engine", engine)
    if was_autoscaled:
        kube.delete("autoscaling/v2", "HorizontalPodAutoscaler", "churn", namespace)
        scale(kube, namespace, 0)
    else:
        project.edit("catalog/churn.yaml", "replicas: 0\n", AUTOSCALED)
    project.succeed("up", "dev", "--engine", engine)
    deployment = kube.get("apps/v1", "Deployment", "churn", namespace)
    assert deployment is not None
    assert deployment["spec"]["replicas"] == 6
    assert "Nothing to do" in project.succeed("up", "dev", "--engine", engine)
    project.succeed("drift", "dev")


@pytest.mark.grid
def test_autoscaler_keeps_the_number_after_the_first_up(
    make_quick_project: MakeProject, kube: KubeClient, record: Record
) -> None:
    project = make_quick_project("churn")
    project.append("catalog/churn.yaml", AUTOSCALED)
    project.succeed("up", "dev")
    # The autoscaler has no metrics here; a higher minimum makes it scale.
    project.edit("catalog/churn.yaml", "minReplicas: 6", "minReplicas: 8")
    with record(project) as recorder:
        before = len(recorder.events)
        project.succeed("up", "dev")
        project.edit("catalog/churn.yaml", '"1.6.1"', '"1.7.0"')
        project.succeed("up", "dev")
    assert min(recorder.serving("churn")[before:]) >= 6 - 1
    assert recorder.find_violations() == []
    deployment = kube.get("apps/v1", "Deployment", "churn", f"{project.namespace}-dev")
    assert deployment is not None
    assert deployment["spec"]["replicas"] in (6, 7, 8)
    project.succeed("drift", "dev")


@pytest.mark.grid
def test_moved_model_starts_with_the_pods_it_had(
    make_quick_project: MakeProject, kube: KubeClient, record: Record
) -> None:
    project = make_quick_project("churn")
    project.append("catalog/churn.yaml", AUTOSCALED)
    project.succeed("up", "dev")
    old, new = f"{project.namespace}-dev", f"{project.namespace}-moved-dev"
    scale(kube, old, 8)
    project.succeed("up", "dev")
    project.edit("environments/dev/environment.yaml", old, new)
    with record(project) as recorder:
        before = len(recorder.events)
        project.succeed("up", "dev", "--yes")
    kube.delete("v1", "Namespace", new)
    assert min(recorder.serving("churn")[before:]) >= 8


@pytest.mark.grid
def test_deleted_deployment_is_recreated_with_the_minimum(
    make_quick_project: MakeProject, kube: KubeClient
) -> None:
    project = make_quick_project("churn")
    project.append("catalog/churn.yaml", AUTOSCALED)
    project.succeed("up", "dev")
    namespace = f"{project.namespace}-dev"
    kube.delete("apps/v1", "Deployment", "churn", namespace)
    project.succeed("up", "dev")
    deployment = kube.get("apps/v1", "Deployment", "churn", namespace)
    assert deployment is not None
    assert deployment["spec"]["replicas"] == 6


@pytest.mark.grid
@pytest.mark.pulumi_cli
def test_unrecorded_deployment_keeps_its_live_replicas_with_the_cli(
    make_quick_project: MakeProject, kube: KubeClient, record: Record
) -> None:
    """After the loss of the state, the CLI creates what exists and sends all that it registers."""
    project = make_quick_project("churn")
    project.append("catalog/churn.yaml", AUTOSCALED)
    project.succeed("up", "dev")
    namespace = f"{project.namespace}-dev"
    scale(kube, namespace, 8)
    shutil.rmtree(project.root / ".state")
    with record(project) as recorder:
        before = len(recorder.events)
        preview = project.succeed("preview", "dev", "--engine", "cli")
        project.succeed("up", "dev", "--yes", "--engine", "cli")
    assert "replicas  8" not in preview
    deployment = kube.get("apps/v1", "Deployment", "churn", namespace)
    assert deployment is not None
    assert deployment["spec"]["replicas"] == 8
    assert min(recorder.serving("churn")[before:], default=8) >= 6
    assert "Nothing to do" in project.succeed("up", "dev", "--engine", "embedded")
