"""Bad input: messages give the position, what is allowed and the next step; nothing is applied."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable

import pytest

from tests.conftest import Project

MakeProject = Callable[..., Project]
CHURN = "owner: team-growth\nprofiles: [mlserver, cpu-small]\n"


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        pytest.param("owner: a\n  b: c\n", "2:", "", id="does not parse"),
        pytest.param(CHURN + "owner: b\n", "3:1", "owner", id="duplicate key"),
        pytest.param(CHURN + "image: {tag: a}\nreplica: 2\n", "4:1", "replicas", id="unknown key"),
        pytest.param(CHURN + "image: {tag: 1.10}\n", "3:14", "1.10", id="a number instead of text"),
        pytest.param(
            CHURN + "image: {tag: a}\nrollout: {maxSurge: 2O%}\n", "4:21", "25%", id="2O%"
        ),
        pytest.param(
            CHURN + "image: {tag: a}\nrollout: {maxSurge: 0, maxUnavailable: 0}\n",
            "4:",
            "no Pod could ever be replaced",
            id="zero and zero",
        ),
        pytest.param(
            CHURN + "image: {tag: a}\nreplicas: 1\nrollout: {maxSurge: 0%, maxUnavailable: 9%}\n",
            "5:",
            "1 unavailable",
            id="a single replica goes dark",
        ),
        pytest.param(
            CHURN + "image: {tag: a}\nrollout: {progressDeadlineSeconds: 60}\n",
            "4:",
            "expected more than",
            id="deadline shorter than a start",
        ),
        pytest.param(
            CHURN + "image: {tag: a}\nlabels: {app.kubernetes.io/name: x}\n",
            "4:",
            "set by the framework",
            id="a label of the selectors",
        ),
        pytest.param(
            "owner: a\nprofiles: [mlservr]\nimage: {tag: a}\n", "2:12", "mlserver", id="profile"
        ),
    ],
)
def test_error_has_its_position_and_a_remedy(
    make_project: MakeProject, text: str, position: str, message: str
) -> None:
    project = make_project("churn")
    # Without the overrides of prod, surge and replicas are those of the model.
    project.write("environments/prod/environment.yaml", "namespace: x\n")
    project.write("catalog/churn.yaml", text)
    run = project.run("validate", "prod")
    assert run.returncode == 1, run.stderr
    assert f"catalog/churn.yaml:{position}" in run.stdout
    assert message in " ".join(run.stdout.split())


@pytest.mark.parametrize("verb", ["validate", "list"])
def test_catalog_without_environments_is_an_error(make_project: MakeProject, verb: str) -> None:
    project = make_project("churn")
    shutil.rmtree(project.root / "environments")
    run = project.run(verb)
    assert run.returncode == 1
    assert run.stderr.startswith("environments/: there is no environment; create ")


def test_all_errors_are_shown_in_one_run(make_project: MakeProject) -> None:
    project = make_project("churn", "fraud", "ranker")
    project.write("catalog/churn.yaml", "owner: [a\n")
    project.edit("catalog/fraud.yaml", "maxReplicas: 12", "maxReplicas: twelve")
    project.write("environments/prod/models/rankr.yaml", "replicas: 2\n")
    diagnostics = json.loads(project.run("validate", "--json").stdout)["diagnostics"]
    assert {
        diagnostic["path"] for diagnostic in diagnostics if diagnostic["severity"] == "error"
    } == {
        "catalog/churn.yaml",
        "catalog/fraud.yaml",
        "environments/prod/models/rankr.yaml",
    }


def use_context(project: Project, context: str) -> None:
    """Sets the context of dev, in a kubeconfig whose only context `somewhere` does not answer."""
    project.edit(
        "environments/dev/environment.yaml",
        "context: local ",
        f"context: {context}\n  kubeconfig: ./kubeconfig #",
    )
    project.write(
        "kubeconfig",
        "apiVersion: v1\nkind: Config\n"
        "clusters: [{name: c, cluster: {server: https://127.0.0.1:1}}]\n"
        "users: [{name: u, user: {token: t}}]\n"
        "contexts: [{name: somewhere, context: {cluster: c, user: u}}]\n",
    )


def test_unknown_context_lists_the_known_ones(make_project: MakeProject) -> None:
    project = make_project("churn")
    use_context(project, "nowhere")
    run = project.run("preview", "dev")
    assert run.returncode == 1
    assert "nowhere" in run.stderr
    assert "somewhere" in run.stderr


def test_unreachable_cluster_is_named_with_its_address(make_project: MakeProject) -> None:
    project = make_project("churn")
    use_context(project, "somewhere")
    for verb in ("preview", "status"):
        run = project.run(verb, "dev")
        assert run.returncode == 1
        assert "https://127.0.0.1:1" in run.stderr


def test_drift_without_recorded_state_fails(make_project: MakeProject) -> None:
    run = make_project("churn").run("drift", "dev")
    assert run.returncode == 1
    assert "make up ENV=dev" in run.stderr


def test_protected_environment_is_not_destroyed(make_project: MakeProject) -> None:
    run = make_project("churn").run("destroy", "prod", "--yes")
    assert run.returncode == 1
    assert "protect: false" in run.stderr
