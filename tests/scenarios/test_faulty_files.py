"""An error in a YAML file keeps nobody from seeing, or deleting, what runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from framework.kube.client import KubeClient
from tests.conftest import Project

pytestmark = pytest.mark.cluster
MakeProject = Callable[..., Project]
ENVIRONMENT = "environments/dev/environment.yaml"
BROKEN = "owner: [a\n"


def deploy(make_live_project: MakeProject, environment: str = "dev") -> Project:
    project = make_live_project("churn", "fraud")
    run = project.run("up", environment)
    assert run.returncode == 0, run.stderr
    return project


def succeed(project: Project, *arguments: str, says: str, code: int = 0) -> str:
    """Runs a verb that says in one line on stderr which files it does not use."""
    run = project.run(*arguments)
    assert run.returncode == code, run.stdout + run.stderr
    [line] = run.stderr.splitlines()
    assert line.startswith(says), line
    assert f"not used; `make validate ENV={arguments[1]}` shows them" in line
    return run.stdout


def count_deployments(kubeconfig: Path, project: Project, environment: str = "dev") -> int:
    with KubeClient.connect(kubeconfig, "local") as kube:
        space = f"{project.namespace}-{environment}"
        return len(kube.list_objects("apps/v1", "Deployment", space))


def scale(kubeconfig: Path, project: Project) -> None:
    with KubeClient.connect(kubeconfig, "local") as kube:
        live = kube.get("apps/v1", "Deployment", "churn", f"{project.namespace}-dev")
        assert live is not None
        live["spec"]["replicas"] = 1
        live["metadata"].pop("resourceVersion")
        kube.replace(live, manager="kubectl-edit")


@pytest.mark.parametrize(
    ("path", "text", "named"),
    [
        pytest.param("catalog/churn.yaml", BROKEN, True, id="model"),
        pytest.param(ENVIRONMENT, BROKEN, False, id="environment"),
        pytest.param(
            ENVIRONMENT, "\xff\n", False, id="environment not UTF-8", marks=pytest.mark.grid
        ),
    ],
)
def test_verbs_of_state_and_cluster_work_with_a_faulty_file(
    make_live_project: MakeProject, kubeconfig: Path, path: str, text: str, named: bool
) -> None:
    project = deploy(make_live_project)
    (project.root / path).write_bytes(text.encode("latin-1"))
    outputs = json.loads(succeed(project, "outputs", "dev", "--json", says=path))
    assert outputs["images"].keys() == {"churn", "fraud"}
    status = json.loads(succeed(project, "status", "dev", "--json", says=path))
    tracks = {track["deployment"]: track for track in status["tracks"]}
    assert {name: track["running"] for name, track in tracks.items()} == outputs["images"]
    assert tracks["churn"]["planned"] is None
    shown = succeed(project, "status", "dev", "--model", "churn", says=path)
    assert "not in the plan" in shown
    assert "fraud" not in shown
    assert "No differences" in succeed(project, "drift", "dev", says=path)
    scale(kubeconfig, project)
    assert "replicas" in succeed(project, "drift", "dev", says=path, code=16)
    run = project.run("destroy", "dev")
    assert run.returncode == 1
    assert "YES=1" in run.stderr
    assert ("not compared with environment.yaml" in run.stderr) is not named
    succeed(project, "destroy", "dev", "--yes", says=path)
    assert count_deployments(kubeconfig, project) == 0


def test_deploying_refuses_a_faulty_file(make_project: MakeProject) -> None:
    project = make_project("churn")
    project.write("catalog/churn.yaml", BROKEN)
    for verb in ("up", "preview"):
        run = project.run(verb, "dev")
        assert run.returncode == 1
        assert "catalog/churn.yaml:" in run.stderr


@pytest.mark.parametrize(
    ("path", "text"),
    [
        pytest.param("environments/prod/environment.yaml", BROKEN, id="unreadable"),
        pytest.param("catalog/churn.yaml", BROKEN, id="model", marks=pytest.mark.grid),
    ],
)
def test_what_is_protected_stays_protected(
    make_live_project: MakeProject, kubeconfig: Path, path: str, text: str
) -> None:
    project = make_live_project("churn")
    assert project.run("up", "prod").returncode == 0
    project.write(path, text)
    run = project.run("destroy", "prod", "--yes")
    assert run.returncode == 1
    assert "protected" in run.stderr
    assert count_deployments(kubeconfig, project, "prod") == 1


def test_a_setting_to_protect_counts_beside_a_fault(make_live_project: MakeProject) -> None:
    project = deploy(make_live_project)
    project.append(ENVIRONMENT, "protect: true\nfrob: 1\n")
    run = project.run("destroy", "dev", "--yes")
    assert run.returncode == 1
    assert "protect: false" in run.stderr


def test_another_cluster_is_refused_beside_a_fault(
    make_live_project: MakeProject, kubeconfig: Path
) -> None:
    project = deploy(make_live_project)
    project.edit(ENVIRONMENT, "context: local ", "context: elsewhere #")
    project.append(ENVIRONMENT, "frob: 1\n")
    run = project.run("destroy", "dev", "--yes")
    assert run.returncode == 1
    # By name, or because the kubeconfig that it names leads nowhere.
    assert "elsewhere" in run.stderr or "no such kubeconfig file" in run.stderr
    assert count_deployments(kubeconfig, project) == 2


def test_status_without_files_or_state_shows_the_faults(make_project: MakeProject) -> None:
    project = make_project("churn")
    project.write(ENVIRONMENT, BROKEN)
    run = project.run("status", "dev")
    assert run.returncode == 1
    assert f"{ENVIRONMENT}:" in run.stderr
