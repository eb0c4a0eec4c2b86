"""Projects on the run's cluster whose rollouts are quick to succeed and quick to fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from framework.kube.client import KubeClient
from tests.conftest import Project
from tests.scenarios.recording import Recorder

MakeProject = Callable[..., Project]


@pytest.fixture
def kube(kubeconfig: Path) -> Iterator[KubeClient]:
    """A client of the run's cluster."""
    with KubeClient.connect(kubeconfig, "local") as client:
        yield client


@pytest.fixture
def make_quick_project(make_live_project: MakeProject) -> MakeProject:
    """Makes a live project of some models, in which a rollout fails after a few seconds."""

    def make(*models: str) -> Project:
        project = make_live_project(*models)
        defaults = "catalog/_defaults.yaml"
        project.edit(defaults, "progressDeadlineSeconds: 600", "progressDeadlineSeconds: 8")
        project.edit(defaults, "minReadySeconds: 5", "minReadySeconds: 0")
        project.edit("catalog/_profiles/mlserver.yaml", "startupSeconds: 100", "startupSeconds: 5")
        return project

    return make


@pytest.fixture
def record(kubeconfig: Path) -> Callable[[Project], Recorder]:
    """Makes a recorder of everything that happens in a project's Namespaces."""
    return lambda project: Recorder(kubeconfig, project.namespace)
