"""One deployed project for all changes of a worker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from framework.cluster.local import LocalCluster
from framework.kube.api_error import ApiError
from framework.kube.client import KubeClient
from tests.conftest import Project
from tests.drift.bench import CRD, MODELS, SETTINGS, Bench, build_volume
from tests.shipped import copy_shipped

_PARTS = ("Pulumi.yaml", "__main__.py", "framework", "catalog", "environments", "tools")


@pytest.fixture(scope="session")
def bench(
    local_cluster: LocalCluster, kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    """A project of three models on the cluster of this run, in a Namespace of its own."""
    root = tmp_path_factory.mktemp("drift") / "project"
    copy_shipped(root, *_PARTS)
    (root / ".state").mkdir()
    (root / ".cluster").symlink_to(kubeconfig.parent)
    for file in (*root.glob("catalog/[!_]*.yaml"), *root.glob("environments/*/models/*.yaml")):
        if file.stem not in MODELS:
            file.unlink()
    name = f"drift-{os.environ.get('PYTEST_XDIST_WORKER', 'gw')}"
    project = Project(root, name)
    environment = "environments/dev/environment.yaml"
    project.edit(environment, "namespace: ml-dev", f"namespace: {name}-dev")
    project.edit(environment, "  disruptionBudget: null", "")
    project.append("catalog/intent.yaml", SETTINGS)
    with KubeClient.connect(kubeconfig, "local") as kube:
        for obj in (CRD, build_volume(f"{name}-dev")):
            try:
                kube.create(obj, manager="tests")
            except ApiError as error:
                # Another worker was faster.
                if error.status != 409:
                    raise
        bench = Bench(project, kube, kubeconfig)
        bench.up()
        yield bench
        kube.delete("v1", "Namespace", f"{name}-dev")
        kube.delete("v1", "PersistentVolume", f"{name}-dev", propagation="Background")
