"""What is being deleted is made again, and never called unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

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


def test_objects_of_a_namespace_that_is_being_deleted_are_made_again(
    make_live_project: MakeProject, kube: KubeClient
) -> None:
    project = make_live_project("churn")
    namespace = f"{project.namespace}-dev"
    succeed(project, "up", "dev")
    # Holds the Namespace long enough for the commands to meet it while it is going.
    held = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "held", "namespace": namespace, "finalizers": ["tests/hold"]},
    }
    kube.create(held, manager="tests")
    kube.delete("v1", "Namespace", namespace, propagation="Background")

    drift = project.run("drift", "dev")
    assert drift.returncode == 16, drift.stdout + drift.stderr
    assert "is being deleted" in drift.stdout
    preview = succeed(project, "preview", "dev")
    assert "is being deleted" in preview
    assert "0 unchanged" in preview

    narrowed = project.run("up", "dev", "--model", "churn")
    assert narrowed.returncode == 1, narrowed.stdout + narrowed.stderr
    assert "is being deleted" in narrowed.stdout + narrowed.stderr

    release = [{"op": "remove", "path": "/metadata/finalizers"}]
    kube.json_patch("v1", "ConfigMap", "held", namespace, operations=release, manager="tests")
    succeed(project, "up", "dev")
    assert kube.get("apps/v1", "Deployment", "churn", namespace)
    assert kube.get("v1", "Service", "churn", namespace)
    assert "No differences" in succeed(project, "drift", "dev")
