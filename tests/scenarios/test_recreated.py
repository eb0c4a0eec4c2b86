"""Objects that somebody created again under a recorded name are taken over, or refused."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from framework.kube.client import KubeClient
from tests.conftest import MakeProject, Project

pytestmark = pytest.mark.cluster


def get_deployment(kube: KubeClient, project: Project, name: str) -> dict[str, Any]:
    found = kube.get("apps/v1", "Deployment", name, f"{project.namespace}-dev")
    assert found is not None
    return found


def replace_by_force(kube: KubeClient, live: dict[str, Any], **labels: str) -> None:
    """Deletes and creates the object, as `kubectl replace --force` does."""
    made = deepcopy(live)
    name, namespace = made["metadata"]["name"], made["metadata"]["namespace"]
    made["metadata"] = {
        "name": name,
        "namespace": namespace,
        "labels": labels or made["metadata"]["labels"],
    }
    made.pop("status")
    kube.delete("apps/v1", "Deployment", name, namespace, propagation="Background")
    kube.create(made, manager="kubectl-replace")


def get_image(live: dict[str, Any]) -> str:
    return str(live["spec"]["template"]["spec"]["containers"][0]["image"])


@pytest.mark.grid
def test_recreated_object_with_our_labels_is_taken_over_after_consent(
    make_quick_project: MakeProject, kube: KubeClient
) -> None:
    project = make_quick_project("churn", "reranker")
    project.succeed("up", "dev")
    replace_by_force(kube, get_deployment(kube, project, "churn"))

    drift = project.run("drift", "dev")
    assert drift.returncode == 16
    assert "was recreated by kubectl-replace" in drift.stdout
    shown = project.succeed("preview", "dev")
    assert "was recreated by kubectl-replace: taken over" in shown
    assert "takes over: needs YES=1" in shown

    unattended = project.run("up", "dev")
    assert unattended.returncode == 1
    assert "needs YES=1" in " ".join(unattended.stderr.split())

    # Other models can be deployed without consent.
    project.edit("catalog/_profiles/text-embeddings-inference.yaml", "cpu-1.5", "cpu-1.6")
    project.succeed("up", "dev", "--model", "reranker")
    assert get_image(get_deployment(kube, project, "reranker")).endswith("cpu-1.6")

    project.succeed("up", "dev", "--yes")
    assert "No differences" in project.succeed("drift", "dev")
    managers = {
        entry["manager"]
        for entry in get_deployment(kube, project, "churn")["metadata"]["managedFields"]
    }
    assert "kubectl-replace" not in managers
    project.succeed("destroy", "dev", "--yes")
    # It reads the state only: after a loss of the state, the objects would still run.
    assert "the state records nothing" in project.succeed("destroy", "dev", "--yes")


@pytest.mark.grid
@pytest.mark.parametrize("engine", ["embedded", pytest.param("cli", marks=pytest.mark.pulumi_cli)])
def test_recreated_object_without_our_labels_is_refused_until_it_is_adopted(
    make_quick_project: MakeProject, kube: KubeClient, engine: str
) -> None:
    project = make_quick_project("churn", "reranker")
    project.succeed("up", "dev", "--engine", engine)
    replace_by_force(kube, get_deployment(kube, project, "churn"), app="other")

    drift = json.loads(project.run("drift", "dev", "--json").stdout)
    (finding,) = (f for stack in drift["stacks"] for f in stack["findings"])
    assert (finding["change"], finding["manager"]) == ("recreated", "kubectl-replace")
    assert "take it over with `make adopt`" in finding["note"]

    project.edit("catalog/_profiles/text-embeddings-inference.yaml", "cpu-1.5", "cpu-1.6")

    preview = project.run("preview", "dev", "--engine", engine)
    assert preview.returncode == 1
    assert "not managed by this stack (its managers: kubectl-replace)" in " ".join(
        preview.stdout.split()
    )
    assert "to take over: make adopt ENV=dev MODEL=churn" in preview.stdout
    assert "next: make up" not in preview.stdout

    run = project.run("up", "dev", "--yes", "--engine", engine)
    assert run.returncode == 1, run.stdout + run.stderr
    assert "1 error; nothing was changed." in run.stdout
    assert get_image(get_deployment(kube, project, "reranker")).endswith("cpu-1.5")

    project.succeed("adopt", "dev", "--model", "churn", "--yes")
    project.succeed("up", "dev", "--yes", "--engine", engine)
    assert get_image(get_deployment(kube, project, "reranker")).endswith("cpu-1.6")
    assert "No differences" in project.succeed("drift", "dev")
    project.succeed("destroy", "dev", "--yes")


@pytest.mark.grid
@pytest.mark.parametrize("engine", ["embedded", pytest.param("cli", marks=pytest.mark.pulumi_cli)])
def test_object_of_others_survives_the_removal_of_its_model_and_destroy(
    make_quick_project: MakeProject, kube: KubeClient, engine: str
) -> None:
    project = make_quick_project("churn", "reranker")
    project.succeed("up", "dev", "--engine", engine)
    # A team takes its model back: a Deployment of the same name, without our labels.
    replace_by_force(kube, get_deployment(kube, project, "churn"), app="other")
    uid = get_deployment(kube, project, "churn")["metadata"]["uid"]

    destroy = project.run("destroy", "dev", "--yes", "--engine", engine)
    assert destroy.returncode == 1, destroy.stdout
    assert "1 error; nothing was changed." in destroy.stdout
    assert get_deployment(kube, project, "reranker")

    for path in (*project.root.glob("*/churn.yaml"), *project.root.glob("*/*/*/churn.yaml")):
        path.unlink()
    for verb in ("preview", "up"):
        run = project.run(verb, "dev", "--engine", engine, *(["--yes"] if verb == "up" else []))
        assert run.returncode == 1, run.stdout
        assert "is another object than the one recorded" in " ".join(run.stdout.split())

    # The way out that the message names.
    project.succeed("refresh", "dev", "--yes", "--engine", engine)
    project.succeed("up", "dev", "--yes", "--engine", engine)
    assert get_deployment(kube, project, "churn")["metadata"]["uid"] == uid
    assert kube.get("v1", "Service", "churn", f"{project.namespace}-dev") is None
    assert "Nothing to do" in project.succeed("up", "dev", "--engine", engine)


def leave_old_service(project: Project, namespace: str) -> None:
    """Edits the state as if an earlier `up` could not delete the Service `old`."""
    path = project.root / ".state/.pulumi/stacks/modelcatalog/dev.json"
    document = json.loads(path.read_text())
    resources = document["checkpoint"]["latest"]["resources"]
    old = deepcopy(
        next(
            raw
            for raw in resources
            if raw.get("id") == f"{namespace}/churn" and raw["type"] == "kubernetes:core/v1:Service"
        )
    )
    old.update({"id": f"{namespace}/old", "delete": True})
    old["inputs"]["metadata"]["name"] = "old"
    old["outputs"]["metadata"].update({"name": "old", "uid": "gone"})
    resources.append(old)
    path.write_text(json.dumps(document))


def read_old(project: Project) -> list[str]:
    """Returns the UIDs of the old objects in the state."""
    path = project.root / ".state/.pulumi/stacks/modelcatalog/dev.json"
    resources = json.loads(path.read_text())["checkpoint"]["latest"]["resources"]
    return [raw["outputs"]["metadata"]["uid"] for raw in resources if raw.get("delete")]


def flow(text: str) -> str:
    """Returns a text without its line breaks."""
    return " ".join(text.split())


@pytest.mark.grid
@pytest.mark.parametrize("engine", ["embedded", pytest.param("cli", marks=pytest.mark.pulumi_cli)])
def test_recreated_old_object_survives_refresh_up_and_destroy(
    make_quick_project: MakeProject, kube: KubeClient, engine: str
) -> None:
    project = make_quick_project("churn")
    project.succeed("up", "dev", "--engine", engine)
    namespace = f"{project.namespace}-dev"
    leave_old_service(project, namespace)
    body = {"metadata": {"name": "old", "namespace": namespace}, "spec": {"ports": [{"port": 80}]}}
    made = kube.create({"apiVersion": "v1", "kind": "Service", **body}, manager="kubectl-create")
    uid = made["metadata"]["uid"]

    # The refresh of the CLI has something to record. It reads by name, also the old object.
    churn = kube.get("v1", "Service", "churn", namespace)
    assert churn is not None
    churn["metadata"]["labels"]["team"] = "other"
    kube.replace(churn, manager="kubectl-edit")
    project.succeed("refresh", "dev", "--yes", "--engine", engine)
    assert read_old(project) == ["gone"]
    assert "so it stays and only its record" in flow(
        project.succeed("preview", "dev", "--engine", engine)
    )

    assert "so it stays and only its record" in flow(
        project.succeed("up", "dev", "--yes", "--engine", engine)
    )
    old = kube.get("v1", "Service", "old", namespace)
    assert old is not None
    assert old["metadata"]["uid"] == uid
    assert read_old(project) == []
    assert "Nothing to do" in project.succeed("up", "dev", "--engine", engine)

    # This time only `destroy` finds it, which also deletes the Namespace.
    leave_old_service(project, namespace)
    shown = flow(project.succeed("destroy", "dev", "--yes", "--engine", engine))
    assert (
        f"Service {namespace}/old: was left behind by a replacement and recreated; is deleted with"
        in shown
    )
