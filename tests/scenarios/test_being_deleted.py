"""Objects that are being deleted are created again, and never shown as unchanged."""

from __future__ import annotations

import pytest

from framework.kube.client import KubeClient
from tests.conftest import MakeProject

pytestmark = pytest.mark.cluster


@pytest.mark.grid
def test_objects_of_a_namespace_being_deleted_are_created_again(
    make_quick_project: MakeProject, kube: KubeClient
) -> None:
    project = make_quick_project("churn")
    namespace = f"{project.namespace}-dev"
    project.succeed("up", "dev")
    # The finalizer keeps the Namespace in Terminating while the commands below run.
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
    preview = project.succeed("preview", "dev")
    assert "is being deleted" in preview
    assert "0 unchanged" in preview

    narrowed = project.run("up", "dev", "--model", "churn")
    assert narrowed.returncode == 1, narrowed.stdout + narrowed.stderr
    # When the old objects are gone, the refusal is that of the API server itself.
    message = narrowed.stdout + narrowed.stderr
    assert "is being deleted" in message or "is being terminated" in message

    release = [{"op": "remove", "path": "/metadata/finalizers"}]
    kube.json_patch("v1", "ConfigMap", "held", namespace, operations=release, manager="tests")
    project.succeed("up", "dev")
    assert kube.get("apps/v1", "Deployment", "churn", namespace)
    assert kube.get("v1", "Service", "churn", namespace)
    assert "No differences" in project.succeed("drift", "dev")
