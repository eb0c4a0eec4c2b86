"""Deployed projects; each test worker uses one for all its out-of-band changes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from framework.cluster.local import LocalCluster
from framework.kube.api_error import ApiError
from framework.kube.client import KubeClient
from tests.conftest import Project
from tests.drift.deployed_project import CRD, DeployedProject, write_copies
from tests.shipped import copy_shipped

_PARTS = ("Pulumi.yaml", "__main__.py", "framework", "catalog", "environments", "tools")

Deploy = Callable[[str], DeployedProject]


@pytest.fixture(scope="session")
def deploy(
    local_cluster: LocalCluster, kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deploy]:
    """Deploys projects on the cluster of this run, each in a Namespace of its own.

    The argument has a letter for each copy of the models.
    """
    opened: list[DeployedProject] = []
    with KubeClient.connect(kubeconfig, "local") as kube:

        def deploy_copies(copies: str) -> DeployedProject:
            root = tmp_path_factory.mktemp("drift") / "project"
            copy_shipped(root, *_PARTS)
            (root / ".state").mkdir()
            (root / ".cluster").symlink_to(kubeconfig.parent)
            worker = os.environ.get("PYTEST_XDIST_WORKER", "gw")
            project = Project(root, f"drift{len(opened)}-{worker}")
            environment = "environments/dev/environment.yaml"
            project.edit(environment, "namespace: ml-dev", f"namespace: {project.namespace}-dev")
            project.edit(environment, "  disruptionBudget: null", "")
            write_copies(project, copies)
            try:
                kube.create(CRD, manager="tests")
            except ApiError as error:
                # Another worker was faster.
                if error.status != 409:
                    raise
            deployed = DeployedProject(project, copies, kube, kubeconfig)
            opened.append(deployed)
            deployed.create_volumes()
            deployed.up()
            return deployed

        yield deploy_copies
        for deployed in opened:
            deployed.close()


@pytest.fixture(scope="session")
def deployed(deploy: Deploy) -> DeployedProject:
    """One copy of three models, for the sample of `make test`."""
    return deploy("a")


@pytest.fixture(scope="session")
def fleet(deploy: Deploy) -> DeployedProject:
    """Twelve copies of three models, for the whole grid."""
    return deploy("abcdefghijkl")
