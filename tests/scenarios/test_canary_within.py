"""With a canary within the replicas, one track shrinks only when the other is available."""

from __future__ import annotations

import pytest

from framework.kube.client import KubeClient
from tests.conftest import MakeProject, Project
from tests.scenarios.recording import Record

pytestmark = pytest.mark.cluster
OVERLAY = "environments/staging/models/churn.yaml"
STABLE = "replicas: 4\nrollout: {minReadySeconds: 0}\n"


BUDGET, NO_BUDGET = "disruptionBudget: {maxUnavailable: 1}\n", "disruptionBudget: null\n"


def canary(size: str, tag: str = "1.7.0", config: str = "") -> str:
    files = f", config: {{files: {{a.properties: {config}}}}}" if config else ""
    return f'canary: {{size: {size}, candidate: {{image: {{tag: "{tag}"}}{files}}}}}\n'


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


@pytest.mark.grid
@pytest.mark.pulumi_cli
def test_canary_starts_and_grows_beside_deletions(
    make_quick_project: MakeProject, kube: KubeClient, record: Record
) -> None:
    project = make_quick_project("churn", "intent")
    namespace = f"{project.namespace}-staging"
    config = "config: {mountPath: /etc/server, files: {a.properties: old}}\n"
    stable = f"{STABLE}{config}"
    project.edit(
        "environments/staging/environment.yaml",
        "canary: {size: 25%, mode: within}",
        "canary: {mode: within}",
    )
    up = ("up", "staging", "--engine", "cli", "--yes")
    project.write(OVERLAY, stable + BUDGET)
    project.succeed(*up)
    with record(project) as recorder:
        before = len(recorder.events)
        # The PodDisruptionBudget depends on objects of the model that do not change.
        project.write(OVERLAY, stable + NO_BUDGET + canary("25%", config="new"))
        project.succeed(*up, "--model", "churn")
        assert kube.get("policy/v1", "PodDisruptionBudget", "churn", namespace) is None
        # It depends on the ConfigMap of the canary, which is replaced.
        project.write(OVERLAY, stable + BUDGET + canary("25%", config="new"))
        project.succeed(*up)
        project.write(OVERLAY, stable + NO_BUDGET + canary("50%", config="newer"))
        project.succeed(*up, "--model", "churn")
        assert kube.get("policy/v1", "PodDisruptionBudget", "churn", namespace) is None
        (project.root / "catalog/intent.yaml").unlink()
        project.write(OVERLAY, stable + NO_BUDGET + canary("75%", config="newest"))
        project.succeed(*up)
        assert kube.get("apps/v1", "Deployment", "intent", namespace) is None
    assert min(recorder.serving("churn")[before - 1 :]) >= 4
    found = recorder.serving("churn", "stable")[-1], recorder.serving("churn", "canary")[-1]
    assert found == (1, 3)
