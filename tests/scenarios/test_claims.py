"""A claim that a model creates can grow, is kept by default, and is deleted with `keep: false`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from framework.kube.client import KubeClient
from tests.conftest import Project

pytestmark = pytest.mark.cluster
MakeProject = Callable[..., Project]
MODEL = "catalog/churn.yaml"
VOLUME = """
volumes:
  weights:
    mountPath: /weights
    claim: {size: 1Gi, storageClass: CLASS, accessModes: [ReadWriteMany]}
"""


def run_verb(project: Project, engine: str, verb: str, *arguments: str) -> str:
    run = project.run(verb, "dev", *arguments, "--engine", engine, PULUMI_CONFIG_PASSPHRASE="test")
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
