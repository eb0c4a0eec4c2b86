"""With a canary within the replicas, one track shrinks only when the other is available."""

from __future__ import annotations

import pytest

from framework.kube.client import KubeClient
from tests.conftest import MakeProject, Project
from tests.scenarios.recording import Record

pytestmark = pytest.mark.cluster
OVERLAY = "environments/staging/models/churn.yaml"
STABLE = "replicas: 4\nrollout: {minReadySeconds: 0}\n"


def canary(size: str, tag: str = "1.7.0") -> str:
    return f'canary: {{size: {size}, candidate: {{image: {{tag: "{tag}"}}}}}}\n'


@pytest.fixture
def project(make_quick_project: MakeProject, engine: str) -> Project:
    """One model of four replicas in staging, whose canaries are within the replicas."""
    made = make_quick_project("churn")
    made.edit(
        "environments/staging/environment.yaml",
        "canary: {size: 25%, mode: within}",
        "canary: {mode: within}",
    )
    made.write(OVERLAY, STABLE)
    made.succeed("up", "staging", "--engine", engine)
    return made


@pytest.mark.grid
def test_candidate_that_cannot_start_takes_no_capacity(
    project: Project, engine: str, kube: KubeClient, record: Record
) -> None:
    project.write(OVERLAY, STABLE + canary("50%", "missing"))
    preview = " ".join(project.succeed("preview", "staging", "--engine", engine).split())
    assert "4 -> 2 once churn-canary is available" in preview
    with record(project) as recorder:
        before = len(recorder.events)
        run = project.run("up", "staging", "--engine", engine)
    assert run.returncode == 3, run.stdout + run.stderr
    assert min(recorder.serving("churn", "stable")[before - 1 :]) == 4
    # In the next run the canary is recorded, and still not available.
    with record(project) as recorder:
        before = len(recorder.events)
        assert project.run("up", "staging", "--engine", engine).returncode == 3
    assert min(recorder.serving("churn", "stable")[before - 1 :]) == 4
    project.write(OVERLAY, STABLE)
    project.succeed("up", "staging", "--engine", engine, "--yes")
    live = kube.get("apps/v1", "Deployment", "churn", f"{project.namespace}-staging")
    assert live is not None
    assert live["spec"]["replicas"] == 4


@pytest.mark.parametrize(
    ("steps", "sizes"),
    [
        pytest.param(["50%"], (2, 2), id="start", marks=pytest.mark.grid),
        pytest.param(["50%", ""], (4, 0), id="abort", marks=pytest.mark.grid),
        pytest.param(["25%", "50%"], (2, 2), id="grow", marks=pytest.mark.grid),
        pytest.param(["50%", "25%"], (3, 1), id="shrink"),
    ],
)
def test_model_serves_with_all_replicas_at_every_event(
    project: Project, engine: str, record: Record, steps: list[str], sizes: tuple[int, int]
) -> None:
    *earlier, last = steps
    for size in earlier:
        project.write(OVERLAY, STABLE + canary(size))
        project.succeed("up", "staging", "--engine", engine)
    project.write(OVERLAY, STABLE + (canary(last) if last else ""))
    with record(project) as recorder:
        before = len(recorder.events)
        project.succeed("up", "staging", "--engine", engine)
    assert min(recorder.serving("churn")[before - 1 :]) >= 4
    found = recorder.serving("churn", "stable")[-1], recorder.serving("churn", "canary")[-1]
    assert found == sizes
    assert recorder.find_violations() == []


@pytest.mark.grid
def test_promotion_keeps_the_models_replicas(project: Project, engine: str, record: Record) -> None:
    project.write(OVERLAY, STABLE + canary("50%"))
    project.succeed("up", "staging", "--engine", engine)
    project.write(OVERLAY, STABLE + 'image: {tag: "1.7.0"}\n')
    with record(project) as recorder:
        before = len(recorder.events)
        project.succeed("up", "staging", "--engine", engine)
    assert min(recorder.serving("churn")[before - 1 :]) >= 4
    assert recorder.serving("churn")[-1] == 4


def test_failed_promotion_keeps_the_canary(project: Project, engine: str, record: Record) -> None:
    project.write(OVERLAY, STABLE + canary("50%"))
    project.succeed("up", "staging", "--engine", engine)
    project.write(OVERLAY, STABLE + 'image: {tag: "missing"}\n')
    with record(project) as recorder:
        before = len(recorder.events)
        run = project.run("up", "staging", "--engine", engine)
    assert run.returncode == 3, run.stdout + run.stderr
    assert min(recorder.serving("churn", "canary")[before - 1 :]) == 2
    assert "kept: its component did not finish" in " ".join(run.stdout.split())
    project.write(OVERLAY, STABLE + 'image: {tag: "1.7.0"}\n')
    with record(project) as recorder:
        before = len(recorder.events)
        project.succeed("up", "staging", "--engine", engine, "--yes")
    assert recorder.serving("churn", "canary")[-1] == 0
    assert recorder.serving("churn", "stable")[-1] == 4
