"""A claim that a model creates can grow, is kept by default, and is deleted with `keep: false`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from framework.kube.client import KubeClient
from tests.conftest import BOTH_ENGINES, Project

pytestmark = pytest.mark.cluster
MakeProject = Callable[..., Project]
MODEL = "catalog/churn.yaml"
VOLUME = """
volumes:
  weights:
    mountPath: /weights
    claim: {size: 1Gi, storageClass: CLASS, accessModes: [ReadWriteMany]}
"""


PASSPHRASE = {"PULUMI_CONFIG_PASSPHRASE": "test"}


def run_verb(project: Project, engine: str, verb: str, *arguments: str) -> str:
    run = project.run(verb, "dev", *arguments, "--engine", engine, **PASSPHRASE)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def create_storage(kube: KubeClient, namespace: str) -> None:
    """Creates a StorageClass that allows expansion, and a volume of it for the model's claim."""
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": namespace},
        "provisioner": "kubernetes.io/no-provisioner",
        "allowVolumeExpansion": True,
    }
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": namespace},
        "spec": {
            "capacity": {"storage": "5Gi"},
            "accessModes": ["ReadWriteMany"],
            "storageClassName": namespace,
            "hostPath": {"path": "/weights"},
        },
    }
    for obj in (storage_class, volume):
        kube.create(obj, manager="tests")


def find_claim(kube: KubeClient, namespace: str) -> dict[str, Any] | None:
    return kube.get("v1", "PersistentVolumeClaim", "churn-weights", namespace)


def test_a_claim_is_created_grown_kept_and_deleted(
    make_live_project: MakeProject, kube: KubeClient, engine: str
) -> None:
    project = make_live_project("churn")
    namespace = f"{project.namespace}-dev"
    create_storage(kube, namespace)
    without = (project.root / MODEL).read_text()
    volume = VOLUME.replace("CLASS", namespace)

    project.write(MODEL, without + volume)
    run_verb(project, engine, "up")
    claim = find_claim(kube, namespace)
    assert claim
    assert claim["status"]["phase"] == "Bound"

    project.edit(MODEL, "size: 1Gi", "size: 2Gi")
    changes = json.loads(run_verb(project, engine, "preview", "--json"))["changes"]
    (change,) = [change for change in changes if change["op"] != "same"]
    assert change["op"] == "update"
    assert [field["path"] for field in change["fields"]] == ["spec.resources.requests.storage"]
    run_verb(project, engine, "up")
    grown = find_claim(kube, namespace)
    assert grown
    assert grown["spec"]["resources"]["requests"]["storage"] == "2Gi"

    project.write(MODEL, without)
    run_verb(project, engine, "up", "--yes")
    kept = find_claim(kube, namespace)
    assert kept
    assert "deletionTimestamp" not in kept["metadata"]

    project.write(MODEL, without + volume.replace("1Gi", "2Gi"))
    run_verb(project, engine, "up")
    taken_back = find_claim(kube, namespace)
    assert taken_back
    assert taken_back["metadata"]["uid"] == claim["metadata"]["uid"]

    project.edit(MODEL, "size: 2Gi", "size: 2Gi, keep: false")
    run_verb(project, engine, "up")
    project.write(MODEL, without)
    run_verb(project, engine, "up", "--yes")
    # The CLI does not wait until Pods that still end have released the claim.
    deadline = time.monotonic() + 30
    while find_claim(kube, namespace) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert find_claim(kube, namespace) is None
    kube.delete("v1", "PersistentVolume", namespace, propagation="Background")
    kube.delete("storage.k8s.io/v1", "StorageClass", namespace, propagation="Background")


@pytest.mark.grid
@pytest.mark.parametrize("engine", BOTH_ENGINES)
def test_another_namespace_is_refused_and_destroy_names_the_lost_claims(
    make_live_project: MakeProject, kube: KubeClient, engine: str
) -> None:
    project = make_live_project("churn")
    namespace = f"{project.namespace}-dev"
    create_storage(kube, namespace)
    project.append(MODEL, VOLUME.replace("CLASS", namespace))
    run_verb(project, engine, "up")
    # A claim that a removed model has left looks like one that somebody else has created.
    claim = find_claim(kube, namespace)
    assert claim
    metadata = {"name": "former", "namespace": namespace}
    spec = {key: claim["spec"][key] for key in ("accessModes", "resources", "storageClassName")}
    former = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata}
    kube.create({**former, "spec": spec}, manager="tests")
    token = {"apiVersion": "v1", "kind": "Secret", "metadata": {**metadata, "name": "token"}}
    kube.create(token, manager="tests")
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": []}
    kube.create({**role, "metadata": {**metadata, "name": "reader"}}, manager="tests")

    project.edit("environments/dev/environment.yaml", namespace, f"{namespace}-2")
    for verb in (["preview"], ["up", "--yes"]):
        run = project.run(verb[0], "dev", *verb[1:], "--engine", engine, **PASSPHRASE)
        assert run.returncode == 1, run.stdout + run.stderr
        shown = " ".join(run.stdout.split())
        assert f"PersistentVolumeClaim {namespace}/churn-weights is kept" in shown
        assert f"PersistentVolumeClaim {namespace}/former is not managed by this stack" in shown
        assert "objects that this stack does not manage: Role reader, Secret token; next" in shown
    assert find_claim(kube, namespace) is not None

    project.edit("environments/dev/environment.yaml", f"{namespace}-2", namespace)
    shown = " ".join(run_verb(project, engine, "destroy", "--yes").split())
    assert "churn-weights: is deleted with its Namespace" in shown
    assert "former is not managed by this stack, and is deleted with its Namespace" in shown
    assert "objects that this stack does not manage: Role reader, Secret token; next" in shown
    kube.delete("v1", "PersistentVolume", namespace, propagation="Background")
    kube.delete("storage.k8s.io/v1", "StorageClass", namespace, propagation="Background")
