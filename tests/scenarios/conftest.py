"""Fixtures of the scenarios: projects with quick rollouts, a client, and a recorder of events."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from framework.kube.client import KubeClient
from tests.conftest import BOTH_ENGINES, MakeProject, Project
from tests.scenarios.recording import Record, Recorder

# The deadline must be longer than startupSeconds plus minReadySeconds.
QUICK = {"startupSeconds": 3, "minReadySeconds": 0, "progressDeadlineSeconds": 6}


@pytest.fixture
def kube(kubeconfig: Path) -> Iterator[KubeClient]:
    """A client of the run's cluster."""
    with KubeClient.connect(kubeconfig, "local") as client:
        yield client


@pytest.fixture(params=BOTH_ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The name of each engine; the cases of the CLI run in `make test-full` only."""
    return str(request.param)


@pytest.fixture
def make_quick_project(make_live_project: MakeProject) -> MakeProject:
    """Makes a live project without minReadySeconds, whose rollouts fail after a few seconds."""

    def make(*models: str) -> Project:
        project = make_live_project(*models)
        for folder in ("catalog", "environments"):
            for file in (project.root / folder).rglob("*.yaml"):
                text = file.read_text()
                for name, seconds in QUICK.items():
                    text = re.sub(rf"{name}: \d+", f"{name}: {seconds}", text)
                file.write_text(text)
        return project

    return make


@pytest.fixture
def record(kubeconfig: Path) -> Record:
    """Makes a recorder of everything that happens in a project's Namespaces."""
    return lambda project: Recorder(kubeconfig, project.namespace)
