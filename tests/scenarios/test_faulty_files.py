"""A YAML file with an error does not prevent users from seeing or deleting what runs."""

from __future__ import annotations

import json

import pytest

from framework.kube.client import KubeClient
from tests.conftest import MakeProject, Project

ENVIRONMENT = "environments/dev/environment.yaml"
BROKEN = "owner: [a\n"


@pytest.fixture
def deployed(make_quick_project: MakeProject) -> Project:
    """A project whose two models run in dev."""
    project = make_quick_project("churn", "fraud")
    project.succeed("up", "dev")
    return project


def warn(project: Project, *arguments: str, path: str, code: int = 0) -> str:
    """Runs a verb that warns in one line on stderr that it does not use the file `path`."""
    run = project.run(*arguments)
    assert run.returncode == code, run.stdout + run.stderr
    [line] = run.stderr.splitlines()
    assert line.startswith(path), line
    assert f"not used; `make validate ENV={arguments[1]}` shows them" in line
    return run.stdout


def count_deployments(kube: KubeClient, project: Project, environment: str = "dev") -> int:
    namespace = f"{project.namespace}-{environment}"
    return len(kube.list_objects("apps/v1", "Deployment", namespace))


def scale(kube: KubeClient, project: Project) -> None:
    live = kube.get("apps/v1", "Deployment", "churn", f"{project.namespace}-dev")
    assert live is not None
    live["spec"]["replicas"] = 1
    live["metadata"].pop("resourceVersion")
    kube.replace(live, manager="kubectl-edit")


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("path", "text", "names_cluster"),
    [
        pytest.param("catalog/churn.yaml", BROKEN, True, id="model", marks=pytest.mark.grid),
        pytest.param(ENVIRONMENT, BROKEN, False, id="environment"),
        pytest.param(
            ENVIRONMENT, "\xff\n", False, id="environment not UTF-8", marks=pytest.mark.grid
        ),
    ],
)
def test_verbs_of_state_and_cluster_work_with_a_broken_file(
    deployed: Project, kube: KubeClient, path: str, text: str, names_cluster: bool
) -> None:
    project = deployed
    (project.root / path).write_bytes(text.encode("latin-1"))
    outputs = json.loads(warn(project, "outputs", "dev", "--json", path=path))
    assert outputs["images"].keys() == {"churn", "fraud"}
    status = json.loads(warn(project, "status", "dev", "--json", path=path))
    tracks = {track["deployment"]: track for track in status["tracks"]}
    assert {name: track["running"] for name, track in tracks.items()} == outputs["images"]
    assert tracks["churn"]["planned"] is None
    shown = warn(project, "status", "dev", "--model", "churn", path=path)
    assert "not in the plan" in shown
    assert "fraud" not in shown
    clean = json.loads(warn(project, "drift", "dev", "--json", path=path))
    assert clean["verdict"] == "clean"
    (warning,) = clean["stacks"][0]["warnings"]
    assert f"{path} has errors and is not used" in warning
    scale(kube, project)
    assert "replicas" in warn(project, "drift", "dev", path=path, code=16)
    run = project.run("destroy", "dev")
    assert run.returncode == 1
    assert "YES=1" in run.stderr
    assert ("not compared with environment.yaml" in run.stderr) is not names_cluster
    warn(project, "destroy", "dev", "--yes", path=path)
    assert count_deployments(kube, project) == 0


@pytest.mark.cluster
def test_destroy_with_a_broken_environment_uses_its_protect_and_its_cluster(
    deployed: Project, kube: KubeClient
) -> None:
    text = (deployed.root / ENVIRONMENT).read_text()
    deployed.append(ENVIRONMENT, "protect: true\nfrob: 1\n")
    run = deployed.run("destroy", "dev", "--yes")
    assert run.returncode == 1
    assert "protect: false" in run.stderr

    deployed.write(ENVIRONMENT, text.replace("context: local ", "context: elsewhere #"))
    deployed.append(ENVIRONMENT, "frob: 1\n")
    run = deployed.run("destroy", "dev", "--yes")
    assert run.returncode == 1
    # The refusal names the context, or the missing kubeconfig file.
    assert "elsewhere" in run.stderr or "kubeconfig file does not exist" in run.stderr
    assert count_deployments(kube, deployed) == 2


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("path", "text"),
    [
        pytest.param("environments/prod/environment.yaml", BROKEN, id="environment"),
        pytest.param("catalog/churn.yaml", BROKEN, id="model", marks=pytest.mark.grid),
    ],
)
def test_destroy_with_a_broken_file_refuses_a_stack_that_was_protected(
    make_quick_project: MakeProject, kube: KubeClient, path: str, text: str
) -> None:
    project = make_quick_project("churn")
    project.succeed("up", "prod")
    project.write(path, text)
    run = project.run("destroy", "prod", "--yes")
    assert run.returncode == 1
    assert "protected" in run.stderr
    assert count_deployments(kube, project, "prod") == 1


def test_deploying_verbs_refuse_a_broken_file(make_project: MakeProject) -> None:
    project = make_project("churn")
    project.write("catalog/churn.yaml", BROKEN)
    for verb in ("up", "preview"):
        run = project.run(verb, "dev")
        assert run.returncode == 1
        assert "catalog/churn.yaml:" in run.stderr


def test_status_without_usable_files_or_state_shows_the_errors(make_project: MakeProject) -> None:
    project = make_project("churn")
    project.write(ENVIRONMENT, BROKEN)
    run = project.run("status", "dev")
    assert run.returncode == 1
    assert f"{ENVIRONMENT}:" in run.stderr
