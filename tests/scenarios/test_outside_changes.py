"""Changes by other people: a paused Deployment, and a failure whose cause they removed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from framework.kube.client import KubeClient
from tests.conftest import MakeProject, Project
from tests.scenarios.following import run_and_react

pytestmark = pytest.mark.cluster


@pytest.fixture
def project(make_quick_project: MakeProject) -> Project:
    """A project of one model with a ConfigMap."""
    return make_quick_project("intent")


def live(kube: KubeClient, project: Project) -> dict[str, Any]:
    found = kube.get("apps/v1", "Deployment", "intent", f"{project.namespace}-dev")
    assert found is not None
    return found


def pause(kube: KubeClient, deployment: dict[str, Any]) -> None:
    metadata = {key: deployment["metadata"][key] for key in ("name", "namespace")}
    paused = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {"paused": True},
    }
    kube.apply(paused, manager="k9s", force=True, dry_run=False)


def config_maps(kube: KubeClient, project: Project) -> set[str]:
    found = kube.list_objects("v1", "ConfigMap", f"{project.namespace}-dev")
    names = {str(item["metadata"]["name"]) for item in found}
    return names - {"kube-root-ca.crt"}


def used_config_maps(kube: KubeClient, project: Project) -> set[str]:
    pods = kube.list_objects("v1", "Pod", f"{project.namespace}-dev")
    volumes = [volume for pod in pods for volume in pod["spec"]["volumes"]]
    return {str(volume["configMap"]["name"]) for volume in volumes if "configMap" in volume}


@pytest.mark.grid
def test_paused_deployment_is_resumed_and_rolls(kube: KubeClient, project: Project) -> None:
    project.succeed("up", "dev")
    pause(kube, live(kube, project))
    [found] = [
        change
        for change in json.loads(project.run("drift", "dev", "--json").stdout)["changes"]
        if change["op"] != "same"
    ]
    assert [(field["path"], field["manager"]) for field in found["fields"]] == [
        ("spec.paused", "k9s")
    ]
    assert "spec.paused" in project.succeed("preview", "dev")

    project.edit("catalog/intent.yaml", "level = warn", "level = info")
    project.succeed("up", "dev", "--yes")
    deployment = live(kube, project)
    assert "paused" not in deployment["spec"]
    assert deployment["status"]["updatedReplicas"] == deployment["spec"]["replicas"]
    assert used_config_maps(kube, project) == config_maps(kube, project)
    assert json.loads(project.succeed("drift", "dev", "--json"))["clean"]


@pytest.mark.grid
def test_cause_removed_by_hand_lets_the_next_up_succeed(kube: KubeClient, project: Project) -> None:
    # The scheduler tries a Pod that it could not place again after up to 10 seconds.
    overlay = "rollout: {progressDeadlineSeconds: 16}\n"
    project.write("environments/dev/models/intent.yaml", overlay)
    project.succeed("up", "dev")
    volumes = "volumes: {weights: {claim: weights, mountPath: /weights}}\n"
    project.append("catalog/intent.yaml", volumes)
    namespace = f"{project.namespace}-dev"
    run = project.run("up", "dev")
    assert run.returncode == 1, run.stdout + run.stderr
    assert f"PersistentVolumeClaim {namespace}/weights does not exist" in " ".join(
        run.stdout.split()
    )
    create_claim(kube, namespace)
    run = project.run("up", "dev")
    assert run.returncode == 3, run.stdout + run.stderr
    message, code = run_and_react(
        project, "updated", lambda run: create_volume(kube, namespace), "up", "dev"
    )
    assert code == 0, message
    deployment = live(kube, project)
    assert deployment["status"]["updatedReplicas"] == deployment["spec"]["replicas"]
    kube.delete("v1", "PersistentVolume", f"{project.namespace}-dev", propagation="Background")


_STORAGE: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
_SIZE = {"storage": "1Gi"}


def create_claim(kube: KubeClient, namespace: str) -> None:
    """Creates the claim `weights`, which waits for the volume that is named after the Namespace."""
    metadata = {"name": "weights", "namespace": namespace}
    spec = {**_STORAGE, "resources": {"requests": _SIZE}, "volumeName": namespace}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata}
    kube.create({**claim, "spec": spec}, manager="tests")


def create_volume(kube: KubeClient, namespace: str) -> None:
    """Creates the volume of the claim."""
    # With a reference to its claim it is bound at once, not at the next resync after 15 seconds.
    claim = {"kind": "PersistentVolumeClaim", "name": "weights", "namespace": namespace}
    host = {"hostPath": {"path": "/weights"}, "claimRef": {"apiVersion": "v1", **claim}}
    spec = {**_STORAGE, "capacity": _SIZE, **host}
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": namespace}}
    kube.create({**volume, "spec": spec}, manager="tests")
